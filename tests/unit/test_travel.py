"""The table of what LangGraph's ways to travel in time make of the branches is true."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.travel import PATTERNS, heads

PAGE = (Path(__file__).parents[2] / "docs" / "branches.md").read_text()
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line.startswith("| ")]
TABLE = {row[0]: tuple(row[1:]) for row in ROWS if len(row) == 3}


@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda pattern: pattern.__name__)
def test_a_pattern_leaves_the_branches_that_the_page_says(pattern) -> None:
    assert TABLE[pattern.__doc__] == (heads(pattern, isolate=False), heads(pattern, isolate=True))


def test_the_page_has_no_row_that_nothing_makes() -> None:
    assert set(TABLE) - {"pattern"} == {pattern.__doc__ for pattern in PATTERNS}
