"""Judges complete files and publishes them in the mirror. Blocking."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from msgspec import Struct

from artifact_sync.domain.errors import ArtifactSyncError
from artifact_sync.transfer.checksums import Hashes
from artifact_sync.transfer.evidence import Vouched, judge_file

if TYPE_CHECKING:
    from collections.abc import Sequence

    from artifact_sync.domain.model import MirrorPath, StagedContent
    from artifact_sync.domain.ports import ArtifactStore, Chunk
    from artifact_sync.transfer.context import Published, SmallFile, WantedArtifact
    from artifact_sync.transfer.disk_space import DiskSpace
    from artifact_sync.transfer.staging import StagedFile


def publish_staged(mirror: ArtifactStore, wanted: WantedArtifact, staged: StagedFile) -> Published:
    """Judge a staged file that is complete and publish it. ``IntegrityFailure``, ``DiskError``."""
    judgement = judge_file(staged.identity, wanted.claims, wanted.recorded, staged.hashes)
    vouched = staged.vouch(*judgement)
    (outcome,) = mirror.publish([(staged.content, wanted.path)])
    if isinstance(outcome, Exception):
        raise outcome
    staged.published()
    return vouched, outcome


class SmallFiles(Struct, frozen=True):
    """Judges and publishes small files in batches, from memory."""

    mirror: ArtifactStore
    space: DiskSpace

    def __call__(self, files: Sequence[SmallFile]) -> Sequence[Published | Exception]:
        """An outcome a file: ``IntegrityFailure`` and ``DiskError`` are its own alone."""
        judged: list[Vouched | Exception] = []
        sound: list[tuple[StagedContent, MirrorPath]] = []
        with ExitStack() as room:
            for file in files:
                content = file.chunks[0] if len(file.chunks) == 1 else b"".join(file.chunks)
                try:
                    room.enter_context(self.space.taken(len(content)))
                    vouched = _judged(content, file)
                except ArtifactSyncError as error:
                    judged.append(error)
                else:
                    judged.append(vouched)
                    sound.append((vouched.content(content), file.wanted.path))
            return _merged(judged, self.mirror.publish(sound) if sound else ())


def _judged(content: Chunk, file: SmallFile) -> Vouched:
    hashes, wanted = Hashes(file.identity.algorithms), file.wanted
    hashes.update(content)
    strength, evidence = judge_file(file.identity, wanted.claims, wanted.recorded, hashes)
    file.staged.discard()
    return Vouched(len(content), hashes.sha256, strength, evidence)


def _merged(
    judged: Sequence[Vouched | Exception], placed: Sequence[str | Exception | None]
) -> Sequence[Published | Exception]:
    """What became of the sound ones, in the places of their judgements."""
    left = iter(placed)
    merged: list[Published | Exception] = []
    for judgement in judged:
        outcome = judgement if isinstance(judgement, Exception) else next(left)
        if isinstance(judgement, Exception) or isinstance(outcome, Exception):
            merged.append(outcome)  # type: ignore[arg-type] # an error either way
        else:
            merged.append((judgement, outcome))
    return merged
