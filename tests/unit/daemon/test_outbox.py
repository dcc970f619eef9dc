"""Events that wait for a client: bytes add up, the order stays, and there is an end to it."""

from __future__ import annotations

from artifact_sync.daemon.control.server import Outbox
from artifact_sync.domain.events import BytesArrived, DownloadBegan, Event, Noticed, RunPlanned
from artifact_sync.domain.model import ArtifactKey, Plan, RepoName, Run, RunKey

ONE, TWO = (ArtifactKey("o", "r", "1", "w", "t", "c", name) for name in ("one", "two"))


class Ended:
    def __init__(self, most: int = 10_000) -> None:
        self.times = 0
        self.outbox = Outbox(self, most)

    def __call__(self) -> None:
        self.times += 1

    def take(self, *events: Event) -> list[Event]:
        for event in events:
            self.outbox.notify(event)
        return self.outbox.take()


def test_bytes_of_a_file_add_up_where_they_began_to_come() -> None:
    arrived = [BytesArrived(ONE, 1), BytesArrived(TWO, 10), BytesArrived(ONE, 2)]
    taken = Ended().take(*arrived, Noticed("x"), BytesArrived(TWO, 20))
    assert taken == [BytesArrived(ONE, 3), BytesArrived(TWO, 30), Noticed("x")]


def test_bytes_after_a_new_begin_stay_behind_it() -> None:
    events = [BytesArrived(ONE, 5), DownloadBegan(ONE, 9, 3), BytesArrived(ONE, 6)]
    assert Ended().take(*events) == events


def test_what_was_taken_is_not_there_any_more() -> None:
    ended = Ended()
    assert ended.take(BytesArrived(ONE, 1)) == [BytesArrived(ONE, 1)]
    assert ended.take(BytesArrived(ONE, 2)) == [BytesArrived(ONE, 2)]
    assert ended.take() == []


def test_plans_are_not_kept_for_they_hold_links() -> None:
    assert Ended().take(RunPlanned(Plan(Run(RunKey(RepoName("o", "r"), "1"), ""), ()))) == []


def test_in_a_crowd_bytes_that_do_not_add_up_are_dropped() -> None:
    keys = [ONE._replace(local_path=f"{n}") for n in range(1500)]
    ended = Ended()
    assert len(ended.take(*(BytesArrived(key, 1) for key in keys))) == 1000
    assert ended.times == 0


def test_who_does_not_keep_up_is_let_go_once_and_nothing_is_kept_any_more() -> None:
    ended = Ended(most=3)
    events = [Noticed(f"{n}") for n in range(10)]
    assert ended.take(*events) == []
    assert ended.take(*events) == []
    assert ended.times == 1
