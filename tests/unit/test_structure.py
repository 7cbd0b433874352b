"""The structure of the package is what it says: layers, packages by job, and paths that stand in stored bytes."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import langgraph_wfstore
from langgraph_wfstore import Redacted
from langgraph_wfstore.serde.classes import KNOWN

ROOT = Path(langgraph_wfstore.__file__).parent
MODULES = sorted(path for path in ROOT.rglob("*.py") if "testing" not in path.relative_to(ROOT).parts)
PACKAGES = sorted(path.parent for path in ROOT.rglob("__init__.py"))
ABOVE_BACKENDS = {"errors", "records", "values.lists"}


def _name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__")


def _imported(path: Path) -> set[str]:
    """The absolute names of the modules that a module imports anywhere, in functions too."""
    found = set()
    package = path.relative_to(ROOT.parent).parts[:-1]
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            found.add(".".join((*above, *((node.module,) if node.module else ()))))
    return found


def test_langgraph_is_imported_in_saver_serde_capture_and_migration_alone():
    """Migration opens LangGraph's own savers; everything else also serves a person who has only the store."""
    users = {
        path.relative_to(ROOT).parts[0]
        for path in MODULES
        if any(name.split(".")[0] in ("langgraph", "langchain_core") for name in _imported(path))
    }
    assert users == {"saver", "serde", "capture", "migration"}


def test_backends_import_nothing_of_the_policy_above_them():
    inner = f"{langgraph_wfstore.__name__}."
    found = set()
    for path in MODULES:
        if path.relative_to(ROOT).parts[0] == "backends":
            found |= {name.removeprefix(inner) for name in _imported(path) if name.startswith(inner)}
    assert {name for name in found if name.split(".")[0] != "backends"} <= ABOVE_BACKENDS


@pytest.mark.parametrize("package", PACKAGES, ids=_name)
def test_a_package_says_its_job(package):
    docstring = ast.get_docstring(ast.parse((package / "__init__.py").read_text("utf-8")))
    assert docstring


def test_class_paths_that_stand_in_stored_bytes_are_what_they_were():
    ours = {
        f"{cls.__module__}.{cls.__qualname__}" for cls in KNOWN.values() if cls.__module__.startswith("langgraph_w")
    }
    assert f"{Redacted.__module__}.{Redacted.__qualname__}" == "langgraph_wfstore.redacted.Redacted"
    assert ours <= {"langgraph_wfstore.redacted.Redacted"}


def test_modules_that_docstrings_and_the_format_name_are_there():
    """`(see values/lists.py)`: the path is from the package's root, or from the module's own folder."""
    pattern = re.compile(r"(?<![\w/.-])((?:[a-z_]+/)*[a-z_]+\.py)\b")
    missing = [
        (str(path.relative_to(ROOT)), name)
        for path in [*MODULES, ROOT / "FORMAT.md"]
        for name in pattern.findall(path.read_text("utf-8"))
        if not name.startswith("tests/") and not (ROOT / name).exists() and not (path.parent / name).exists()
    ]
    assert missing == []
