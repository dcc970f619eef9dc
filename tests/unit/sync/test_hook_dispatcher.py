"""When deliveries are tried, and how often: over a ledger in memory, with a clock of its own."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import random
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from structlog.testing import capture_logs

from artifact_sync.domain.errors import DiskError
from artifact_sync.domain.hooks import DeliveryResult, HookEvent, Subscriptions
from artifact_sync.domain.model import RepoName, Run, RunKey
from artifact_sync.domain.settings import DEFAULT_LAYOUT
from artifact_sync.ledger import open_ledger
from artifact_sync.mirror.layout import Layout
from artifact_sync.sync.hooks.dispatcher import Dispatcher, Hook
from artifact_sync.sync.hooks.message import body, environment, headers, members

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
REPO = RepoName("acme", "widgets")


class FakeClock:
    """Time passes when somebody sleeps, or takes time."""

    def __init__(self):
        self.passed = 0.0

    def now(self):
        return NOW + timedelta(seconds=self.passed)

    def monotonic(self):
        return self.passed

    async def sleep(self, seconds):
        self.passed += seconds
        await asyncio.sleep(0)


class Receiver:
    """A hook that answers with these problems in turn, then with the last one for ever."""

    def __init__(self, clock, *problems, takes=0.0):
        self.clock, self.problems, self.takes = clock, list(problems), takes
        self.told = []

    async def send(self, delivery, within):
        self.told.append((delivery.facts["run"], self.clock.passed, within))
        self.clock.passed += min(self.takes, within)
        problem = self.problems[0] if self.problems else ""
        self.problems = self.problems[1:] or self.problems
        return problem if isinstance(problem, DeliveryResult) else DeliveryResult(problem)


def play(story, runs=1, names=("a",), url="sqlite://"):
    async def main():
        clock = FakeClock()
        async with await open_ledger(url, durability="fast") as ledger:
            hooks = {HookEvent.RUN_COMPLETE: tuple(names)}
            ledger.subscribe(Subscriptions(hooks, clock.now, 0.0))
            for number in range(1, runs + 1):
                key = RunKey(REPO, str(number))
                await ledger.note_run(Run(key, "success", "push", NOW), NOW)
                await ledger.mark_complete(key, complete=True)
            await story(ledger, clock)

    asyncio.run(main())


def dispatcher(ledger, clock, *receivers, seed=1):
    names = "abc"
    hooks = [Hook(names[i], names[i], 60.0, it.send) for i, it in enumerate(receivers)]
    return Dispatcher(ledger, hooks, clock, random.Random(seed))  # noqa: S311 - jitter


async def left(ledger):
    return [it async for it in ledger.deliveries()]


async def emptied(ledger):
    while await left(ledger):
        pass


def test_what_is_told_is_gone_and_told_no_more():
    async def story(ledger, clock):
        receiver = Receiver(clock)
        it = dispatcher(ledger, clock, receiver)
        await it.deliver(1.0)
        await it.deliver(1.0)
        assert [run for run, *_ in receiver.told] == ["1", "2"]
        assert await left(ledger) == []

    play(story, runs=2)


def test_what_fails_is_tried_ever_later_for_a_week_and_then_given_up():
    async def story(ledger, clock):
        receiver = Receiver(clock, "no")
        it = dispatcher(ledger, clock, receiver)
        delays = []
        while True:
            await it.deliver(1.0)
            (delivery,) = await left(ledger)
            if delivery.next_try is None:
                break
            delays.append((delivery.next_try - clock.now()).total_seconds())
            clock.passed += delays[-1]
        for tries, delay in enumerate(delays):
            assert 0 <= delay <= min(2.0**tries, 3600)
        assert max(delays) > 3000
        week = 7 * 86_400
        assert week < clock.passed < week + 3600
        assert delivery.last_error == "no"
        assert len(receiver.told) == delivery.tries

    play(story)


def test_one_that_was_tried_seldom_is_not_given_up_for_its_age():
    async def story(ledger, clock):
        it = dispatcher(ledger, clock, Receiver(clock, "no"))
        for _ in range(4):
            await it.deliver(1.0)
            clock.passed += 30 * 86_400
        (delivery,) = await left(ledger)
        assert delivery.next_try is not None
        await it.deliver(1.0)
        (delivery,) = await left(ledger)
        assert delivery.next_try is None

    play(story)


def test_each_is_tried_once_in_a_round_and_one_failure_holds_up_no_other():
    async def story(ledger, clock):
        receiver = Receiver(clock, "no", "")
        await dispatcher(ledger, clock, receiver).deliver(1.0)
        assert [run for run, *_ in receiver.told] == ["1", "2", "3"]
        assert [it.facts["run"] for it in await left(ledger)] == ["1"]

    play(story, runs=3)


def test_the_end_of_a_command_is_held_up_no_longer_than_it_allows():
    async def story(ledger, clock):
        slow = Receiver(clock, "took long", takes=100.0)
        await dispatcher(ledger, clock, slow).deliver(8.0)
        assert [within for *_, within in slow.told] == [8.0]
        assert clock.passed == 8.0
        first, second = await left(ledger)
        assert "a command waits no longer for hooks at its end" in first.last_error
        assert second.tries == 0

    play(story, runs=2)


def test_a_daemon_tries_again_and_hears_of_what_is_new():
    async def story(ledger, clock):
        receiver = Receiver(clock, "no", "no", "")
        it = dispatcher(ledger, clock, receiver)
        running = asyncio.ensure_future(it.run())
        await emptied(ledger)
        key = RunKey(REPO, "9")
        await ledger.note_run(Run(key, "success", "push", NOW), NOW)
        await ledger.mark_complete(key, complete=True)
        await emptied(ledger)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert [run for run, *_ in receiver.told] == ["1", "1", "1", "9"]

    play(story)


def test_a_hook_with_too_much_to_do_is_left_alone_for_as_long_as_it_asks():
    async def story(ledger, clock):
        receiver = Receiver(clock, DeliveryResult("busy", 1800.0), DeliveryResult("busy", 1e9), "")
        it = dispatcher(ledger, clock, receiver)
        await it.deliver(1.0)
        assert [run for run, *_ in receiver.told] == ["1"]
        clock.passed += 1799.0
        await it.deliver(1.0)
        assert len(receiver.told) == 1
        clock.passed += 2.0  # a second of jitter
        await it.deliver(1.0)
        assert len(receiver.told) == 2
        clock.passed += 3601.0  # not for longer than an hour
        await it.deliver(1.0)
        assert sorted(run for run, *_ in receiver.told[2:]) == ["1", "2", "3"]
        assert await left(ledger) == []

    play(story, runs=3)


@pytest.fixture
def locked(tmp_path):
    """Plays a story in which the first delivery is made, and the ledger is locked then."""
    file = tmp_path / "ledger.sqlite"

    def run(story):
        async def main(ledger, clock):
            with closing(sqlite3.connect(file, isolation_level=None)) as other:
                told = []

                async def send(delivery, _):
                    told.append(delivery.id)
                    if len(told) == 1:
                        other.execute("BEGIN IMMEDIATE")
                    return DeliveryResult()

                it = Dispatcher(ledger, [Hook("a", "a", 60.0, send)], clock, random.Random(1))  # noqa: S311 - jitter
                await story(ledger, it, other, told)

        play(main, url=f"sqlite:///{file}?timeout=0.05")

    return run


def test_a_ledger_that_is_locked_loses_nothing_that_is_to_be_told(locked):
    async def story(ledger, it, other, told):
        (waiting,) = await left(ledger)
        with pytest.raises(DiskError, match="is locked by another process"):
            await it.deliver(1.0)
        assert await left(ledger) == [waiting]
        other.execute("ROLLBACK")
        await it.deliver(1.0)
        assert told == [waiting.id] * 2
        assert await left(ledger) == []

    locked(story)


def test_a_daemon_waits_for_a_ledger_that_is_locked_and_tells_once(locked):
    async def story(ledger, it, other, told):
        (waiting,) = await left(ledger)
        running = asyncio.ensure_future(it.run())
        while not [it for it in logs if it["event"] == "hooks wait for the ledger"]:
            assert await left(ledger) == [waiting]
        other.execute("ROLLBACK")
        await emptied(ledger)
        it.leave()
        await running
        assert told == [waiting.id]
        assert [it["log_level"] for it in logs if it["log_level"] != "debug"] == ["info"]

    with capture_logs() as logs:
        locked(story)


def test_one_that_leaves_makes_the_delivery_under_way_and_no_other():
    async def story(ledger, clock):
        began, goes_on = asyncio.Event(), asyncio.Event()
        told = []

        async def send(delivery, _):
            told.append(delivery.facts["run"])
            began.set()
            await goes_on.wait()
            return DeliveryResult()

        it = Dispatcher(ledger, [Hook("a", "a", 60.0, send)], clock, random.Random(1))  # noqa: S311 - jitter
        running = asyncio.ensure_future(it.run())
        await began.wait()
        it.leave()
        goes_on.set()
        await running
        assert told == ["1"]
        assert [it.facts["run"] for it in await left(ledger)] == ["2"]

    play(story, runs=2)


def test_hooks_that_are_gone_are_told_nothing():
    async def story(ledger, clock):
        hooks = {HookEvent.RUN_COMPLETE: ("a",)}
        ledger.subscribe(Subscriptions(hooks, clock.now, 0.0))
        receiver = Receiver(clock)
        await dispatcher(ledger, clock, receiver).deliver(1.0)
        assert len(receiver.told) == 1
        assert await left(ledger) == []

    play(story, names=("a", "b"))


@pytest.fixture
def said():
    async def deliver():
        found = []

        async def story(ledger, _):
            found.extend(await left(ledger))

        return story, found

    story, found = asyncio.run(deliver())
    play(story)
    return members(found[0], Layout(DEFAULT_LAYOUT))


def test_the_signature_is_of_exactly_the_bytes_that_are_sent(said):
    content = body(said)
    sent = headers(said, content, b"s3cret")
    digest = hmac.new(b"s3cret", content, hashlib.sha256).hexdigest()
    assert sent["X-Artifact-Sync-Signature"] == f"sha256={digest}"
    assert sent["X-Artifact-Sync-Delivery"] == said["id"] == json.loads(content)["id"]
    assert "X-Artifact-Sync-Signature" not in headers(said, content, None)


def test_a_program_is_given_no_secret_of_ours_and_no_text_that_ends_early(said):
    ours = {"PATH": "/bin", "LC_ALL": "C", "SOURCECRAFT_TOKEN": "t", "HTTPS_PROXY": "http://u:p@h"}
    odd = {**said, "message": "a\0b\ud800", "finished_at": None}
    found = environment(odd, ours, "/mirror")
    rest = {name: it for name, it in found.items() if not name.startswith("ARTIFACT_SYNC_HOOK_")}
    assert rest == {"PATH": "/bin", "LC_ALL": "C"}
    assert found["ARTIFACT_SYNC_HOOK_MESSAGE"] == "a�b?"
    assert found["ARTIFACT_SYNC_HOOK_FINISHED_AT"] == ""
    assert found["ARTIFACT_SYNC_HOOK_ROOT"] == "/mirror"


def test_without_hooks_it_waits_instead_of_beginning_again():
    """A kind: endless work that ends is begun again at once, and keeps a core busy."""

    async def story(ledger, clock):
        telling = asyncio.ensure_future(dispatcher(ledger, clock).run())
        done, _ = await asyncio.wait([telling], timeout=0.3)
        telling.cancel()
        await asyncio.wait([telling])
        assert done == set()

    play(story)
