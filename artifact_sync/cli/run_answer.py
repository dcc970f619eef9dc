"""The object of ``show --json``.

A field's docstring is its description in the JSON Schema of docs/reference/.
"""

# ruff: noqa: TC001 - msgspec reads the annotations for the schema

from __future__ import annotations

from msgspec import Struct

from artifact_sync.cli.json_objects import FailureEntry
from artifact_sync.mirror.run_document import RunDocument


class ShownDocument(RunDocument, frozen=True, kw_only=True):
    """A run: the members of its ``run.json``, and what the mirror has of it."""

    mirror_complete: bool
    """Whether all that was selected of the run is here."""


class ShowAnswer(Struct, frozen=True, kw_only=True):
    """The object of ``show --json``."""

    complete: bool
    """Whether the run was shown: ``mirror_complete`` says whether all of it is here."""
    exit_code: int
    """The program's."""
    failures: list[FailureEntry]
    """What has kept it from being shown."""
    gone_since: str | None
    """When the service was first found to have forgotten the run; null: it has not. ISO 8601."""
    run: ShownDocument | None
    """What its ``run.json`` says, or would say if the run were complete. Null: it was not shown."""
    pruned_at: str | None = None
    """When the rules of ``[keep]`` had the run go; null: it did not go. ISO 8601."""
