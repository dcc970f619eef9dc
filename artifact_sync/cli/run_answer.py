"""The object of ``show --json``.

A field's docstring is its description in the JSON Schema of docs/reference/.
"""

# ruff: noqa: TC001 - msgspec reads the annotations for the schema

from __future__ import annotations

from msgspec import Struct

from artifact_sync.mirror.run_document import RunDocument


class ShowAnswer(Struct, frozen=True, kw_only=True):
    """The object of ``show --json``."""

    complete: bool
    """Whether all that was selected of the run is here."""
    exit_code: int
    """The program's."""
    gone_since: str | None
    """When the service was first found to have forgotten the run; null: it has not. ISO 8601."""
    run: RunDocument
    """What its ``run.json`` says, or would say if the run were complete."""
