from __future__ import annotations

from artifact_sync.web.log_throttle import LogThrottle
from artifact_sync.web.webhook import SeenEvents


def test_an_event_is_a_repeat_once_it_was_remembered() -> None:
    replays = SeenEvents()
    assert not replays.has("e", 0.0)
    replays.remember("e", 0.0)
    assert replays.has("e", 1.0)
    assert not replays.has("f", 1.0)


def test_an_event_without_an_id_is_never_a_repeat() -> None:
    replays = SeenEvents()
    replays.remember(None, 0.0)
    assert not replays.has(None, 0.0)
    assert len(replays) == 0


def test_memory_is_bounded_and_the_oldest_are_forgotten() -> None:
    replays = SeenEvents(most=100)
    for number in range(1000):
        replays.remember(f"{number}" * 1000, 0.0)
    assert len(replays) == 100
    assert not replays.has("899" * 1000, 0.0)
    assert replays.has("900" * 1000, 0.0)


def test_events_are_forgotten_after_their_time() -> None:
    replays = SeenEvents(longest=60.0)
    replays.remember("a", 0.0)
    replays.remember("b", 30.0)
    assert replays.has("a", 59.9)
    assert not replays.has("a", 60.0)
    replays.remember("c", 89.9)
    assert len(replays) == 2
    assert replays.has("b", 89.9)


def test_lines_come_at_most_once_in_a_while_with_how_often_it_was() -> None:
    rarely = LogThrottle(pause=60.0)
    assert [rarely.due(now) for now in (0.0, 1.0, 59.9, 60.0, 61.0, 200.0)] == [1, 0, 0, 3, 0, 2]
