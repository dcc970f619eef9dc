"""The changelog has the form of Keep a Changelog, and its newest version is the program's."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path

from packaging.version import Version

from artifact_sync.version import VERSION

TEXT = (Path(__file__).parents[2] / "CHANGELOG.md").read_text("utf-8")
_VERSIONS = re.compile(r"^## (.*)\n((?:(?!## ).*\n)*)", re.MULTILINE)
_KINDS = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"]

UNRELEASED, *RELEASED = _VERSIONS.findall(TEXT)


def test_what_is_not_released_stands_first_and_then_the_newest_version() -> None:
    assert UNRELEASED[0] == "[Unreleased]"
    found = [re.fullmatch(r"\[(.+)\] - (\d{4}-\d\d-\d\d)", title) for title, _ in RELEASED]
    heads = [(Version(one[1]), dt.date.fromisoformat(one[2])) for one in found if one]
    assert len(heads) == len(RELEASED)
    assert heads == sorted(heads, reverse=True)
    assert heads[0][0] == Version(VERSION)


def test_each_change_is_one_line_under_its_kind() -> None:
    for title, text in (UNRELEASED, *RELEASED):
        kinds = re.findall(r"^### (.*)$", text, re.MULTILINE)
        assert kinds == [kind for kind in _KINDS if kind in kinds], title
        for part in re.split(r"^### .*$", text, flags=re.MULTILINE)[1:]:
            changes = re.findall(r"^- .*[.:]$", part, re.MULTILINE)
            assert changes, title
            assert len(changes) == len(re.findall(r"^(?:- |  )", part, re.MULTILINE)), title
