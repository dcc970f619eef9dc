"""Opens a mirror of either kind: below a folder, or in an object store."""

from __future__ import annotations

import os
import platform
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from artifact_sync.app.store_settings import check_store
from artifact_sync.domain.disk_errors import disk_errors
from artifact_sync.domain.errors import UsageError
from artifact_sync.domain.model import MirrorPath
from artifact_sync.domain.settings import OWN_FOLDER, ObjectUrl
from artifact_sync.mirror.layout import Layout
from artifact_sync.mirror.local.own_folder import LocalId, prepare
from artifact_sync.mirror.local.tree import STAGING
from artifact_sync.runtime.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from datetime import datetime
    from pathlib import Path

    from artifact_sync.domain.ports import ManifestSigner, WatchedMirror
    from artifact_sync.domain.settings import Config
    from artifact_sync.mirror.fence import Fence
    from artifact_sync.mirror.local.delivery import OpensFiles
    from artifact_sync.mirror.objects.object_mirror import ObjectMirror
    from artifact_sync.mirror.objects.open_bucket import StoreTerms


_CLOCK = SystemClock()


class MirrorId(Protocol):
    """Where a mirror keeps its id. Blocking; ``DiskError``."""

    def read_id(self) -> str | None:
        """The id; None where there is none, empty where a user has emptied it."""

    def write_id(self, mirror: str, over: str | None) -> bool:
        """Give the mirror its id in place of ``over``; False: something else was there.

        Another process that begins at the same time may have been faster.
        """

    def expect(self, mirror: str) -> None:
        """Take the mirror for the one with this id, until it is looked at."""


class OpenedMirror(Struct, frozen=True):
    """A mirror, and what of it is on this machine."""

    mirror: WatchedMirror
    staging: Path
    id: MirrorId
    files: OpensFiles
    """Opens its files, to be copied."""
    holds_files: Callable[[], bool]
    """Whether any file is there, also a stranger's. Blocking; ``DiskError``."""
    prepare: Callable[[], None]
    """Finds out whether it can be written to, before anything comes. Blocking; ``DiskError``."""
    locked: Callable[[str, bool], AbstractContextManager[object]]
    """Keeps other processes of this machine out; ``MirrorBusy``, ``DiskError``.

    What they are told; whether it is to remove files.
    """
    share: Callable[[str, Fence, bool], Path]
    """Has this process work beside others, and stage in a folder of its own, which is returned.

    The folder's name; what is asked before each change; whether it is to remove files.
    ``DiskError``.
    """
    place: str
    """What tells the staging folders of different machines apart; empty: all see the same."""


class MirrorTerms(Struct, frozen=True):
    """How a mirror is opened."""

    root: Path
    """Its folder; of an object store, this machine's folder for it."""
    looked_at: bool
    """Nothing is made."""
    signer: ManifestSigner | None
    now: Callable[[], datetime]


def open_mirror(config: Config, terms: MirrorTerms) -> OpenedMirror:
    """Open a mirror. Blocking; ``DiskError``, ``UsageError``."""
    url = config.mirror.root
    if isinstance(url, ObjectUrl):
        check_store(config)
        return _in_store(config, terms)
    from artifact_sync.mirror.local.local_mirror import LocalMirror  # noqa: PLC0415 - or the other

    mirror = LocalMirror(
        terms.root,
        durability=config.mirror.durability,
        looked_at=terms.looked_at,
        signer=terms.signer,
        now=terms.now,
    )
    mirror.dedupe(config.mirror.dedupe)

    def lock(command: str, frees: bool) -> AbstractContextManager[None]:  # noqa: FBT001 - a Callable
        return mirror.locked(command, frees=frees)

    def share(slot: str, fence: Fence, frees: bool) -> Path:  # noqa: FBT001 - likewise
        mirror.share(slot, fence, frees=frees)
        return mirror.staging

    def holds_files() -> bool:
        return next(mirror.files(MirrorPath("")), None) is not None

    here, asks = LocalId(mirror.root), (holds_files, mirror.check)
    return OpenedMirror(mirror, mirror.staging, here, mirror, *asks, lock, share, "")


def _in_store(config: Config, terms: MirrorTerms) -> OpenedMirror:
    from artifact_sync.mirror.local.lock import MirrorLock  # noqa: PLC0415 - as above

    mirror = object_mirror(config, terms.signer, terms.now)
    from artifact_sync.mirror.objects.spool import Spool  # noqa: PLC0415 - likewise

    own = terms.root / OWN_FOLDER if terms.looked_at else prepare(terms.root)
    staging = own / STAGING

    def lock(command: str, _: bool) -> AbstractContextManager[object]:  # noqa: FBT001 - a Callable
        return MirrorLock(terms.root, command)

    def share(slot: str, fence: Fence, _: bool) -> Path:  # noqa: FBT001 - likewise
        mirror.share(fence)
        with disk_errors(str(staging / slot)):
            (staging / slot).mkdir(0o700, exist_ok=True)
        return staging / slot

    files, place = Spool(mirror, staging), f"{platform.node()}:{staging.absolute()}"
    asks = mirror.holds_files, mirror.prepare
    return OpenedMirror(mirror, staging, mirror, files, *asks, lock, share, place)


def store_advice(config: Config) -> Iterator[str]:
    """Try an object store out; what is to be known of it. ``UsageError``, ``DiskError``."""
    if not object_mirror(config).try_out():
        yield (
            "this object store ignores conditions (If-None-Match): let nothing but artifact-sync"
            " write below mirror.root"
        )
    from artifact_sync.mirror.objects.lifecycle import removes_abandoned_parts  # noqa: PLC0415 - extra

    url = str(config.mirror.root)
    removes = removes_abandoned_parts(url, store_terms(config), os.environ)
    if not removes and url.startswith("s3:"):
        known = "the bucket has no rule" if removes is False else "see that the bucket has a rule"
        yield (
            f"{known} that removes the parts of abandoned uploads: set a lifecycle rule with"
            " AbortIncompleteMultipartUpload, DaysAfterInitiation 7"
        )


def store_terms(config: Config) -> StoreTerms:
    """How the object store is spoken to."""
    from artifact_sync.mirror.objects.open_bucket import StoreTerms  # noqa: PLC0415 - an extra

    return StoreTerms(config.mirror.endpoint, config.mirror.credentials_file)


def object_mirror(
    config: Config,
    signer: ManifestSigner | None = None,
    now: Callable[[], datetime] = _CLOCK.now,
) -> ObjectMirror:
    """The mirror in an object store. ``UsageError``, ``DiskError``."""
    try:
        from artifact_sync.mirror.objects.object_mirror import ObjectMirror  # noqa: PLC0415 - extra
        from artifact_sync.mirror.objects.open_bucket import open_bucket  # noqa: PLC0415 - likewise
    except ImportError as error:
        raise UsageError(
            "a mirror in an object store needs a package that is not installed: pip install"
            " 'artifact-sync[s3]'"
        ) from error
    settings = config.mirror
    bucket, prefix = open_bucket(str(settings.root), store_terms(config), os.environ)
    return ObjectMirror(bucket, prefix, Layout(settings.layout), signer=signer, now=now)
