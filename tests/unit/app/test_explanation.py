"""An artifact is found by its path as ``ls`` prints it, whatever its name is."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from artifact_sync.app.explanation import explanation_of
from artifact_sync.domain.errors import Reason
from artifact_sync.domain.model import ArtifactKey, Failure, RepoName, Run, RunKey, State
from artifact_sync.domain.settings import Config, MirrorSettings
from artifact_sync.ledger import open_ledger
from artifact_sync.runtime.text import printable

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ("a\x1b]0;x\nmirrored", "dir\\x41\u202e.txt", "", "./n\u00e4me", "u\ud800", "../up")
NOW = datetime(2026, 11, 29, tzinfo=UTC)
RUN = RunKey(RepoName("acme", "rocket"), "1")


def test_hostile_names_are_found_as_they_are_printed(tmp_path: Path) -> None:
    """Guards against: a name that is shown escaped, and can be asked for by no text."""
    keys = [ArtifactKey(*RUN.repo, RUN.run, "ci", "t", "c", name) for name in NAMES]
    config = Config(mirror=MirrorSettings(root=tmp_path))

    async def story() -> list[ArtifactKey]:
        own = tmp_path / ".artifact-sync"
        own.mkdir(0o700)
        async with await open_ledger(own / "ledger.sqlite", durability="fast") as ledger:
            await ledger.note_run(Run(RUN, "success", "push", NOW), NOW)
            for key in keys:
                failure = Failure.of(key, Reason.UNSAFE_PATH, "it has no safe place")
                await ledger.record_failure(key, State.REFUSED, failure, NOW)
        found = [await explanation_of(config, printable(str(key))) for key in keys]
        assert {len(it.tries) for it in found} == {1}
        return [it.row.key for it in found]

    assert asyncio.run(story()) == keys
