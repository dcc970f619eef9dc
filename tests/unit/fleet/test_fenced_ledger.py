"""A ledger keeps out what was asked for by somebody who has lost the repository since."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import aclosing, suppress

import psycopg
import pytest
from user import wait_until

from artifact_sync.domain.errors import LeaseLost
from artifact_sync.domain.model import ArtifactKey, Mirrored, MirrorPath, RepoName, State, Strength
from artifact_sync.fleet.advisory_locks import AdvisoryLocks, lock_key
from artifact_sync.ledger import open_ledger, postgres_connector

REPO = RepoName("acme", "shop")
WAITING = "SELECT FROM pg_locks WHERE NOT granted AND locktype = 'relation'"
ENDING = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s"
FREED = "SELECT pg_try_advisory_xact_lock(%s)"


def file(number):
    key = ArtifactKey(*REPO, "7", "build", "compile", "linux", f"{number}")
    return Mirrored(key, MirrorPath(f"a/{number}"), 3, "ab" * 32, Strength.LENGTH, ("length",))


async def mirrored(ledger):
    return (await ledger.totals(REPO)).states[State.MIRRORED]


@pytest.mark.servers
def test_nothing_is_committed_for_a_lock_that_was_lost_and_again_for_a_new_one(postgres):
    url, name = postgres.ledger(), uuid.uuid4().hex

    async def lost(ledger, locks):
        """A write waits for a table while its process loses the lock."""
        async with locks.hold("repository", name):
            with psycopg.connect(url) as other:
                other.execute("LOCK TABLE artifacts")
                writing = asyncio.create_task(ledger.record_mirrored(file(1)))
                await asyncio.to_thread(wait_until, lambda: other.execute(WAITING).rowcount)
                await asyncio.to_thread(other.execute, ENDING, [name])
                key = [lock_key("repository", name)]
                await asyncio.to_thread(
                    wait_until, lambda: other.execute(FREED, key).fetchone() == (True,)
                )
            with pytest.raises(LeaseLost):
                await writing

    async def main():
        connect = postgres_connector(url, application_name=name)
        async with (
            asyncio.timeout(60),
            aclosing(await AdvisoryLocks.open(connect)) as locks,
            await open_ledger(url, durability="fast") as ledger,
        ):
            ledger.fence_by(locks.mark)
            await ledger.record_mirrored(file(0))
            await lost(ledger, locks)
            assert await mirrored(ledger) == 1
            while await mirrored(ledger) == 1:  # there is a new one also where nobody wants it
                with suppress(LeaseLost):
                    await ledger.record_mirrored(file(2))

    asyncio.run(main())
