"""The bars on a terminal, as far as a text shows them."""

from __future__ import annotations

import io

from artifact_sync.cli.progress_bars import ProgressBars
from artifact_sync.domain.errors import Reason
from artifact_sync.domain.events import DownloadBegan, Event, Failed, FetchBegan
from artifact_sync.domain.model import ArtifactKey, Failure, RepoName, RunKey

RUN = RunKey(RepoName("acme", "rocket"), "7")
KEY = ArtifactKey("acme", "rocket", "7", "ci", "build", "cube", "a.tar")


class Kept:
    def __init__(self) -> None:
        self.events: list[Event] = []

    def notify(self, event: Event) -> None:
        self.events.append(event)


def shown(*events: Event) -> str:
    """What stands on the terminal after the last of these events."""
    stream, kept = io.StringIO(), Kept()
    bars = ProgressBars(stream, kept, 2)
    for event in events:
        bars._shown = 0.0  # as if time had gone by
        bars.notify(event)
    text = stream.getvalue()
    bars.close()
    assert kept.events == list(events)
    return text.rpartition("| ")[2].rstrip()


def test_the_files_to_come_are_counted_as_each_run_begins_to_be_fetched() -> None:
    assert shown(FetchBegan(RUN, 3)) == "0/3 files, 0 B, 0 B/s"
    assert shown(FetchBegan(RUN, 3), FetchBegan(RUN, 2)) == "0/5 files, 0 B, 0 B/s"


def test_a_file_that_has_failed_is_counted_apart() -> None:
    failed = Failed(Failure.of(KEY, Reason.CUT, "cut short"), KEY)
    assert shown(FetchBegan(RUN, 2), DownloadBegan(KEY, 10, 0), failed).endswith(
        "0/2 files, 0 B, 0 B/s, 1 failed"
    )
