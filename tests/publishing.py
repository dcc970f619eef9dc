"""Publishing one small file, as a pass publishes many."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from artifact_sync.domain.model import StagedContent

if TYPE_CHECKING:
    from artifact_sync.domain.model import MirrorPath
    from artifact_sync.domain.ports import ArtifactStore, Chunk


def publish_bytes(mirror: ArtifactStore, content: Chunk, path: MirrorPath) -> str | None:
    """Where what was in the way has moved. Raises what kept the file from its place."""
    staged = StagedContent(len(content), hashlib.sha256(content).hexdigest(), content)
    return publish_content(mirror, staged, path)


def publish_content(mirror: ArtifactStore, content: StagedContent, path: MirrorPath) -> str | None:
    """As ``publish_bytes``."""
    (outcome,) = mirror.publish([(content, path)])
    if isinstance(outcome, Exception):
        raise outcome
    assert outcome is not None
    return outcome.displaced
