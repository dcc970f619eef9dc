"""What others do to the mirror while it is verified is no damage: real files, a real ledger."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from contextlib import aclosing
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from publishing import publish_bytes

from artifact_sync.domain.model import ArtifactKey, Mirrored, RepoName, Run, RunKey, Strength
from artifact_sync.domain.settings import DEFAULT_LAYOUT
from artifact_sync.domain.verification import VerifyBounds
from artifact_sync.ledger import open_ledger
from artifact_sync.mirror.layout import Layout
from artifact_sync.mirror.local.local_mirror import LocalMirror
from artifact_sync.mirror.local.lock import LocalRepositoryLock
from artifact_sync.runtime.clock import SystemClock
from artifact_sync.runtime.threads import Offload, Threads
from artifact_sync.sync.manifests import write_manifests
from artifact_sync.sync.verify import Auditor, Condition
from artifact_sync.sync.verify_oldest import BoundedAudit

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable
    from pathlib import Path

    from artifact_sync.sync.verify import Finding

SHOP = RepoName("acme", "shop")
RUN = RunKey(SHOP, "42")
NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
NAMES = [f"{number:03}" for number in range(200)]
"""More files than are read ahead, so that some are there yet when the first one is told."""


class Bench:
    """A mirror with one run, and its ledger."""

    def __init__(self, auditor: Auditor, root: Path) -> None:
        self.auditor, self.root = auditor, root
        self.keys: list[ArtifactKey] = []

    async def bring(self, *names: str) -> None:
        """Fetch files, as a pass does."""
        for name in names:
            key, content = ArtifactKey(*SHOP, RUN.run, "ci", "build", "all", name), name.encode()
            path, sha256 = self.auditor.layout.place(key), hashlib.sha256(content).hexdigest()
            await asyncio.to_thread(publish_bytes, self.auditor.mirror, content, path)
            facts = (key, path, len(content), sha256, Strength.DIGEST, ())
            await self.auditor.ledger.record_mirrored(Mirrored(*facts, fetched_at=NOW))
            self.keys = [*(it for it in self.keys if it != key), key]
        await write_manifests(self.auditor, RUN, "example.org")
        await self.auditor.ledger.mark_complete(RUN, complete=True)

    async def let_go(self, count: int) -> None:
        """Remove the last files, as ``prune`` does; with all of them the run's folder."""
        gone, self.keys = self.keys[-count:], self.keys[:-count]
        await self.auditor.ledger.pruning(gone)
        for key in gone:
            self.file(key).unlink()
        await self.auditor.ledger.pruned(gone)
        if self.keys:
            await write_manifests(self.auditor, RUN, "example.org")
            return
        for path in self.auditor.layout.manifests(RUN):
            (self.root / path).unlink()

    def file(self, key: ArtifactKey) -> Path:
        return self.root / self.auditor.layout.place(key)


async def told(
    findings: AsyncGenerator[Finding], meanwhile: Callable[[], Awaitable[None]]
) -> Counter[tuple[Condition, str]]:
    """What is found wrong; others do something as soon as the first file is told."""
    wrong: Counter[tuple[Condition, str]] = Counter()
    async with aclosing(findings):
        await anext(findings)
        await meanwhile()
        async for finding in findings:
            if finding.condition is not Condition.OK:
                wrong[finding.condition, finding.path.rpartition("/")[2]] += 1
    return wrong


def test_what_others_let_go_or_bring_meanwhile_is_no_damage(tmp_path: Path) -> None:
    async def story(bench: Bench) -> None:
        async def change() -> None:
            await bench.let_go(20)
            await bench.bring("brought")

        auditor = bench.auditor
        await auditor.ledger.note_run(Run(RUN, "success"), NOW)
        await bench.bring(*NAMES)
        within = BoundedAudit(auditor, SystemClock(), VerifyBounds(share=1.0))
        some = partial(within.look, [SHOP], everywhere=False)
        assert not await told(some(), change)
        assert not await told(auditor.look([SHOP]), change)
        bench.file(bench.keys[90]).unlink()
        lost = {(Condition.MISSING, bench.keys[90].local_path): 1}
        for look in (some, partial(auditor.look, [SHOP])):
            assert await told(look(), change) == lost
        await bench.bring(bench.keys[90].local_path)
        assert not await told(auditor.look([SHOP]), partial(bench.let_go, len(bench.keys)))

    async def main() -> None:
        mirror = LocalMirror(tmp_path, durability="fast")
        with Threads(4, "disk") as threads:
            async with await open_ledger("sqlite://", durability="fast") as ledger:
                facts = (Layout(DEFAULT_LAYOUT), LocalRepositoryLock(), Offload(threads))
                await story(Bench(Auditor(mirror, ledger, *facts), tmp_path))

    asyncio.run(main())
