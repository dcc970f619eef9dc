"""What ``ports.OutboxLedger`` promises, on every database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from artifact_sync.domain.errors import Reason
from artifact_sync.domain.hooks import HookEvent, Subscriptions
from artifact_sync.domain.model import (
    ArtifactKey,
    Failure,
    Mirrored,
    MirrorPath,
    RepoName,
    Run,
    RunKey,
    RunScope,
    State,
    Strength,
)

NOW = datetime(2026, 11, 23, 12, 0, 0, 250, tzinfo=UTC)
DAY = timedelta(days=1)
REPO = RepoName("acme", "widgets")
RUN = RunKey(REPO, "7")
KEY = ArtifactKey(*RUN.repo, RUN.run, "build", "compile", "linux", "dist/\\app\ud800.tar.gz")


class Time:
    """A clock that stands still."""

    def __init__(self):
        self.now = NOW


@pytest.fixture
def play(with_ledger):
    """Runs a story with a fresh ledger that posts for two hooks, and its clock."""

    def run(story, hooks=None):
        every = dict.fromkeys(HookEvent, ("mail",)) | {HookEvent.RUN_COMPLETE: ("mail", "chat")}
        time = Time()

        async def main(ledger):
            asked = every if hooks is None else hooks
            ledger.subscribe(Subscriptions(asked, lambda: time.now, 14 * DAY.total_seconds()))
            await ledger.note_run(Run(RUN, "success", "push", NOW - 10 * DAY), NOW)
            await story(ledger, time)

        with_ledger(main)

    return run


def mirrored(key=KEY, size=10):
    path = MirrorPath("acme/widgets/7/app.tar.gz")
    told = {"strength": Strength.DIGEST, "evidence": ("digest:sha-256",), "fetched_at": NOW}
    return Mirrored(key, path, size, "ab" * 32, **told)


def gone(key=KEY):
    return Failure.of(key, Reason.GONE, "it is gone")


async def waiting(ledger):
    return [it async for it in ledger.deliveries()]


async def events(ledger):
    return [(it.event.value, it.hook) for it in await waiting(ledger)]


def test_a_run_that_is_complete_is_told_once_to_each_hook(play):
    async def story(ledger, _):
        await ledger.record_mirrored(mirrored())
        await ledger.mark_complete(RUN, complete=True)
        await ledger.mark_complete(RUN, complete=True)
        assert await events(ledger) == [("run.complete", "mail"), ("run.complete", "chat")]
        first, second = await waiting(ledger)
        assert first.id != second.id
        assert len(first.id) == 32
        facts = {"repo": "acme/widgets", "run": "7", "status": "success", "run_event": "push"}
        assert facts.items() <= first.facts.items()
        assert (first.facts["files"], first.facts["bytes"]) == (1, 10)
        assert (first.happened_at, first.next_try, first.tries) == (NOW, NOW, 0)

    play(story)


def test_nothing_is_written_where_no_hook_is(play):
    async def story(ledger, _):
        await ledger.mark_complete(RUN, complete=True)
        await ledger.end_run(RUN, 1, "cut short")
        await ledger.post_expiring(RunScope(REPO, "all"))
        assert await waiting(ledger) == []

    play(story, hooks={})


def test_a_run_that_fails_is_told_once_until_it_is_well(play):
    async def story(ledger, _):
        await ledger.end_run(RUN, 2, "cut short")
        await ledger.end_run(RUN, 1, "cut short again")
        (it,) = await waiting(ledger)
        assert it.event is HookEvent.RUN_INCOMPLETE
        assert (it.facts["failed"], it.facts["message"]) == (2, "cut short")
        await ledger.end_run(RUN, 0, "")
        await ledger.end_run(RUN, 1, "x" * 10_000)
        assert len(await waiting(ledger)) == 2
        assert len((await waiting(ledger))[1].facts["message"]) == 2000
        await ledger.end_run(RunKey(REPO, "8"), 1, "nobody knows it")
        assert len(await waiting(ledger)) == 2

    play(story)


def test_a_file_is_lost_when_upstream_has_it_no_more_and_once_a_loss(play):
    async def story(ledger, _):
        await ledger.record_mirrored(mirrored())
        rows = list((await ledger.artifacts(RUN)).values())
        await ledger.note_lost(rows, NOW)
        await ledger.end_run(RUN, 0, "")
        assert await waiting(ledger) == []  # it may be fetched again
        await ledger.record_failure(KEY, State.LOST, gone(), NOW)
        await ledger.end_run(RUN, 0, "")
        await ledger.record_failure(KEY, State.LOST, gone(), NOW + DAY)
        await ledger.end_run(RUN, 0, "")
        (it,) = await waiting(ledger)
        assert it.event is HookEvent.FILE_LOST
        assert it.facts["local_path"] == KEY.local_path
        assert it.facts["sha256"] == "ab" * 32
        assert it.facts["lost_since"] == NOW.isoformat()
        await ledger.adopt(list((await ledger.artifacts(RUN)).values()), NOW + DAY)
        await ledger.note_lost(list((await ledger.artifacts(RUN)).values()), NOW + 2 * DAY)
        await ledger.end_run(RUN, 0, "")
        assert len(await waiting(ledger)) == 2

    play(story)


def test_a_file_of_a_forgotten_run_is_lost_whatever_was_noted_of_itself(play):
    async def story(ledger, _):
        await ledger.record_mirrored(mirrored())
        await ledger.note_lost(list((await ledger.artifacts(RUN)).values()), NOW)
        await ledger.lose_run(RUN, NOW)
        await ledger.end_run(RUN, 0, "")
        assert await events(ledger) == [("file.lost", "mail")]

    play(story)


@pytest.mark.parametrize(
    ("age", "state", "told"),
    [
        (DAY * 11.9, State.WANTED, False),
        (DAY * 12.1, State.WANTED, True),
        (DAY * 13.9, State.FAILED, True),
        (DAY * 14.1, State.WANTED, False),
        (DAY * 13.0, State.MIRRORED, False),
        (DAY * 13.0, State.PENDING, False),
        (DAY * 13.0, None, True),  # nobody has looked at it
    ],
)
def test_a_run_is_expiring_in_its_last_two_days_while_something_is_outstanding(
    play, age, state, told
):
    async def story(ledger, time):
        time.now = NOW - 10 * DAY + age
        if state is State.MIRRORED:
            await ledger.record_mirrored(mirrored())
        elif state is not None:
            await ledger.record_states([(KEY, state, "")], NOW)
            await ledger.mark_noted(RUN, noted=True)
        for _ in range(2):
            await ledger.post_expiring(RunScope(REPO, "all"))
        assert await events(ledger) == [("expiring", "mail")] * told
        if told:
            (it,) = await waiting(ledger)
            assert it.facts["vanishes_at"] == (NOW + 4 * DAY).isoformat()
            later = RunScope(REPO, "all", since=NOW)
            await ledger.begin_anew(Run(RUN, "success", "push", NOW - 10 * DAY), NOW)
            await ledger.post_expiring(later)
            assert len(await waiting(ledger)) == 1

    play(story)


def test_removed_files_are_told_a_run_at_a_time(play):
    async def story(ledger, _):
        other = KEY._replace(local_path="b")
        await ledger.record_mirrored(mirrored())
        await ledger.record_mirrored(mirrored(other, size=5))
        await ledger.pruning([KEY, other])
        await ledger.pruned([KEY, other])
        await ledger.pruned([KEY, other])
        (it,) = await waiting(ledger)
        assert (it.event, it.facts["files"], it.facts["bytes"]) == (HookEvent.PRUNED, 2, 15)

    play(story)


def test_a_delivery_is_put_off_given_up_and_tried_again(play):
    async def story(ledger, _):
        await ledger.mark_complete(RUN, complete=True)
        mail, chat = await waiting(ledger)
        assert await ledger.due_delivery("mail", NOW) == mail
        assert await ledger.due_delivery("nobody", NOW) is None
        await ledger.put_off(mail.id, NOW, NOW + timedelta(hours=1), "it failed \0\ud800")
        assert await ledger.due_delivery("mail", NOW) is None
        assert await ledger.next_try("mail") == NOW + timedelta(hours=1)
        assert await ledger.due_delivery("mail", NOW - DAY) is not None  # the clock was set back
        due = await ledger.due_delivery("mail", NOW + timedelta(hours=1))
        assert (due.tries, due.first_try, due.last_error) == (1, NOW, "it failed \0\ud800")
        await ledger.put_off(mail.id, NOW + DAY, None, "once more")
        assert await ledger.next_try("mail") is None
        assert await ledger.due_delivery("mail", NOW + 30 * DAY) is None
        given_up, _ = await waiting(ledger)
        assert (given_up.tries, given_up.first_try, given_up.next_try) == (2, NOW, None)
        await ledger.try_again([mail.id, "unknown"], NOW + DAY)
        again = await ledger.due_delivery("mail", NOW + DAY)
        assert (again.tries, again.first_try, again.id) == (0, None, mail.id)
        await ledger.drop_deliveries([mail.id, "unknown"])
        assert [it.id for it in await waiting(ledger)] == [chat.id]

    play(story)


def test_all_that_waits_for_a_hook_is_put_off_and_nothing_comes_sooner(play):
    async def story(ledger, _):
        await ledger.mark_complete(RUN, complete=True)
        mail, chat = await waiting(ledger)
        await ledger.put_off_hook("mail", NOW + timedelta(hours=1))
        await ledger.put_off_hook("mail", NOW + timedelta(minutes=1))
        assert await ledger.next_try("mail") == NOW + timedelta(hours=1)
        assert (await ledger.due_delivery("chat", NOW)).id == chat.id
        await ledger.put_off(mail.id, NOW, None, "given up")
        await ledger.put_off_hook("mail", NOW + timedelta(hours=2))
        assert await ledger.next_try("mail") is None

    play(story)


def test_what_waits_for_hooks_that_are_gone_is_dropped(play):
    async def story(ledger, _):
        await ledger.mark_complete(RUN, complete=True)
        assert await ledger.drop_unsubscribed() == {}
        mail = {HookEvent.PRUNED: ("mail",)}
        ledger.subscribe(Subscriptions(mail, lambda: NOW, DAY.total_seconds()))
        assert await ledger.drop_unsubscribed() == {"chat": 1}
        assert await ledger.drop_unsubscribed() == {}
        assert await events(ledger) == [("run.complete", "mail")]

    play(story)


def test_a_run_that_is_forgotten_takes_along_what_was_told_of_it(play):
    async def story(ledger, _):
        await ledger.end_run(RUN, 1, "cut short")
        await ledger.forget_run(RUN)
        await ledger.note_run(Run(RUN, "success", "push", NOW), NOW)
        await ledger.end_run(RUN, 1, "cut short")
        assert len(await waiting(ledger)) == 2

    play(story)
