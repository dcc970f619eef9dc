"""What the service tells of a run: workflows, tasks, cubes, artifacts.

It follows the API's ``Run``, member by member, but for the links, which are credentials and never
kept. A field's docstring is its description in the JSON Schema of docs/reference/.
"""

from __future__ import annotations

from msgspec import Struct


class StageDates(Struct, frozen=True, kw_only=True):
    """Times of a run, workflow, task or cube; RFC 3339 in UTC."""

    created_at: str | None = None
    """Null: not known, as for the others."""
    started_at: str | None = None
    """When it began to work."""
    finished_at: str | None = None
    """When it ended."""
    updated_at: str | None = None
    """When the service last touched it."""


class ArtifactDates(Struct, frozen=True, kw_only=True):
    """When an artifact came to its stages; RFC 3339 in UTC."""

    registered_at: str | None = None
    """Null: not known, as for the others."""
    obtained_at: str | None = None
    """When the service got the file."""
    updated_at: str | None = None
    """When the service last touched it."""


class RunPart(Struct, frozen=True, kw_only=True):
    """What workflows, tasks and cubes have in common."""

    id: str = ""
    """The service's own; empty: it gave none."""
    slug: str = ""
    """Its name in the CI file."""
    status: str = ""
    """The service's word; empty: not known."""
    dates: StageDates = StageDates()
    """When it began and ended."""


class ArtifactRecord(Struct, frozen=True, kw_only=True):
    """An artifact as the service lists it, of whatever status."""

    id: str = ""
    """The service's own; empty: it gave none."""
    local_path: str = ""
    """As the CI file has it."""
    status: str = ""
    """``registered``, ``success``, ``failed``, ``missing``, or a word that is new."""
    dates: ArtifactDates = ArtifactDates()
    """When it was left."""


class Dependency(Struct, frozen=True, kw_only=True):
    """Something that has to be done before."""

    name: str = ""
    """Its slug."""


class Relations(Struct, frozen=True, kw_only=True):
    """What a task or a cube depends on."""

    needs: list[Dependency] = []
    """In the service's order."""


class StageProgress(Struct, frozen=True, kw_only=True):
    """How far a workflow or a task has come."""

    percent: float | None = None
    """From 0 to 100, as the service counts; null: not known."""
    current_cube: str = ""
    """Slug of the cube at work; empty: none is."""


class CubeRecord(RunPart, frozen=True, kw_only=True):
    """A cube as the service tells of it."""

    relations: Relations = Relations()
    """What it depends on."""
    artifacts: list[ArtifactRecord] = []
    """All that it lists, mirrored or not. See ``shortened``."""


class TaskRecord(RunPart, frozen=True, kw_only=True):
    """A task as the service tells of it."""

    description: str = ""
    """As the CI file has it."""
    progress: StageProgress = StageProgress()
    """How far it has come."""
    relations: Relations = Relations()
    """What it depends on."""
    cubes: list[CubeRecord] = []
    """In the service's order."""


class WorkflowRecord(RunPart, frozen=True, kw_only=True):
    """A workflow as the service tells of it."""

    description: str = ""
    """As the CI file has it."""
    progress: StageProgress = StageProgress()
    """How far it has come."""
    tasks: list[TaskRecord] = []
    """In the service's order."""


class Embedded(Struct, frozen=True, kw_only=True):
    """A user or a pull request that a run names."""

    id: str = ""
    """The service's own; empty: it gave none."""
    slug: str = ""
    """Its name; empty: it has none."""


class RunRecord(Struct, frozen=True, kw_only=True):
    """What the service last told of a run.

    Texts are made safe, and have a greatest length.
    """

    id: str = ""
    """The service's own; empty: it gave none."""
    dates: StageDates = StageDates()
    """When it began and ended."""
    error_messages: list[str] = []
    """The service's, without links and tokens."""
    pull: Embedded | None = None
    """The pull request that started it; null: none did, or it is not known."""
    user: Embedded | None = None
    """Who started it; null: not known."""
    workflows: list[WorkflowRecord] = []
    """In the service's order."""
    shortened: bool = False
    """Whether the answer was so large that parts of it were left out."""
