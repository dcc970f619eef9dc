from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import subprocess
import sys
import tempfile
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from artifact_sync.domain.errors import DiskError, LedgerTooNew, NoSpace, UsageError
from artifact_sync.domain.model import (
    ArtifactKey,
    Horizon,
    Mirrored,
    MirrorPath,
    RepoName,
    RunKey,
    RunScope,
    State,
    Strength,
)
from artifact_sync.ledger import migrations, open_ledger

NOW = datetime(2026, 11, 23, tzinfo=UTC)
REPO = RepoName("acme", "widgets")
KEY = ArtifactKey(*REPO, "7", "build", "compile", "linux", "app.tar.gz")
FILE = Mirrored(KEY, MirrorPath("a/b"), 3, "ab" * 32, Strength.LENGTH, ("length",), fetched_at=NOW)

needs_root = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root to become somebody else"
)
needs_modes = pytest.mark.skipif(os.name == "nt", reason="Windows has no such rights on files")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.sqlite"


def play(url, story, **how):
    async def main():
        async with await open_ledger(url, **{"durability": "full", **how}) as ledger:
            return await story(ledger)

    return asyncio.run(main())


async def nothing(ledger):
    pass


async def record(ledger):
    await ledger.record_mirrored(FILE)


async def known(ledger):
    return list(await ledger.artifacts(KEY.run_key))


def pragma(ledger, name):
    return ledger._worker.read(lambda c: c.raw.execute(f"PRAGMA {name}").fetchone()[0])


@needs_modes
def test_a_new_ledger_is_for_its_owners_eyes(path):
    async def story(ledger):
        await record(ledger)
        modes = {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
        assert modes == {0o600}

    play(path, story)
    assert [file.name for file in path.parent.iterdir()] == ["ledger.sqlite"]


@pytest.mark.parametrize(("durability", "synchronous"), [("full", 2), ("fast", 1)])
def test_durability_is_the_databases(path, durability, synchronous):
    async def story(ledger):
        assert await pragma(ledger, "synchronous") == synchronous
        assert await pragma(ledger, "journal_mode") == "wal"
        assert await pragma(ledger, "foreign_keys") == 1
        assert await pragma(ledger, "busy_timeout") == 10_000

    play(path, story, durability=durability)


def test_a_path_may_hold_what_a_url_could_not(tmp_path):
    path = tmp_path / "50% of ?it & #more.sqlite"
    play(path, record)
    assert play(path, known, read_only=True) == [KEY]
    assert [file.name for file in tmp_path.iterdir() if file.suffix == ".sqlite"] == [path.name]


def test_a_missing_folder_is_made_for_its_owner_alone(tmp_path):
    play(tmp_path / "new" / "ledger.sqlite", nothing)
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("how", [{"create": False}, {"read_only": True}])
def test_no_ledger_is_said_and_none_is_made(path, how):
    with pytest.raises(UsageError, match="there is no ledger at"):
        play(path, nothing, **how)
    assert not path.exists()


@pytest.mark.parametrize("how", [{"create": False}, {"read_only": True}])
def test_an_empty_file_is_no_ledger_yet(path, how):
    path.touch()
    with pytest.raises(UsageError, match="there is no ledger at"):
        play(path, nothing, **how)
    assert path.stat().st_size == 0
    play(path, record)
    assert play(path, known) == [KEY]


def test_a_dry_run_without_a_ledger_uses_one_in_memory():
    async def story(ledger):
        await record(ledger)
        return await known(ledger)

    assert play("sqlite://", story, read_only=True) == [KEY]


@pytest.mark.parametrize("how", [{}, {"read_only": True}])
def test_a_newer_programs_ledger_is_refused(path, how):
    play(path, nothing)
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("UPDATE artifact_sync_version SET version_num = '9999'")
    with pytest.raises(LedgerTooNew) as caught:
        play(path, nothing, **how)
    assert (caught.value.found, caught.value.known) == ("9999", migrations.head())


@pytest.mark.parametrize("how", [{}, {"read_only": True}])
def test_some_other_file_is_not_taken_for_a_ledger(path, how):
    path.write_bytes(b"no ledger at all" * 512)
    with pytest.raises(DiskError, match="is not a ledger"):
        play(path, nothing, **how)
    assert path.read_bytes() == b"no ledger at all" * 512


def test_a_damaged_ledger_says_what_to_do(path):
    play(path, record)
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 4096))
    with pytest.raises(DiskError, match=r"is damaged: .* move it aside"):
        play(path, known)


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("what is this", "must be sqlite:///FILE or postgresql://HOST/DATABASE"),
        ("sqlite:///file:x?uri=true", "plain file"),
        ("sqlite:///x?password=geheim", "no option but timeout"),
        ("nonsuch://u:geheim@host/db", "must be sqlite:///FILE"),
    ],
)
def test_a_url_that_cannot_be_used_is_said_without_its_password(url, word):
    with pytest.raises(UsageError, match=word) as caught:
        play(url, nothing)
    assert "geheim" not in str(caught.value)


def test_a_lock_of_another_process_is_named_as_such(path):
    play(path, record)

    async def story(ledger):
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            assert await known(ledger) == [KEY]
            results = await asyncio.gather(record(ledger), record(ledger), return_exceptions=True)
            for error in results:
                assert type(error) is DiskError
                assert "is locked by another process" in str(error)
        await record(ledger)

    play(f"sqlite:///{path}?timeout=0.05", story)


MUCH = [(KEY._replace(local_path=f"{n}"), State.WANTED, "v" * 5000) for n in range(100)]


def test_a_full_disk_is_no_space_and_it_goes_on_when_there_is_room_again(path):
    async def story(ledger):
        await record(ledger)
        pages = await pragma(ledger, "page_count")
        await pragma(ledger, f"max_page_count = {pages + 5}")
        with pytest.raises(NoSpace, match="make room"):
            await ledger.record_states(MUCH, NOW)
        assert await known(ledger) == [KEY]
        await pragma(ledger, "max_page_count = 100000")
        await ledger.record_states(MUCH, NOW)
        assert (await ledger.totals(REPO)).states[State.WANTED] == 100

    play(path, story)


def fill(file):
    with file.open("wb", buffering=0) as ballast:
        while True:
            ballast.write(bytes(4096))


@needs_modes
@pytest.mark.root
@needs_root
def test_a_really_full_disk_is_no_space_too(tmp_path):
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=700k", "none", tmp_path], check=True)
    try:
        ballast = tmp_path / "ballast"

        async def story(ledger):
            await record(ledger)
            with pytest.raises(OSError, match="space"):
                fill(ballast)
            with pytest.raises(NoSpace):
                await ledger.record_states(MUCH, NOW)
            ballast.unlink()
            await ledger.raise_horizon(REPO, Horizon(1))

        play(tmp_path / "ledger.sqlite", story)
        assert play(tmp_path / "ledger.sqlite", known) == [KEY]
    finally:
        subprocess.run(["umount", tmp_path], check=True)


@pytest.fixture
def open_folder():
    """A folder that everybody may read; those of pytest are their owner's alone."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


READ = """
import asyncio, os, shutil, sys  # shutil: what the message of a failure needs, see below
from pathlib import Path
from artifact_sync.domain.errors import ArtifactSyncError
from artifact_sync.ledger import open_ledger
async def main(url):
    async with await open_ledger(url, durability="full", read_only=True) as ledger:
        print(*[row.key.run async for row in ledger.listing()])
asyncio.run(main("sqlite://"))  # imports all that a stranger may not be able to read
os.setuid(65534)
try:
    asyncio.run(main(Path(sys.argv[1])))
except ArtifactSyncError as error:
    print(type(error).__name__, error)
"""


def read_as_a_stranger(path):
    done = subprocess.run(
        [sys.executable, "-c", READ, path], stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout.strip()


@needs_modes
@pytest.mark.root
@needs_root
def test_a_ledger_at_rest_is_read_where_nothing_can_be_written(open_folder):
    path = open_folder / "ledger.sqlite"
    play(path, record)
    path.chmod(0o644)
    before = path.stat().st_mtime_ns
    assert read_as_a_stranger(path) == "7"
    assert path.stat().st_mtime_ns == before
    assert [file.name for file in path.parent.iterdir()] == ["ledger.sqlite"]


@needs_modes
@pytest.mark.root
@needs_root
def test_a_ledger_that_may_not_be_read_is_said(open_folder):
    path = open_folder / "ledger.sqlite"
    play(path, record)
    assert read_as_a_stranger(path).startswith("DiskError the ledger")


def test_reading_beside_a_writer_sees_what_is_committed(path):
    async def story(ledger):
        await record(ledger)
        async with await open_ledger(path, durability="full", read_only=True) as reader:
            assert await known(reader) == [KEY]
            await ledger.settle(RunKey(REPO, "8"), "s", 1)
            assert await reader.settled_totals(RunScope(REPO, "s")) == (1, 1)

    play(path, story)


def test_opening_sqlite_imports_no_other_driver(path):
    program = """
import asyncio, sys
from pathlib import Path
from artifact_sync.ledger import open_ledger
assert "sqlite3" not in sys.modules
async def main():
    await (await open_ledger(Path(sys.argv[1]), durability="full")).aclose()
asyncio.run(main())
assert "psycopg" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program, path], check=True)


def test_a_program_that_forgets_to_close_still_ends(path):
    program = """
import asyncio, sys
from pathlib import Path
from artifact_sync.ledger import open_ledger
asyncio.run(open_ledger(Path(sys.argv[1]), durability="full"))
"""
    subprocess.run([sys.executable, "-c", program, path], check=True, timeout=60)


def test_a_kill_loses_nothing_that_was_acknowledged(path):
    program = """
import asyncio, os, signal, sys
from pathlib import Path
from artifact_sync.ledger import open_ledger
from artifact_sync.domain.model import Horizon, RepoName
async def main():
    ledger = await open_ledger(Path(sys.argv[1]), durability="full")
    repos = [RepoName("o", str(number)) for number in range(40)]
    await asyncio.gather(*(ledger.raise_horizon(it, Horizon(int(it.repo))) for it in repos))
    os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", program, path], check=False, timeout=60)
    assert done.returncode != 0

    async def story(ledger):
        assert len(await ledger.repositories()) == 40
        assert await ledger.horizon(RepoName("o", "39")) == Horizon(39)

    play(path, story, read_only=True)
    play(path, story)


def test_being_cancelled_while_it_opens_leaves_nothing_open(path):
    async def main():
        opening = asyncio.create_task(open_ledger(path, durability="full"))
        await asyncio.sleep(0)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        async with await open_ledger(path, durability="full") as ledger:
            await record(ledger)

    asyncio.run(main())


def test_a_relative_path_is_one_from_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    play("sqlite:///here.sqlite", record)
    assert play(Path("here.sqlite"), known, read_only=True) == [KEY]
