"""What the ledger knows of files of the same bytes, on every database."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from artifact_sync.domain.model import (
    ArtifactKey,
    Mirrored,
    MirrorPath,
    RepoName,
    Run,
    RunKey,
    State,
    Strength,
)

NOW = datetime(2026, 11, 23, tzinfo=UTC)
HERE, THERE = RepoName("acme", "here"), RepoName("acme", "there")
SHA256 = "ab" * 32


def a_file(repo: RepoName, name: str, shares: int | None = None, **more) -> Mirrored:
    key = ArtifactKey(*repo, "1", "w", "t", "c", name)
    path = MirrorPath(f"{repo}/1/{name}")
    values = {"size": 10, "sha256": SHA256, **more}
    return Mirrored(key, path, strength=Strength.DIGEST, evidence=(), shares=shares, **values)


async def saved(ledger) -> tuple[int, int]:
    return tuple([(await ledger.totals(repo)).shared_bytes for repo in (HERE, THERE)])


async def share(ledger, *names: tuple[RepoName, str], **more) -> None:
    """Files that share the blocks of the last one that is here."""
    for repo, name in names:
        found = await ledger.same_bytes(more.get("sha256", SHA256))
        shares = found[0].number if found else None
        await ledger.record_mirrored(a_file(repo, name, shares, **more))


@pytest.fixture
def play(with_ledger):
    """Runs a story with the ledger of a mirror of a run in each repository."""

    def run(story):
        async def main(ledger):
            for repo in (HERE, THERE):
                await ledger.note_run(Run(RunKey(repo, "1"), "success", "push", NOW), NOW)
            await story(ledger)

        with_ledger(main)

    return run


def test_mirrored_files_are_found_by_their_sha256(play):
    async def story(ledger):
        assert await ledger.same_bytes(SHA256) == []
        assert await ledger.same_bytes("") == []
        await share(ledger, (HERE, "a"), (THERE, "b"))
        await ledger.record_mirrored(a_file(HERE, "other", sha256="cd" * 32))
        await ledger.record_states([(a_file(HERE, "none").key, State.WANTED, "")], NOW)
        found = [(it.path, it.size) for it in await ledger.same_bytes(SHA256)]
        assert found == [("acme/there/1/b", 10), ("acme/here/1/a", 10)]
        (row,) = (await ledger.artifacts(RunKey(THERE, "1"))).values()
        await ledger.note_lost([row], NOW)
        assert [it.path for it in await ledger.same_bytes(SHA256)] == ["acme/here/1/a"]

    play(story)


def test_bytes_saved_are_all_but_those_of_one_file_of_each_blocks(play):
    async def story(ledger):
        await share(ledger, (HERE, "a"), (HERE, "b"), (THERE, "c"), (THERE, "d"))
        assert await saved(ledger) == (10, 20)
        await ledger.pruning([a_file(HERE, "a").key])  # "d" counts for all of them now
        assert await saved(ledger) == (10, 10)
        await ledger.pruned([a_file(HERE, "a").key])
        await ledger.prune_run(RunKey(HERE, "1"), NOW)
        assert await saved(ledger) == (0, 10)
        await ledger.forget([a_file(THERE, "c").key])
        assert await saved(ledger) == (0, 0)
        await share(ledger, (THERE, "e"))
        assert await saved(ledger) == (0, 10)
        known = (await ledger.artifacts(RunKey(THERE, "1"))).values()
        await ledger.note_lost(list(known), NOW)  # all of one blocks, as is damaged together
        assert await saved(ledger) == (0, 0)

    play(story)


def test_all_that_share_the_blocks_of_one_are_found_by_any_of_them(play):
    async def story(ledger):
        await share(ledger, (HERE, "a"), (HERE, "b"), (THERE, "c"))
        await ledger.record_mirrored(a_file(THERE, "alone"))
        names = {}
        for repo, name in ((HERE, "a"), (HERE, "b"), (THERE, "c"), (THERE, "alone"), (HERE, "?")):
            found = await ledger.sharing(a_file(repo, name).key)
            names[name] = "".join(it.key.local_path for it in found)
        assert names == {"a": "bc", "b": "ac", "c": "ab", "alone": "", "?": ""}

    play(story)


def test_what_others_share_is_not_freed(play):
    async def story(ledger):
        here, there = RunKey(HERE, "1"), RunKey(THERE, "1")
        assert await ledger.shared_beyond_runs([here]) == 0
        await share(ledger, (HERE, "a"), (HERE, "b"), (THERE, "c"))
        await share(ledger, (HERE, "x"), (HERE, "y"), sha256="cd" * 32)
        await ledger.record_mirrored(a_file(THERE, "alone", sha256="ef" * 32))

        def of(repo, names):
            return ledger.shared_beyond([a_file(repo, it).key for it in names])

        assert [await of(HERE, it) for it in ("a", "ab", "x", "xy", "abxy")] == [10, 20, 10, 10, 30]
        assert [await of(THERE, it) for it in (["c"], ["alone"], ["c", "alone"])] == [10, 0, 10]
        assert await ledger.shared_beyond_runs([here]) == 30
        assert await ledger.shared_beyond_runs([there]) == 10
        assert await ledger.shared_beyond_runs([here, there]) == 30

    play(story)


def test_a_file_put_there_anew_shares_nothing_that_it_does_not_name(play):
    async def story(ledger):
        await share(ledger, (HERE, "a"), (HERE, "b"), (HERE, "c"))
        again = a_file(HERE, "b", is_new=False)
        await ledger.record_mirrored(again)  # such as with more evidence
        assert await saved(ledger) == (20, 0)
        await ledger.record_mirrored(a_file(HERE, "a"))
        assert await saved(ledger) == (10, 0)
        await ledger.record_mirrored(a_file(HERE, "a", sha256="cd" * 32))
        await ledger.record_mirrored(a_file(HERE, "b"))
        assert await saved(ledger) == (0, 0)
        (first, _) = await ledger.same_bytes(SHA256)
        await ledger.record_mirrored(a_file(HERE, "a", first.number, sha256="cd" * 32))
        assert await saved(ledger) == (0, 0)  # it names a file of other bytes
        await ledger.pruning([a_file(HERE, name).key for name in "abc"])
        await ledger.record_mirrored(a_file(HERE, "d", first.number))
        assert await saved(ledger) == (0, 0)  # it names a file that is here no more

    play(story)
