"""Locates a configuration's mirror and ledger, and checks that they belong together."""

from __future__ import annotations

import os
from contextlib import aclosing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from artifact_sync.config.ledger_password import with_password
from artifact_sync.domain.disk_errors import disk_errors
from artifact_sync.domain.errors import UsageError
from artifact_sync.domain.settings import OWN_FOLDER, ObjectUrl
from artifact_sync.ledger import location
from artifact_sync.ledger.unfinished import unfinished_move
from artifact_sync.mirror.local.own_folder import check_mounted, new_id
from artifact_sync.mirror.paths import ID

if TYPE_CHECKING:
    from collections.abc import Iterator

    from artifact_sync.app.mirrors import MirrorId
    from artifact_sync.domain.ports import ArtifactLedger, Ledger
    from artifact_sync.domain.settings import Config, MirrorSettings
    from artifact_sync.runtime.threads import Offload

LEDGER = "ledger.sqlite"
"""The ledger's file under the mirror's own folder, unless ``ledger.url`` says otherwise."""


def root_of(config: Config) -> Path:
    """The mirror's root; of an object store, this machine's folder for it. ``UsageError``."""
    root = config.mirror.root
    if root is None:
        raise UsageError("no mirror: give --root DIR, or set mirror.root in the configuration")
    if isinstance(root, ObjectUrl):
        return _folder_beside(root, config)
    if os.path.lexists(root) and not root.is_dir():
        raise UsageError(f"{root} is no folder: give --root or mirror.root the folder of a mirror")
    return root


def _folder_beside(url: ObjectUrl, config: Config) -> Path:
    """Where this machine keeps the lock, the socket and what is staged of an object mirror.

    Beside SQLite's file, so that all who use it meet at the lock.
    """
    file = location(ledger_url(config)).file
    if file is not None:
        return file.absolute().with_name(f"{file.name}.mirror")
    if config.mirror.staging is not None:
        return config.mirror.staging
    if folder := os.environ.get("STATE_DIRECTORY"):
        return Path(folder.partition(":")[0], _folder_name(url))
    from platformdirs import user_state_path  # noqa: PLC0415 - seldom needed

    return user_state_path("artifact-sync") / _folder_name(url)


def _folder_name(url: ObjectUrl) -> str:
    from hashlib import sha256  # noqa: PLC0415 - seldom needed

    return f"mirror-{sha256(url.encode()).hexdigest()[:16]}"


def is_in_store(config: Config) -> bool:
    """Whether the mirror is in an object store."""
    return isinstance(config.mirror.root, ObjectUrl)


def refuse_in_store(config: Config, what: str) -> None:
    """Raise ``UsageError`` for what an object store cannot do."""
    if is_in_store(config):
        raise UsageError(f"{what} needs a mirror in a folder, and this one is {config.mirror.root}")


def mounted_root_of(config: Config) -> Path:
    """The mirror's root. ``DiskError`` where ``mirror.must_be_mounted`` is not met."""
    root = root_of(config)
    if config.mirror.must_be_mounted and not is_in_store(config):
        check_mounted(root)
    return root


def sharing_warnings(settings: MirrorSettings) -> Iterator[str]:
    """What keeps files of the same bytes from sharing their blocks. Blocking."""
    if settings.dedupe == "off":
        if settings.dedupe_before_download:
            yield "mirror.dedupe_before_download does nothing while mirror.dedupe is off"
        return
    from artifact_sync.mirror.local.block_sharing import cannot, is_refused  # noqa: PLC0415 - seldom

    root = settings.root
    if isinstance(root, Path) and is_refused(root.absolute(), settings.dedupe):
        yield cannot(settings.dedupe)


def nothing_mirrored(config: Config) -> str:
    """What people are told where nothing is mirrored, or the ledger is lost."""
    if not has_ledger(config) and has_runs(config):
        return (
            f"there are runs of a mirror in {config.mirror.root}, and no ledger:"
            " artifact-sync adopt makes it again from the files"
        )
    return (
        f"nothing is mirrored in {config.mirror.root} yet, or its disk is not mounted:"
        " artifact-sync sync ORG/REPO begins a mirror"
    )


def is_begun(config: Config) -> bool:
    """Whether the mirror exists already. ``UsageError`` when no root is set.

    Of an object store, whether this machine has worked on it.
    """
    return (root_of(config) / OWN_FOLDER).is_dir()


def ledger_url(config: Config) -> str | Path:
    """The URL or file for ``open_ledger``, with systemd's password of its server.

    ``UsageError``: an object store needs one elsewhere. ``ConfigError`` of the password.
    """
    if config.ledger.url is None and is_in_store(config):
        raise UsageError(
            "a mirror in an object store needs its ledger elsewhere: set ledger.url to"
            " postgresql://HOST/DATABASE, or for one machine to sqlite:///FILE"
        )
    if config.ledger.url is None:
        return root_of(config) / OWN_FOLDER / LEDGER
    return with_password(config.ledger.url, os.environ)


def is_inside(config: Config) -> bool:
    """Whether the ledger is a file below the mirror's root."""
    return location(ledger_url(config)).is_below(root_of(config))


def has_ledger(config: Config) -> bool:
    """Whether the ledger exists, as far as can be told without opening it."""
    place = location(ledger_url(config))
    with disk_errors(place.name):
        return place.exists()


def has_runs(config: Config) -> bool:
    """Whether there are runs of a mirror at the root, whatever the ledger says."""
    from artifact_sync.mirror.layout import Layout  # noqa: PLC0415 - hardly ever needed

    if is_in_store(config):
        return False
    documents = root_of(config).glob(Layout(config.mirror.layout).run_documents)
    with suppress(OSError):
        return next(documents, None) is not None
    return False


def check_layout(known: str, wanted: str) -> None:
    """Check that the layout did not change since the mirror was begun. ``UsageError``."""
    if known != wanted:
        raise UsageError(
            f"this mirror was laid out as {known}, and mirror.layout is now {wanted}: set it back,"
            " or give the new layout a mirror.root of its own"
        )


class MirrorIds(Struct, frozen=True):
    """The ids in a ledger and at a mirror's root."""

    held: str | None
    """The id in the ledger."""
    here: str | None
    """The id at the root; None: none. Empty: the user says that this is the ledger's mirror."""
    inside: bool
    """Whether the ledger's file goes where the mirror goes."""
    used: bool
    """Whether the ledger knows mirrored files."""
    adopting: bool = False
    """The root's files are to become those of a ledger that knows none."""

    @property
    def agreed(self) -> str | None:
        """The id of both; empty: none yet; None: they do not belong together."""
        if self.here == "" or (self.adopting and self.held and not self.used):
            return self.held or ""
        if self.held is not None:
            return self.held if self.here == self.held else None
        # an older version kept no ids: only a ledger inside is then known to be this mirror's
        return (self.here or "") if self.inside or not self.used else None

    def check(self, root: object) -> None:
        """Raise ``UsageError`` unless they belong together."""
        if unfinished_move(self.held) is not None:
            raise UsageError(
                "a move to this mirror is not finished: run it again, with artifact-sync move"
            )
        if self.agreed is None:
            raise _strangers(root, known=self.here is not None)


async def check_ids(
    config: Config, ledger: Ledger, place: MirrorId, offload: Offload, *, adopting: bool = False
) -> MirrorIds:
    """Check the ids without writing. ``UsageError``: they do not belong together."""
    held, inside = await ledger.mirror(), is_inside(config)
    unclear = adopting or (held is None and not inside)
    used = unclear and await _used(ledger)
    ids = MirrorIds(held, await offload(place.read_id), inside, used, adopting)
    ids.check(config.mirror.root)
    return ids


async def expect_ids(
    config: Config, ledger: Ledger, place: MirrorId, offload: Offload, *, adopting: bool = False
) -> None:
    """``check_ids``, but an object store is asked only by who looks at its files."""
    held = await ledger.mirror()
    if held is not None and is_in_store(config) and unfinished_move(held) is None:
        place.expect(held)
    else:
        await check_ids(config, ledger, place, offload, adopting=adopting)


async def bind_ids(
    config: Config, ledger: Ledger, place: MirrorId, offload: Offload, *, adopting: bool = False
) -> str:
    """Write the id where it is missing, and return it. ``UsageError``, as above.

    The root's comes first: an id that only the ledger has would be that of a mirror not there.
    """
    while True:
        ids = await check_ids(config, ledger, place, offload, adopting=adopting)
        mirror = ids.agreed or new_id()
        if ids.here == mirror or await offload(place.write_id, mirror, ids.here):
            break
    if await ledger.claim_mirror(mirror) != mirror:
        raise _strangers(config.mirror.root, known=True)  # another process has been faster
    return mirror


async def _used(ledger: ArtifactLedger) -> bool:
    async with aclosing(ledger.mirrored()) as rows:
        return await anext(rows, None) is not None


def _strangers(root: object, *, known: bool) -> UsageError:
    what = (
        f"the ledger belongs to another mirror than the one at {root}"
        if known
        else f"the ledger belongs to a mirror that is not at {root}"
    )
    return UsageError(
        f"{what}: mount or set mirror.root to the ledger's mirror, or give this root a ledger of"
        f" its own (ledger.url). If it is the ledger's mirror, say so once by making"
        f" {root}/{OWN_FOLDER}/{ID} an empty file"
    )
