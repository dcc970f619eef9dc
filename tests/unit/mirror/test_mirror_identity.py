"""A mirror's id: kept in its own folder, and compared with the ledger's before both are used."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from artifact_sync.app.daemon_engine import started
from artifact_sync.app.locations import LEDGER, MirrorIds
from artifact_sync.app.storage import open_storage
from artifact_sync.domain.errors import DiskError, UsageError
from artifact_sync.domain.model import ArtifactKey, Mirrored, MirrorPath, RepoName, Strength
from artifact_sync.domain.settings import OWN_FOLDER, Config, LedgerSettings, MirrorSettings
from artifact_sync.ledger import open_ledger
from artifact_sync.mirror.local.own_folder import new_id, prepare, read_id, write_id
from artifact_sync.mirror.paths import ID

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from artifact_sync.app.storage import Storage
    from artifact_sync.domain.events import Event

X, Y = "1f" * 16, "2e" * 16
KEY = ArtifactKey(*RepoName("acme", "shop"), "7", "build", "compile", "linux", "app.tar")
PATH = MirrorPath("acme/shop/7/app.tar")
NOW = datetime(2026, 11, 23, tzinfo=UTC)
FILE = Mirrored(KEY, PATH, 3, "ab" * 32, Strength.LENGTH, ("length",), fetched_at=NOW)

needs_modes = pytest.mark.skipif(os.name == "nt", reason="Windows has no such rights on files")


def config(root: Path, ledger: Path | None = None) -> Config:
    url = f"sqlite:///{ledger}" if ledger else None
    return Config(mirror=MirrorSettings(root=root), ledger=LedgerSettings(url=url))


async def nothing(_: Storage) -> None:
    pass


async def record(store: Storage) -> None:
    await store.ledger.record_mirrored(FILE)


async def held(store: Storage) -> str | None:
    return await store.ledger.mirror()


def opened(
    settings: Config,
    story: Callable[[Storage], Awaitable[Any]] = nothing,
    *,
    rehearse: bool = False,
) -> Any:
    async def main() -> Any:
        async with open_storage(settings, rehearse=rehearse) as store:
            return await story(store)

    return asyncio.run(main())


def by_an_older_version(path: Path) -> None:
    """Make a ledger that knows a mirrored file, but no mirror's id."""

    async def main() -> None:
        async with await open_ledger(path, durability="fast") as ledger:
            await ledger.record_mirrored(FILE)

    asyncio.run(main())


def test_no_two_mirrors_have_one_id() -> None:
    assert new_id() != new_id()


def test_a_root_without_a_mirror_has_no_id(tmp_path: Path) -> None:
    assert read_id(tmp_path / "missing") is None
    assert read_id(tmp_path) is None
    prepare(tmp_path)
    assert read_id(tmp_path) is None


@needs_modes
def test_an_id_is_its_owners_alone_and_what_a_crash_left_is_no_obstacle(tmp_path: Path) -> None:
    own = prepare(tmp_path)
    (own / "id.new").write_text("half")
    (own / ID).symlink_to(tmp_path / "elsewhere")
    assert read_id(tmp_path) is None
    assert not write_id(tmp_path, X, Y)
    assert write_id(tmp_path, X, None)
    assert read_id(tmp_path) == X
    assert (own / ID).read_text() == f"{X}\n"
    assert stat.S_IMODE((own / ID).lstat().st_mode) == 0o600
    assert sorted(it.name for it in own.iterdir()) == ["displaced", ID, "staging"]
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("text", ["x", X[:-1], X + "0", X.upper(), "ü" * 200])
def test_what_is_no_id_is_a_fault_and_not_overwritten(tmp_path: Path, text: str) -> None:
    (prepare(tmp_path) / ID).write_text(text, encoding="utf-8")
    with pytest.raises(DiskError, match="holds no mirror's id"):
        read_id(tmp_path)
    with pytest.raises(DiskError, match="holds no mirror's id"):
        opened(config(tmp_path))
    assert (tmp_path / OWN_FOLDER / ID).read_text(encoding="utf-8") == text


@pytest.mark.parametrize(
    ("ids", "agreed"),
    [
        (MirrorIds(None, None, inside=False, used=False), ""),
        (MirrorIds(None, X, inside=False, used=False), X),
        (MirrorIds(X, X, inside=False, used=True), X),
        (MirrorIds(X, Y, inside=False, used=False), None),
        (MirrorIds(X, Y, inside=True, used=False), None),
        (MirrorIds(X, None, inside=False, used=False), None),
        (MirrorIds(X, None, inside=True, used=False), None),
        (MirrorIds(None, None, inside=False, used=True), None),
        (MirrorIds(None, X, inside=False, used=True), None),
        (MirrorIds(None, None, inside=True, used=True), ""),
        (MirrorIds(None, X, inside=True, used=True), X),
        (MirrorIds(X, "", inside=False, used=True), X),
        (MirrorIds(None, "", inside=False, used=True), ""),
    ],
)
def test_a_mirror_and_a_ledger_agree_only_where_they_belong_together(
    ids: MirrorIds, agreed: str | None
) -> None:
    assert ids.agreed == agreed


def test_both_keep_one_id_from_the_beginning(tmp_path: Path) -> None:
    first = opened(config(tmp_path), held)
    assert first == read_id(tmp_path)
    assert opened(config(tmp_path), held) == first
    assert opened(config(tmp_path), held, rehearse=True) == first


@pytest.mark.parametrize("rehearse", [False, True])
@pytest.mark.parametrize("begun", [False, True])
def test_a_ledger_is_no_second_mirrors(tmp_path: Path, *, rehearse: bool, begun: bool) -> None:
    ledger, one, two = tmp_path / "l.sqlite", tmp_path / "one", tmp_path / "two"
    opened(config(one, ledger), record)
    if begun:
        opened(config(two))
    known = read_id(two)
    with pytest.raises(UsageError) as refused:
        opened(config(two, ledger), rehearse=rehearse)
    assert str(two) in str(refused.value)
    assert "give this root a ledger of its own (ledger.url)" in str(refused.value)
    assert (read_id(two), two.exists()) == (known, begun or not rehearse)
    assert opened(config(one, ledger), held) == read_id(one)


@pytest.mark.parametrize("rehearse", [False, True])
def test_a_bare_mount_point_gets_no_id_and_the_mirror_is_fine_once_it_is_back(
    tmp_path: Path, *, rehearse: bool
) -> None:
    settings = config(tmp_path / "mirror", tmp_path / "l.sqlite")
    opened(settings, record)
    (tmp_path / "mirror").rename(tmp_path / "away")
    (tmp_path / "mirror").mkdir()
    with pytest.raises(UsageError, match=r"belongs to a mirror that is not at .*: mount"):
        opened(settings, rehearse=rehearse)
    assert read_id(tmp_path / "mirror") is None
    shutil.rmtree(tmp_path / "mirror")
    (tmp_path / "away").rename(tmp_path / "mirror")
    assert opened(settings, held) == read_id(tmp_path / "mirror")


def test_an_older_versions_mirror_is_taken_on_with_the_ledger_inside(tmp_path: Path) -> None:
    ledger = prepare(tmp_path) / LEDGER
    by_an_older_version(ledger)
    assert opened(config(tmp_path), held, rehearse=True) is None
    assert read_id(tmp_path) is None
    assert opened(config(tmp_path, ledger), held) == read_id(tmp_path) != ""


def test_an_older_versions_ledger_elsewhere_is_taken_on_at_its_users_word(tmp_path: Path) -> None:
    ledger, root = tmp_path / "l.sqlite", tmp_path / "mirror"
    by_an_older_version(ledger)
    with pytest.raises(UsageError, match=r"say so once by making .*id an empty file"):
        opened(config(root, ledger))
    (root / OWN_FOLDER / ID).touch()
    assert opened(config(root, ledger), held, rehearse=True) is None
    assert read_id(root) == ""
    first = opened(config(root, ledger), held)
    assert first == read_id(root) == opened(config(root, ledger), held)


def test_a_lost_id_comes_back_at_the_users_word(tmp_path: Path) -> None:
    first = opened(config(tmp_path), held)
    (tmp_path / OWN_FOLDER / ID).write_bytes(b"")
    assert opened(config(tmp_path), held) == first == read_id(tmp_path)


def test_a_wiped_ledger_and_a_copied_mirror_are_fine(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    first = opened(config(one), held)
    shutil.copytree(one, two, symlinks=True)
    assert opened(config(two), held) == first
    (one / OWN_FOLDER / LEDGER).unlink()
    assert opened(config(one), held) == first


def test_looking_at_what_is_not_there_writes_nothing(tmp_path: Path) -> None:
    root = tmp_path / "mirror"
    assert opened(config(root), held, rehearse=True) is None
    assert not root.exists()


class Unheard:
    def notify(self, event: Event) -> None:
        """Nobody listens."""


@pytest.mark.parametrize("elsewhere", [False, True])
def test_only_a_mirror_at_the_root_replaces_the_one_that_went(
    tmp_path: Path, *, elsewhere: bool
) -> None:
    root, away = tmp_path / "mirror", tmp_path / "away"
    settings = config(root, tmp_path / "l.sqlite" if elsewhere else None)

    async def main() -> list[bool]:
        told = []
        async with started(settings, Unheard(), lambda _: None) as engine:
            told.append(engine.replaced())
            root.rename(away)
            told.append(engine.replaced())
            prepare(root)
            told.append(engine.replaced())
            assert write_id(root, Y, None)
            told.append(engine.replaced())
            (root / OWN_FOLDER / ID).write_text("no id")
            told.append(engine.replaced())
            shutil.rmtree(root)
            shutil.copytree(away, root)  # its id, but not what this process holds
            told.append(engine.replaced())
            shutil.rmtree(root)
            away.rename(root)
            told.append(engine.replaced())
        return told

    assert asyncio.run(main()) == [False, False, False, True, False, True, False]
