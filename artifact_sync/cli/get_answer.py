"""The object of ``get --json``.

A field's docstring is its description in the JSON Schema of docs/reference/.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from artifact_sync.cli.json_objects import FailureEntry  # noqa: TC001 - msgspec reads it


class GotFile(Struct, frozen=True, kw_only=True):
    """A file that was copied or unpacked: an entry of ``files``."""

    repo: str
    """``ORG/REPO``."""
    run: str
    """The run's number, as text."""
    local_path: str
    """As the CI file has it; empty: the log of a cube."""
    path: str
    """Where it is now, absolute; of an archive that was unpacked its folder."""
    action: Literal["copied", "unpacked", "kept"]
    """``kept``: it was there already, and is the same."""
    size: int | None
    """Bytes of the mirrored file."""
    sha256: str
    """Hex, of the mirrored file."""


class GetAnswer(Struct, frozen=True, kw_only=True):
    """The object of ``get --json``."""

    complete: bool
    """Whether all that was asked for is there."""
    exit_code: int
    """As of the process."""
    files: list[GotFile] = []
    """What is there now of what was asked for."""
    failures: list[FailureEntry]
    """What is not, and why."""
