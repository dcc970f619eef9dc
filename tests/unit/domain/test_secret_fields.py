"""What a value with a secret in it shows."""

from __future__ import annotations

from artifact_sync.domain.model import Redacted


class Lock(Redacted, frozen=True):
    """With one field to be shown, and one not."""

    SHOWN = ("door",)

    door: str
    code: str = "4711"


class Silent(Redacted, frozen=True):
    """A field that nobody has said may be shown."""

    code: str = "4711"


def test_only_what_is_named_is_shown() -> None:
    assert repr(Lock("front")) == "Lock(door='front')"
    assert f"{[Lock('front')]}" == "[Lock(door='front')]"
    assert Lock("front").__rich_repr__() == [("door", "front")]


def test_what_nobody_has_named_is_not_shown() -> None:
    assert repr(Silent()) == "Silent()"


def test_what_is_hidden_counts_all_the_same() -> None:
    assert Lock("front") != Lock("front", "4712")
    assert len({Lock("front"), Lock("front", "4712"), Lock("front")}) == 2
