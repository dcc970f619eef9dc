"""Globs that are none: refused wherever one is given, before anything is selected by them."""

from __future__ import annotations

import pytest

from artifact_sync.domain.globs import glob_problem


@pytest.mark.parametrize("glob", ["[abc", "a[", "dist/[!x", "[]", "[", "*.[ch", "[a][b"])
def test_a_bracket_that_is_never_closed_is_a_mistake(glob: str) -> None:
    """Guards against: a filter that fits nothing is silent success."""
    assert glob_problem(glob) == (
        f"the glob {glob!r} has a [ that is never closed: close it, or write [[] for the character"
        " itself"
    )


@pytest.mark.parametrize("glob", ["[z-a]", "x[a-c9-0]", "[!z-a]"])
def test_a_range_that_runs_backwards_is_a_mistake(glob: str) -> None:
    assert "runs backwards" in glob_problem(glob)


@pytest.mark.parametrize("glob", ["", "*", "[[]", "[]]", "[!]]", "[a-z]*.x?", "a]b", "[-a]"])
def test_any_other_text_is_a_glob(glob: str) -> None:
    assert glob_problem(glob) == ""
