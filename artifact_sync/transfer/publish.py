"""Judges complete files and publishes them in the mirror. Blocking."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from artifact_sync.domain.errors import ArtifactSyncError
from artifact_sync.transfer.checksums import Hashes
from artifact_sync.transfer.evidence import Vouched, judge_file

if TYPE_CHECKING:
    from collections.abc import Sequence

    from artifact_sync.domain.model import MirrorPath, StagedContent
    from artifact_sync.domain.ports import ArtifactStore
    from artifact_sync.transfer.context import Published, SmallFile, WantedArtifact
    from artifact_sync.transfer.disk_space import DiskSpace
    from artifact_sync.transfer.staging import StagedFile


def publish_staged(mirror: ArtifactStore, wanted: WantedArtifact, staged: StagedFile) -> Published:
    """Judge a staged file that is complete and publish it. ``IntegrityFailure``, ``DiskError``."""
    judgement = judge_file(staged.identity, wanted.claims, wanted.recorded, staged.hashes)
    vouched = staged.vouch(*judgement)
    (outcome,) = mirror.publish([(staged.content, wanted.path)])
    if isinstance(outcome, Exception):
        staged.unpublished()
        raise outcome
    staged.published()
    return vouched, outcome


class _Sound(NamedTuple):
    """A small file that has been judged, to be published."""

    vouched: Vouched
    content: StagedContent
    path: MirrorPath

    def published(self, outcome: str | Exception | None) -> Published | Exception:
        """What became of it."""
        return outcome if isinstance(outcome, Exception) else (self.vouched, outcome)


class SmallFiles(Struct, frozen=True):
    """Judges and publishes small files in batches, from memory."""

    mirror: ArtifactStore
    space: DiskSpace

    def __call__(self, files: Sequence[SmallFile]) -> Sequence[Published | Exception]:
        """An outcome a file: ``IntegrityFailure`` and ``DiskError`` are its own alone."""
        with ExitStack() as room:
            judged = [self._judged(file, room) for file in files]
            sound = [it for it in judged if isinstance(it, _Sound)]
            placed = iter(self.mirror.publish([(it.content, it.path) for it in sound]))
            return [it.published(next(placed)) if isinstance(it, _Sound) else it for it in judged]

    def _judged(self, file: SmallFile, room: ExitStack) -> _Sound | ArtifactSyncError:
        wanted, hashes = file.wanted, Hashes(file.identity.algorithms)
        content = file.chunks[0] if len(file.chunks) == 1 else b"".join(file.chunks)
        try:
            room.enter_context(self.space.taken(len(content)))
            hashes.update(content)
            judgement = judge_file(file.identity, wanted.claims, wanted.recorded, hashes)
            file.staged.discard()
        except ArtifactSyncError as error:
            return error
        vouched = Vouched(len(content), hashes.sha256, *judgement)
        return _Sound(vouched, vouched.content(content), wanted.path)
