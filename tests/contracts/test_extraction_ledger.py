"""What ``ports.ExtractionLedger`` promises, on every database."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from artifact_sync.domain.archives import Extraction, ExtractionState, UnpackedEntry
from artifact_sync.domain.listing import ArtifactFilter
from artifact_sync.domain.model import (
    ArtifactKey,
    Mirrored,
    MirrorPath,
    RepoName,
    Run,
    RunKey,
    Strength,
)
from artifact_sync.domain.usage import UsageBy

NOW = datetime(2026, 11, 23, tzinfo=UTC)
HERE, THERE = RepoName("acme", "here"), RepoName("acme", "there")
REPOS = (HERE, THERE)
SHA256, OTHER = "ab" * 32, "cd" * 32
ENTRIES = [
    UnpackedEntry("Ünï/a b", 2**33, OTHER),  # more than fits into four bytes
    UnpackedEntry("empty"),
    UnpackedEntry("latest", 0, OTHER, "Ünï/a b"),
    UnpackedEntry("run.sh", 7, SHA256),
]
BEGUN = Extraction(ExtractionState.PUBLISHING, SHA256, "1/2/3", 2)
REFUSED = Extraction(ExtractionState.REFUSED, SHA256, "1/2/3", 0, 0, "unsafe_archive", "'..\x00'")


def key(name: str, repo: RepoName = HERE) -> ArtifactKey:
    return ArtifactKey(*repo, "1", "w", "t", "c", name)


def a_file(which: ArtifactKey) -> Mirrored:
    path = MirrorPath("/".join(which))
    return Mirrored(which, path, 10, SHA256, Strength.DIGEST, (), fetched_at=NOW)


async def mirror(ledger, *keys: ArtifactKey) -> None:
    for which in keys:
        await ledger.record_mirrored(a_file(which))


async def unpack(ledger, *keys: ArtifactKey) -> None:
    for which in keys:
        await ledger.begin_extraction(which, BEGUN, ENTRIES)
        await ledger.end_extraction(which)


async def row_of(ledger, which: ArtifactKey):
    (row,) = [
        it async for it in ledger.select([which.run_key.repo], ArtifactFilter()) if it.key == which
    ]
    return row


async def counted(ledger) -> list[int]:
    """The bytes of both repositories, by each way to learn them."""
    totals = [(await ledger.totals(repo)).bytes for repo in REPOS]
    assert totals == [await ledger.bytes_on_record(repo) for repo in REPOS]
    assert sum(totals) == await ledger.bytes_on_record(None)
    for by in UsageBy:
        assert sum([it.bytes async for it in ledger.used(REPOS, by)]) == sum(totals)
    return totals


@pytest.fixture
def play(with_ledger):
    """Runs a story with the ledger of a mirror of a run in each repository."""

    def run(story):
        async def main(ledger):
            for repo in REPOS:
                await ledger.note_run(Run(RunKey(repo, "1"), "success", "push", NOW), NOW)
            await story(ledger)

        with_ledger(main)

    return run


SIZE = 2**33 + 7


def test_an_extraction_counts_once_its_folder_has_its_name(play):
    async def story(ledger):
        which = key("a.zip")
        await mirror(ledger, which, key("b", THERE))
        await ledger.note_archives([(which, "zip"), (key("unknown"), "tar")])
        row = await row_of(ledger, which)
        assert (row.archive, row.extraction) == ("zip", None)
        await ledger.begin_extraction(which, BEGUN, ENTRIES)
        row = await row_of(ledger, which)
        assert row.extraction == BEGUN
        assert [it.key for it in await ledger.unfinished_extractions(HERE)] == [which]
        assert await ledger.unfinished_extractions(THERE) == []
        assert await counted(ledger) == [10, 10]
        for _ in range(2):  # the second changes nothing
            await ledger.end_extraction(which)
            found = (await row_of(ledger, which)).extraction
            assert (found.state, found.files, found.bytes) == (ExtractionState.HERE, 2, SIZE)
            assert type(found.bytes) is int
            assert await counted(ledger) == [10 + SIZE, 10]
        assert sorted(await ledger.unpacked(which)) == sorted(ENTRIES)
        assert await ledger.unpacked(key("b", THERE)) == []
        assert await ledger.unfinished_extractions(HERE) == []

    play(story)


def test_entries_are_listed_by_path_on_every_database_alike(play):
    async def story(ledger):
        which = key("a.zip")
        await mirror(ledger, which)
        paths = ["B", "a", "a-b", "a/b", "a b", "Z/z", "é", "_", ""]
        await ledger.begin_extraction(which, BEGUN, [UnpackedEntry(it) for it in paths])
        assert [it.path for it in await ledger.unpacked(which)] == sorted(paths)
        many = [UnpackedEntry(f"{number:05}", 1, OTHER) for number in range(2500)]
        await ledger.begin_extraction(which, BEGUN, many)  # in the place of the others
        assert await ledger.unpacked(which) == many

    play(story)


def test_what_is_refused_or_dropped_counts_no_more(play):
    async def story(ledger):
        first, second = key("a.zip"), key("b.zip")
        await mirror(ledger, first, second)
        await unpack(ledger, first, second)
        assert await counted(ledger) == [20 + 2 * SIZE, 0]
        await ledger.fail_extraction(first, REFUSED)
        await ledger.end_extraction(first)  # it was not begun
        found = (await row_of(ledger, first)).extraction
        assert (found.state, found.reason) == (REFUSED.state, REFUSED.reason)
        assert [it.key for it in await ledger.unfinished_extractions(HERE)] == [first]
        assert await counted(ledger) == [20 + SIZE, 0]
        await ledger.drop_extraction(second)
        assert (await row_of(ledger, second)).extraction is None
        assert await counted(ledger) == [20, 0]
        assert await ledger.unpacked(first) == await ledger.unpacked(second) == []

    play(story)


def test_nothing_is_known_of_an_extraction_whose_artifact_is_unknown(play):
    async def story(ledger):
        nowhere = ArtifactKey(*HERE, "77", "w", "t", "c", "a.zip")
        for which in (key("a.zip"), nowhere):
            await ledger.begin_extraction(which, BEGUN, ENTRIES)
            await ledger.end_extraction(which)
            await ledger.fail_extraction(which, REFUSED)
            await ledger.drop_extraction(which)
            assert await ledger.unpacked(which) == []
        assert await counted(ledger) == [0, 0]

    play(story)


def test_what_was_unpacked_goes_with_its_artifact(play):
    async def story(ledger):
        keys = [key(name) for name in ("forgotten", "pruned", "lost")]
        await mirror(ledger, *keys, key("run", THERE))
        await unpack(ledger, *keys, key("run", THERE))
        await ledger.forget(keys[:1])
        assert await counted(ledger) == [20 + 2 * SIZE, 10 + SIZE]
        await ledger.pruning(keys[1:2])
        assert (await counted(ledger))[0] == 10 + SIZE
        await ledger.pruned(keys[1:2])
        await ledger.note_lost([await row_of(ledger, keys[2])], NOW)
        assert await counted(ledger) == [0, 10 + SIZE]
        await mirror(ledger, keys[2])
        bytes_here = (await counted(ledger))[0]
        row = await row_of(ledger, keys[2])
        assert bytes_here == 10 + (row.extraction.bytes if row.extraction else 0)
        assert await ledger.unpacked(keys[0]) == await ledger.unpacked(keys[1]) == []
        await ledger.forget_run(RunKey(THERE, "1"))
        assert await ledger.unpacked(key("run", THERE)) == []
        assert (await counted(ledger))[1] == 0

    play(story)


def test_the_terms_are_kept_for_each_repository(play):
    async def story(ledger):
        assert await ledger.extract_terms(HERE) == ""
        await ledger.note_extract_terms(HERE, "dist* 1/2/3")
        await ledger.note_extract_terms(HERE, "dist* 4/5/6")
        assert [await ledger.extract_terms(repo) for repo in REPOS] == ["dist* 4/5/6", ""]
        assert await ledger.extract_terms(RepoName("acme", "unknown")) == ""

    play(story)
