from __future__ import annotations

from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from artifact_sync.config.bandwidth_limit import LEAST, format_limit, parse_limit
from artifact_sync.domain.timetable import rate_at, timetable_of
from artifact_sync.runtime.units import LARGEST

DAY = 24 * 60
"""Minutes."""

rates = st.none() | st.integers(LEAST, LEAST + 3) | st.integers(LEAST, LARGEST)
changes = st.dictionaries(st.integers(0, DAY - 1), rates, max_size=6)


@given(changes)
def test_a_limit_reads_back_as_it_was_shown(changes: dict[int, int | None]) -> None:
    timetable = timetable_of(changes)
    assert parse_limit(format_limit(timetable)) == timetable


@given(changes)
def test_at_every_minute_the_rate_is_that_of_the_last_change(
    changes: dict[int, int | None],
) -> None:
    timetable = timetable_of(changes)
    rate = changes[max(changes)] if changes else None
    for minute in range(DAY):
        rate = changes.get(minute, rate)
        assert rate_at(timetable, minute) == rate


@given(changes)
def test_equal_days_are_equal_timetables(changes: dict[int, int | None]) -> None:
    timetable = timetable_of(changes)
    assert timetable_of({minute: rate_at(timetable, minute) for minute in range(DAY)}) == timetable
    assert timetable == () or timetable[0][0] == 0
    assert list(timetable) == sorted(timetable, key=lambda change: change[0])


@given(st.text("0123456789:, ofMiB\t") | st.text())
def test_any_text_is_a_limit_or_refused_in_words(text: str) -> None:
    with suppress(ValueError):
        assert all(rate is None or rate >= LEAST for _, rate in parse_limit(text))
