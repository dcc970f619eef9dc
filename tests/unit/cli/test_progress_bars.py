"""The lines of progress on a terminal, at several widths."""

from __future__ import annotations

import re
from itertools import pairwise
from time import monotonic
from typing import TYPE_CHECKING

import pytest
from tqdm.utils import disp_len

from artifact_sync.cli.hash_bar import hash_line
from artifact_sync.cli.progress_bars import Amounts, label, progress_lines, shortened
from artifact_sync.domain.errors import Reason
from artifact_sync.domain.events import BytesArrived, DownloadBegan, Downloaded, Failed, FetchBegan
from artifact_sync.domain.model import (
    ArtifactKey,
    Failure,
    Mirrored,
    MirrorPath,
    RepoName,
    RunKey,
    Strength,
)
from artifact_sync.sync.hash_progress import HashProgress

if TYPE_CHECKING:
    from artifact_sync.domain.events import Event

RUN = RunKey(RepoName("acme", "rocket"), "7")
MIB = 1 << 20
LONG = "./very/deep/folder/of/a/build/" + "with-a-long-name-" * 3 + "app.tar.gz"


def key(path: str = "./dist/app.tar.gz") -> ArtifactKey:
    return ArtifactKey("acme", "rocket", "7", "ci", "build", "cube", path)


def downloaded(path: str) -> Event:
    return Downloaded(Mirrored(key(path), MirrorPath("p"), 1, "", Strength.LENGTH, ()))


def after(*events: Event) -> Amounts:
    amounts = Amounts()
    for event in events:
        amounts.notify(event)
    return amounts


def lines(columns: int, *events: Event) -> list[str]:
    return progress_lines(after(*events), columns, 8, monotonic() + 10)


RUNNING = (
    FetchBegan(RUN, 2),
    DownloadBegan(key(), 4 * MIB, 0),
    DownloadBegan(key(LONG), 8 * MIB, 0),
    BytesArrived(key(), 3 * MIB),
)


def test_the_whole_and_each_file_have_a_line() -> None:
    whole, *files = lines(79, *RUNNING)
    shown = r" 25%\|#####-----------------\| 0/2 files, 3.0 of 12.0 MiB, 30\d.\d KiB/s, ETA 00:30"
    assert re.fullmatch(shown, whole)
    assert files == [
        "acme/rocket 7 dist/app.tar.gz:                 75%|######--|     3.0 of 4.0 MiB",
        "acme/rocket 7 very/deep…long-name-app.tar.gz:   0%|--------|     0.0 of 8.0 MiB",
    ]


@pytest.mark.parametrize("columns", [1, 5, 20, 39, 40, 60, 79, 80, 120, 199, 300])
def test_no_line_is_wider_than_the_terminal(columns: int) -> None:
    """Guards against: bars that wrap, whatever the width and whatever the names."""
    wide = DownloadBegan(key("Руководство/用户手册/" * 9 + "🚀.pdf"), None, 0)
    failed = Failed(Failure.of(key("x"), Reason.CUT, "cut short"), key("x"))
    for line in lines(columns, *RUNNING, FetchBegan(RUN, 99_999), wide, failed):
        assert disp_len(line) <= columns


def test_at_40_columns_there_are_still_share_files_and_time() -> None:
    whole, file, _ = lines(39, *RUNNING)
    assert whole == " 25%|###---------| 0/2 files, ETA 00:30"
    assert file == "acme/rocket 7 dist/app.tar.gz:      75%"


def test_a_long_path_is_cut_in_its_middle_behind_repository_and_run() -> None:
    """Guards against: names that lose their beginning or their end."""
    shown = label(key(LONG), 40)
    assert disp_len(shown) == 40
    assert shown.startswith("acme/rocket 7 very/")
    assert "…" in shown
    assert shown.endswith("app.tar.gz")


def test_a_wide_letter_takes_two_columns() -> None:
    assert disp_len("手册") == 4
    assert disp_len(shortened("手册手册手册", 7)) <= 7


def test_what_is_told_of_the_whole_never_goes_back() -> None:
    """Guards against: a total that falls when runs, sizes or failures come in."""
    events: list[Event] = [FetchBegan(RUN, 2), DownloadBegan(key("a"), 10, 0)]
    events += [BytesArrived(key("a"), 10), downloaded("a"), FetchBegan(RUN, 8)]
    events += [DownloadBegan(key("b"), None, 0), BytesArrived(key("b"), 50)]
    events += [DownloadBegan(key("b"), 100, 0), DownloadBegan(key("c"), 1000, 0)]
    events += [Failed(Failure.of(key("c"), Reason.CUT, "cut short"), key("c")), downloaded("b")]
    events += [DownloadBegan(key(f"{n}"), 5, 0) for n in range(7)]
    events += [downloaded(f"{n}") for n in range(7)]
    amounts, told = Amounts(), []
    for event in events:
        amounts.notify(event)
        told.append((amounts.share, amounts.received, amounts.total))
    for before, now in pairwise(told):
        assert all(was <= it for was, it in zip(before, now, strict=True))
    assert told[-1][0] == 0.99  # more runs may follow


def test_files_of_unknown_size_count_as_much_as_the_others() -> None:
    """Guards against: sizes that are not known yet and are taken for nothing."""
    amounts = after(FetchBegan(RUN, 10), DownloadBegan(key("a"), 100, 0), downloaded("a"))
    assert (amounts.unknown, amounts.expected) == (9, 1000)
    amounts = after(FetchBegan(RUN, 10), DownloadBegan(key("a"), 100, 0))
    assert (amounts.unknown, amounts.expected) == (9, 1000)
    assert "0 of 100+ B" in lines(99, FetchBegan(RUN, 10), DownloadBegan(key("a"), 100, 0))[0]


def test_a_file_that_has_failed_is_counted_apart() -> None:
    failed = Failed(Failure.of(key(), Reason.CUT, "cut short"), key())
    [line] = lines(99, FetchBegan(RUN, 2), DownloadBegan(key(), 10, 0), failed)
    assert line.endswith(", 1 failed")


def test_one_file_is_not_files() -> None:
    assert "0/1 file, " in lines(99, FetchBegan(RUN, 1))[0]


@pytest.mark.parametrize("columns", [200, 80, 40, 12, 0])
def test_hashing_has_a_line_of_files_and_bytes(columns: int) -> None:
    progress = HashProgress()
    assert disp_len(hash_line(progress, columns)) <= columns
    progress.expect(1500, 8 * MIB)
    progress.count(2 * MIB)
    line = hash_line(progress, columns)
    assert disp_len(line) <= columns
    if columns > 50:
        assert line.startswith(" 25%|##")
        assert line.endswith(" 1/1,500 files hashed, 2.0 of 8.0 MiB")
