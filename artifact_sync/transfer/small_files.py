"""Small files: judged in memory, published together, never staged. Blocking."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from msgspec import Struct

from artifact_sync.domain.disk_errors import disk_errors
from artifact_sync.domain.errors import ArtifactSyncError
from artifact_sync.transfer.evidence import Hashes, judge
from artifact_sync.transfer.staging import Vouched

if TYPE_CHECKING:
    from collections.abc import Sequence

    from artifact_sync.domain.model import MirrorPath, StagedContent, Strength
    from artifact_sync.domain.ports import ArtifactStore, Chunk
    from artifact_sync.transfer.disk_space import DiskSpace
    from artifact_sync.transfer.evidence import Claim, Recorded
    from artifact_sync.transfer.staging import Identity, Staged

Published = tuple[Vouched, str | None]
"""What vouches for a file that is in its place now, and where a stranger in the way has moved."""


class Small(Struct, frozen=True):
    """All the bytes of a small file."""

    chunks: Sequence[Chunk]
    identity: Identity
    path: MirrorPath
    claims: tuple[Claim, ...]
    """What is known of its bytes besides what its answer claims."""
    recorded: Recorded | None
    staged: Staged
    """What an earlier try may have left: it is thrown away."""


class SmallFiles(Struct, frozen=True):
    """Publishes small files. The work of ``Batches``."""

    mirror: ArtifactStore
    space: DiskSpace

    def __call__(self, files: Sequence[Small]) -> Sequence[Published | Exception]:
        """An outcome a file: ``IntegrityFailure`` and ``DiskError`` are its own alone."""
        outcomes: list[Published | Exception] = []
        sound: list[tuple[StagedContent, MirrorPath]] = []
        with ExitStack() as room:
            for file in files:
                content = file.chunks[0] if len(file.chunks) == 1 else b"".join(file.chunks)
                try:
                    room.enter_context(self.space.taken(len(content)))
                    vouched = _judged(content, file)
                except ArtifactSyncError as error:
                    outcomes.append(error)
                else:
                    outcomes.append((vouched, None))
                    sound.append((vouched.content(content), file.path))
            return _merged(outcomes, self.mirror.publish(sound) if sound else ())


def _judged(content: Chunk, file: Small) -> Vouched:
    hashes = Hashes(file.identity.algorithms)
    hashes.update(content)
    strength, evidence = judged(file.identity, file.claims, file.recorded, hashes)
    with disk_errors("staging"):
        file.staged.discard()
    return Vouched(len(content), hashes.sha256, strength, evidence)


def judged(
    identity: Identity, claims: tuple[Claim, ...], recorded: Recorded | None, hashes: Hashes
) -> tuple[Strength, tuple[str, ...]]:
    """How well an answer and what is known besides vouch for bytes. ``IntegrityFailure``."""
    known = (recorded.claim,) if recorded is not None else ()
    length_known = identity.total is not None
    judgement = judge((*identity.claims, *claims, *known), hashes, length_known=length_known)
    return judgement if recorded is None else recorded.joined(*judgement)


def _merged(
    outcomes: Sequence[Published | Exception], placed: Sequence[str | Exception | None]
) -> Sequence[Published | Exception]:
    """What became of those that were sound, in the places of their judgements."""
    left = iter(placed)
    merged: list[Published | Exception] = []
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            merged.append(outcome)
            continue
        place = next(left)
        merged.append(place if isinstance(place, Exception) else (outcome[0], place))
    return merged
