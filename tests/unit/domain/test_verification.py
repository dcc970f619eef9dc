"""How much is verified within bounds."""

from __future__ import annotations

from math import ceil

from hypothesis import given
from hypothesis import strategies as st

from artifact_sync.domain.verification import NO_BOUNDS, ReadingBudget, VerifyBounds

sizes = st.lists(st.integers(0, 100), max_size=30)
bounds = st.builds(
    VerifyBounds,
    share=st.none() | st.floats(0.01, 1.0),
    max_bytes=st.none() | st.integers(1, 1000),
    max_time=st.none() | st.integers(1, 30),
)


@given(sizes, bounds)
def test_all_is_taken_that_fits_and_one_file_in_any_case(files, within) -> None:
    """A file a second: the first that does not fit ends it."""
    budget = ReadingBudget(within, len(files), 0.0)
    taken = 0
    for size in files:
        if not budget.take(size, float(taken)):
            break
        taken += 1
    fits = [len(files)]
    if within.share is not None:
        fits.append(ceil(len(files) * within.share))
    if within.max_time is not None:
        fits.append(within.max_time)
    if within.max_bytes is not None:
        sums = [sum(files[:count]) for count in range(len(files) + 1)]
        fits.append(max(count for count, size in enumerate(sums) if size <= within.max_bytes))
    assert taken == min(max(min(fits), 1), len(files))


def test_without_bounds_there_are_none() -> None:
    assert not NO_BOUNDS
    assert VerifyBounds(max_bytes=1)
