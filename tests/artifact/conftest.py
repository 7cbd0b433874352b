"""What the tests of artifacts share: a file is written and verified."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from langgraph_wfstore.wfstore_verify import Report, verify_file


@pytest.fixture
def verified(tmp_path: Path) -> Callable[..., Report]:
    """Verifies the bytes of a file."""

    def verify(data: bytes, **options: Any) -> Report:
        path = tmp_path / "thread.wfz"
        path.write_bytes(data)
        return verify_file(path, **options)

    return verify
