"""What hooks are to be told: lists it, tells it, drops it."""

from __future__ import annotations

import shutil
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from artifact_sync.app.hooks import dispatcher, label_of
from artifact_sync.app.locations import ledger_url
from artifact_sync.app.storage import open_storage
from artifact_sync.config.hook_secret import read_hook_secret
from artifact_sync.domain.errors import ConfigError, MirrorBusy, UsageError
from artifact_sync.ledger import open_ledger
from artifact_sync.runtime.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Collection, Mapping, Sequence

    from artifact_sync.domain.hooks import Delivery
    from artifact_sync.domain.ports import Ledger
    from artifact_sync.domain.settings import Config


async def list_deliveries(config: Config) -> list[Delivery]:
    """List what waits and what was given up, beside whoever works there."""
    async with open_storage(config, rehearse=True) as store:
        return [it async for it in store.ledger.deliveries()]


async def retry_deliveries(
    config: Config, ids: Collection[str]
) -> tuple[list[Delivery], list[Delivery] | None]:
    """Have deliveries made now, all if none is named; these, and those left.

    None: the process that holds the mirror makes them. ``UsageError`` for an unknown id.
    """
    asked = _named(await list_deliveries(config), ids)
    names = {it.id for it in asked}
    if not asked:
        return [], []
    try:
        async with open_storage(config, rehearse=False) as store:
            await store.ledger.try_again(list(names), store.clock.now())
            async with dispatcher(config, store.ledger, store.layout, store.clock) as teller:
                every = [it async for it in store.ledger.deliveries()]
                await teller.tell([it for it in every if it.id in names])
            left = [it async for it in store.ledger.deliveries() if it.id in names]
    except MirrorBusy:
        async with _beside(config) as ledger:
            await ledger.try_again(list(names), SystemClock().now())
        return asked, None
    return asked, left


async def discard_deliveries(
    config: Config, ids: Collection[str]
) -> tuple[list[Delivery], list[Delivery]]:
    """Drop deliveries: these, and those that are left. ``UsageError`` for an unknown id."""
    every = await list_deliveries(config)
    gone = _named(every, ids)
    async with _beside(config) as ledger:
        await ledger.drop_deliveries([it.id for it in gone])
    return gone, [it for it in every if it not in gone]


def _named(every: Sequence[Delivery], ids: Collection[str]) -> list[Delivery]:
    known = {it.id: it for it in every}
    for name in ids:
        if name not in known:
            raise UsageError(f"no delivery {name!r} waits: artifact-sync hooks lists what does")
    return [known[name] for name in dict.fromkeys(ids)] if ids else list(every)


@asynccontextmanager
async def _beside(config: Config) -> AsyncGenerator[Ledger]:
    """The ledger alone, also while another process holds the mirror."""
    durability = config.mirror.durability
    async with await open_ledger(ledger_url(config), durability=durability, create=False) as ledger:
        yield ledger


def hook_findings(config: Config, environ: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """What keeps hooks from being told, and what may be meant otherwise."""
    problems, warnings = list[str](), list[str]()
    for hook in config.hook:
        name = f"hook {label_of(hook)}"
        if (
            hook.command is not None
            and shutil.which(hook.command[0], path=environ.get("PATH")) is None
        ):
            problems.append(
                f"{name}: {hook.command[0]} is not there, or cannot be run by this user"
            )
        if hook.url is not None and hook.secret_file is None:
            warnings.append(f"{name}: has no secret_file: what is posted is not signed")
        if hook.secret_file is not None:
            try:
                read_hook_secret(hook.secret_file, environ)
            except ConfigError as error:
                problems += error.problems
    return problems, warnings
