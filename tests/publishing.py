"""Publishing one small file, as a pass publishes many."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from artifact_sync.domain.model import MirrorPath
    from artifact_sync.domain.ports import Chunk, Mirror


def publish_bytes(mirror: Mirror, content: Chunk, path: MirrorPath) -> str | None:
    """Where what was in the way has moved. Raises what kept the file from its place."""
    (outcome,) = mirror.publish_all([(content, path)])
    if isinstance(outcome, Exception):
        raise outcome
    return outcome
