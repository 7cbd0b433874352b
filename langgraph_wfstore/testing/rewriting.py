"""Makes pytest explain the asserts of this package; it is imported before the modules that hold them."""

from __future__ import annotations

from pathlib import Path

import pytest

_HERE = Path(__file__)
_OTHERS = {module.stem for module in _HERE.parent.glob("*.py")} - {"__init__", _HERE.stem}
pytest.register_assert_rewrite(*(f"{__package__}.{name}" for name in sorted(_OTHERS)))
