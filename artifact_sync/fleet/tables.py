"""Tables for coordination, beside the ledger's, with a version of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from artifact_sync.domain.errors import LedgerTooNew

if TYPE_CHECKING:
    from artifact_sync.fleet.coordination import Coordination

_TURNS = (
    """CREATE TABLE fleet_turns (repo TEXT PRIMARY KEY, why TEXT NOT NULL DEFAULT '',
    began_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(), started_at TIMESTAMPTZ,
    ended_at TIMESTAMPTZ, heard BOOLEAN NOT NULL DEFAULT TRUE,
    announced TEXT[] NOT NULL DEFAULT '{}', failures INT NOT NULL DEFAULT 0,
    verdict TEXT NOT NULL DEFAULT '', error TEXT NOT NULL DEFAULT '',
    finished TEXT[] NOT NULL DEFAULT '{}', again_at TIMESTAMPTZ, found TEXT[])""",
    "CREATE INDEX fleet_turns_unheard ON fleet_turns (repo) WHERE NOT heard",
    "CREATE INDEX fleet_turns_open ON fleet_turns (repo) WHERE ended_at IS NULL",
    """CREATE TABLE fleet_wakes (id BIGSERIAL PRIMARY KEY, repo TEXT NOT NULL, why TEXT NOT NULL,
    run TEXT, eager BOOLEAN NOT NULL, at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp())""",
    "CREATE INDEX fleet_wakes_repo ON fleet_wakes (repo)",
    """CREATE TABLE fleet_workers (id TEXT PRIMARY KEY, name TEXT NOT NULL, host TEXT NOT NULL,
    pid BIGINT NOT NULL, repos TEXT[] NOT NULL, planner BOOLEAN NOT NULL,
    seen_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp())""",
)
"""What planner and workers tell each other."""
_ROLES = ("ALTER TABLE fleet_workers ADD daemon BOOLEAN NOT NULL DEFAULT FALSE",)
_LAGS = (
    """ALTER TABLE fleet_turns ADD behind BOOLEAN NOT NULL DEFAULT FALSE,
    ADD caught_up_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(), ADD complete_at TIMESTAMPTZ""",
)

_VERSIONS = (
    (
        (
            "CREATE TABLE fleet_limits"
            " (name TEXT PRIMARY KEY, version BIGINT NOT NULL, state TEXT NOT NULL)"
        ),
        (
            "INSERT INTO fleet_limits"
            " SELECT unnest(ARRAY['requests', 'download', 'quiet', 'outage']), 0, ''"
        ),
    ),
    _TURNS,
    _ROLES,
    _LAGS,
)
"""The statements that lead from each version to the next, the first one from none."""

VERSION = len(_VERSIONS)
"""The one that this program works with."""


async def exist(database: Coordination) -> bool:
    """Whether they have been made, in this version or another."""
    return await database.has_table("fleet_version")


async def bring_up(database: Coordination) -> None:
    """Make them, or bring them up to date. ``LedgerTooNew``, ``LedgerUnreachable``."""
    if await exist(database) and await _version(database) == VERSION:
        return
    async with database.making_tables():
        version = await _version(database) if await exist(database) else 0
        refuse_newer(version)
        if not version:
            await database.ask("CREATE TABLE fleet_version (version BIGINT NOT NULL)")
            await database.ask("INSERT INTO fleet_version VALUES (0)")
        for statements in _VERSIONS[version:]:
            for sql in statements:
                await database.ask(sql)
        await database.ask("UPDATE fleet_version SET version = %s", [VERSION])


def refuse_newer(version: int) -> None:
    """Raise ``LedgerTooNew`` when a newer program has made this version of them."""
    if version > VERSION:
        raise LedgerTooNew(str(version), str(VERSION))


async def _version(database: Coordination) -> int:
    return int((await database.ask("SELECT version FROM fleet_version"))[0][0])
