from __future__ import annotations

from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from artifact_sync.runtime import units


@given(st.integers(0, units.LARGEST))
def test_a_size_reads_back_as_it_was_shown(size: int) -> None:
    assert units.parse_size(units.format_size(size)) == size


@given(st.integers(0, units.LONGEST * 1_000))
def test_a_duration_reads_back_as_it_was_shown(milliseconds: int) -> None:
    seconds = milliseconds / 1_000
    assert units.parse_duration(units.format_duration(seconds)) == seconds


@given(st.text())
def test_any_text_is_read_or_refused_in_words(text: str) -> None:
    with suppress(ValueError):
        assert 0 <= units.parse_duration(text) <= units.LONGEST
    with suppress(ValueError):
        assert 0 <= units.parse_size(text) <= units.LARGEST


@given(st.integers(0, 800_000), st.sampled_from(["ms", "s", "m", "h"]))
def test_a_longer_time_is_never_read_as_a_shorter_one(number: int, unit: str) -> None:
    assert units.parse_duration(f"{number + 1}{unit}") > units.parse_duration(f"{number}{unit}")
