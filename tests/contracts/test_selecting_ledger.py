"""What ``ports.Ledger`` promises of finding artifacts, on every database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from artifact_sync.domain.errors import Reason
from artifact_sync.domain.listing import ArtifactFilter, FailedTry, SortKey
from artifact_sync.domain.model import (
    ArtifactKey,
    Failure,
    Mirrored,
    MirrorPath,
    RepoName,
    Run,
    RunKey,
    State,
    Strength,
)
from artifact_sync.domain.usage import UsageBy, UsagePart

NOW = datetime(2026, 11, 23, 12, 0, 0, 250, tzinfo=UTC)
DAY = timedelta(days=1)
ROCKET, WEBSITE = RepoName("acme", "rocket"), RepoName("acme", "website")
REPOS = (ROCKET, WEBSITE)


def key(run: int, name: str, repo: RepoName = ROCKET) -> ArtifactKey:
    return ArtifactKey(*repo, str(run), "ci", "t", "c", name)


@pytest.fixture
def play(with_ledger):
    """Runs a story with the ledger of a mirror of five artifacts."""

    def run(story):
        async def main(ledger):
            await fill(ledger)
            await story(ledger)

        with_ledger(main)

    return run


async def fill(ledger):
    for run, repo, age in ((1, ROCKET, 9), (2, ROCKET, 2), (10, ROCKET, 1), (1, WEBSITE, 4)):
        await ledger.note_run(Run(RunKey(repo, str(run)), "success", "push", NOW - age * DAY), NOW)
    files = (
        (key(1, "b"), 10, "ab" * 32, 3),
        (key(2, "a"), 30, "abc" + "0" * 61, 1),
        (key(1, "c", WEBSITE), 20, "ab" * 32, 2),
    )
    for which, size, sha256, age in files:
        path = MirrorPath("/".join(which))
        at = NOW - age * DAY
        facts = (which, path, size, sha256, Strength.DIGEST, ())
        await ledger.record_mirrored(Mirrored(*facts, fetched_at=at))
    failure = Failure.of(key(2, "x"), Reason.CUT, "cut short")
    await ledger.record_failure(key(2, "x"), State.FAILED, failure, NOW)
    await ledger.record_states([(key(10, "w"), State.WANTED, "")], NOW)


async def names(ledger, repos=REPOS, **wanted):
    rows = ledger.select(repos, ArtifactFilter(**wanted))
    return [f"{row.key.repo[0]}{row.key.run}{row.key.local_path}" async for row in rows]


def test_artifacts_are_selected_by_all_that_is_asked_for(play):
    async def story(ledger):
        assert await names(ledger) == ["r10w", "r2a", "r2x", "r1b", "w1c"]
        assert await names(ledger, [WEBSITE]) == ["w1c"]
        assert await names(ledger, []) == []
        assert await names(ledger, states=frozenset({State.FAILED, State.WANTED})) == [
            "r10w",
            "r2x",
        ]
        assert await names(ledger, since=NOW - 3 * DAY) == ["r10w", "r2a", "r2x"]
        runs = frozenset({RunKey(ROCKET, "1"), RunKey(WEBSITE, "1"), RunKey(ROCKET, "77")})
        assert await names(ledger, runs=runs) == ["r1b", "w1c"]
        assert await names(ledger, runs=frozenset()) == []
        assert await names(ledger, sha256="ab") == ["r2a", "r1b", "w1c"]
        assert await names(ledger, sha256="ab" * 32) == ["r1b", "w1c"]
        assert await names(ledger, [WEBSITE], sha256="ab" * 32) == ["w1c"]
        assert await names(ledger, sha256="ab" * 32, runs=frozenset({RunKey(ROCKET, "1")})) == [
            "r1b"
        ]
        assert await names(ledger, sha256="abd") == await names(ledger, sha256="0") == []
        assert await names(ledger, sha256="ab", since=NOW - 3 * DAY) == ["r2a"]

    play(story)


def test_the_ledger_sorts_over_all_repositories(play):
    async def story(ledger):
        orders = {
            SortKey.PATH: ["r1b", "r2a", "w1c", "r2x", "r10w"],
            SortKey.SIZE: ["r2a", "w1c", "r1b", "r10w", "r2x"],
            SortKey.AGE: ["r10w", "r2x", "r2a", "w1c", "r1b"],
            SortKey.RUN: ["r10w", "r2x", "r2a", "w1c", "r1b"],
            SortKey.STATE: ["r2x", "r10w", "r1b", "w1c", "r2a"],
        }
        for sort, order in orders.items():
            assert await names(ledger, sort=sort) == order
            assert await names(ledger, sort=sort, reverse=True) == order[::-1]
        here = frozenset({State.MIRRORED})
        assert await names(ledger, sort=SortKey.VERIFIED, states=here) == ["r1b", "w1c", "r2a"]
        assert await names(ledger, reverse=True) == (await names(ledger))[::-1]

    play(story)


def test_a_path_is_looked_up_whatever_has_become_of_its_artifact(play):
    async def story(ledger):
        path = "acme/rocket/2/ci/t/c/a"
        assert [row.key for row in await ledger.at_path(path)] == [key(2, "a")]
        await ledger.note_lost(await ledger.at_path(path), NOW)
        assert [row.state for row in await ledger.at_path(path)] == [State.LOST]
        assert await ledger.at_path("acme/rocket/2/ci/t/c") == []

    play(story)


def test_the_last_failed_tries_are_kept_and_go_with_the_artifact(play):
    async def story(ledger):
        which = key(2, "x")
        assert await ledger.failed_tries(which) == [FailedTry(NOW, "cut", "cut short")]
        for number in range(1, 24):
            failure = Failure.of(which, Reason.GONE, f"gone {number}")
            await ledger.record_failure(which, State.GONE, failure, NOW + number * DAY)
        tries = await ledger.failed_tries(which)
        assert [it.message for it in tries] == [f"gone {number}" for number in range(4, 24)]
        assert tries[0] == FailedTry(NOW + 4 * DAY, "gone", "gone 4")
        assert await ledger.failed_tries(key(2, "a")) == []
        await ledger.forget([which])
        assert await ledger.failed_tries(which) == []
        failure = Failure.of(which, Reason.CUT, "cut")
        await ledger.record_failure(which, State.FAILED, failure, NOW)
        await ledger.forget_run(which.run_key)
        await ledger.note_run(Run(which.run_key, "success"), NOW)
        assert await ledger.failed_tries(which) == []

    play(story)


def test_what_files_take_is_summed_up_by_what_they_belong_to(play):
    async def story(ledger):
        async def used(by, repos=REPOS):
            return [it async for it in ledger.used(repos, by)]

        assert await used(UsageBy.REPO) == [
            UsagePart("acme/rocket", 40, 2, 2), UsagePart("acme/website", 20, 1, 1),
        ]  # fmt: skip
        assert await used(UsageBy.RUN) == [
            UsagePart("acme/rocket@2", 30, 1, 1), UsagePart("acme/website@1", 20, 1, 1),
            UsagePart("acme/rocket@1", 10, 1, 1),
        ]  # fmt: skip
        assert await used(UsageBy.WORKFLOW) == [UsagePart("ci", 60, 3, 3)]
        assert await used(UsageBy.WORKFLOW, [ROCKET]) == [UsagePart("ci", 40, 2, 2)]
        assert [it.name for it in await used(UsageBy.PATH)] == ["a", "c", "b"]
        assert await used(UsageBy.PATH, [WEBSITE]) == [UsagePart("c", 20, 1, 1)]
        assert await used(UsageBy.PATH, []) == await used(UsageBy.REPO, []) == []
        assert await ledger.bytes_in_shared_blocks(REPOS) == 0

    play(story)
