"""Opens a mirror to see what was displaced in it, or put it back.

It works beside whoever works there. A pass makes folders of its own time for what it displaces, so
looking and emptying take no lock. What is put back replaces nothing; among several processes a
store cannot promise that, and a pass relies on what it has seen: so its repository is held.
"""

from __future__ import annotations

import os
from contextlib import asynccontextmanager, nullcontext
from itertools import islice
from typing import TYPE_CHECKING

from artifact_sync.app.locations import (
    is_begun,
    is_in_store,
    mounted_root_of,
    nothing_mirrored,
    root_of,
)
from artifact_sync.domain.errors import UsageError
from artifact_sync.domain.settings import OWN_FOLDER
from artifact_sync.mirror.paths import DISPLACED
from artifact_sync.runtime.text import printable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from artifact_sync.domain.model import DisplacedFile, RepoName
    from artifact_sync.domain.ports import Displacement
    from artifact_sync.domain.settings import Config


_FOLDER = f"{OWN_FOLDER}/{DISPLACED}/"
_COMMAND = "artifact-sync displaced"
_NAMED = 10
"""Places of one file that a message names."""


def displacement_of(config: Config) -> Displacement:
    """The mirror's displaced files. ``UsageError`` where nothing is mirrored, ``DiskError``."""
    root = mounted_root_of(config)
    if is_in_store(config):
        from artifact_sync.app.mirrors import object_mirror  # noqa: PLC0415 - an extra

        return object_mirror(config)
    if not is_begun(config):
        raise UsageError(nothing_mirrored(config))
    from artifact_sync.mirror.local.local_mirror import LocalMirror  # noqa: PLC0415 - keeps status quick

    return LocalMirror(root, durability=config.mirror.durability)


def displaced_as_named(displacement: Displacement, path: str) -> Sequence[DisplacedFile]:
    """The displaced files that are meant by a path. Blocking.

    It is that of a file or folder below ``displaced/``, or the path that a single file had in the
    mirror. ``UsageError`` where it is neither.
    """
    named = path.removeprefix(_FOLDER).strip("/")
    found = list(displacement.displaced(named)) if named else []
    if found:
        return found
    had = list(islice((it for it in displacement.displaced() if it.path == named), _NAMED + 1))
    if not had:
        raise UsageError(f"{printable(path)} is not in {_FOLDER}: see artifact-sync displaced list")
    if len(had) > 1:
        places = ", ".join(printable(it.place) for it in had[:_NAMED])
        more = ", …" if len(had) > _NAMED else ""
        raise UsageError(
            f"{printable(path)} was displaced more than once: name one of {places}{more}"
        )
    return had


async def restore_displaced(
    config: Config, path: str
) -> tuple[list[DisplacedFile], list[DisplacedFile]]:
    """Put back what is meant by a path.

    Returns what was, and what is left since something has its place. ``UsageError``,
    ``DiskError``, ``LedgerUnreachable``.
    """
    import asyncio  # noqa: PLC0415 - status has no use for it

    displacement = displacement_of(config)
    files = await asyncio.to_thread(displaced_as_named, displacement, path)
    outcomes: dict[bool, list[DisplacedFile]] = {True: [], False: []}
    async with _holder(config) as hold:
        for file in files:
            async with hold(file):
                outcomes[await asyncio.to_thread(displacement.put_back, file)].append(file)
    return outcomes[True], outcomes[False]


@asynccontextmanager
async def _holder(
    config: Config,
) -> AsyncGenerator[Callable[[DisplacedFile], AbstractAsyncContextManager[None]]]:
    """What holds the repository of a file, where other processes may work on it."""
    from artifact_sync.app.shared_mirror import is_shared  # noqa: PLC0415 - status has no use for it

    if not is_shared(config):
        yield lambda _: nullcontext()
        return
    from artifact_sync.app.storage import open_storage  # noqa: PLC0415 - seldom needed
    from artifact_sync.sync.context import leased  # noqa: PLC0415 - likewise
    from artifact_sync.sync.displaced_files import owners  # noqa: PLC0415 - likewise

    async with open_storage(config, rehearse=False, command=_COMMAND) as store:
        owner_of = owners(store.layout, await store.ledger.repositories())

        def hold(file: DisplacedFile) -> AbstractAsyncContextManager[None]:
            owner = owner_of(file)
            return nullcontext() if owner is None else leased(store.lock, owner)

        yield hold


def displaced_sizes(config: Config, repos: Iterable[RepoName]) -> Mapping[RepoName, int]:
    """Displaced bytes of each repository, where anything was displaced. Changes nothing.

    An object store is not asked: that takes as long as what was displaced is much.
    """
    folder = root_of(config) / OWN_FOLDER / DISPLACED
    try:
        if not any(os.scandir(folder)):
            return {}
    except OSError:
        return {}
    from artifact_sync.mirror.layout import Layout  # noqa: PLC0415 - seldom needed
    from artifact_sync.sync.displaced_files import displaced_bytes  # noqa: PLC0415 - likewise

    return displaced_bytes(displacement_of(config), Layout(config.mirror.layout), repos)
