"""What the documentation says is true: its Python runs, its links lead somewhere, its commands are the ones CI runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXTS = [*PAGES, *sorted((ROOT / "docs").glob("*/*.md"))]
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SERVERS = {"postgres": ("DATABASE_URL", "postgres_url")}  # per page what names the server in it, and the fixture
LINK = re.compile(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)")


def _name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def _blocks(page: Path, language: str) -> list[tuple[int, str]]:
    """The fenced blocks of a language, each with the number of the line that it begins on."""
    text = page.read_text("utf-8")
    return [(text.count("\n", 0, m.start(2)), m[2]) for m in FENCED.finditer(text) if m[1] == language]


def _program(page: Path) -> str:
    """The page's Python as one program, each block on its own lines of the page, so that errors point there."""
    lines: list[str] = []
    for begin, block in _blocks(page, "python"):
        lines += [""] * (begin - len(lines)) + block.splitlines()
    return "\n".join(lines)


@pytest.mark.parametrize("page", [page for page in PAGES if _blocks(page, "python")], ids=_name)
def test_the_python_on_a_page_runs_from_top_to_bottom(page, tmp_path, request):
    script = tmp_path / page.with_suffix(".py").name
    script.write_text(_program(page), "utf-8")
    folder = tmp_path / "empty"
    folder.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error::ResourceWarning"}
    if page.stem in SERVERS:
        environment[SERVERS[page.stem][0]] = request.getfixturevalue(SERVERS[page.stem][1])
    done = subprocess.run(
        [sys.executable, str(script)], cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "ResourceWarning" not in done.stderr


@pytest.mark.parametrize("page", TEXTS, ids=_name)
def test_every_link_to_a_file_leads_to_one(page):
    missing = [link for link in LINK.findall(page.read_text("utf-8")) if not (page.parent / link).exists()]
    assert not missing


def test_the_readme_has_two_commands_of_one_line_each():
    setup = [block for _, block in _blocks(ROOT / "README.md", "sh") if ".venv" in block]
    assert [block.count("\n") for block in setup] == [1, 1]
    assert "examples/quickstart.py" in setup[0]
    assert "pytest" in setup[1]


def test_ci_takes_its_test_command_from_the_readme():
    pattern = re.search(r"grep -m1 '([^']+)' README\.md", (ROOT / ".ci" / "run").read_text("utf-8"))
    assert pattern is not None
    found = [line for line in (ROOT / "README.md").read_text("utf-8").splitlines() if re.search(pattern[1], line)]
    assert found == [_blocks(ROOT / "README.md", "sh")[1][1].rstrip("\n")]
