"""Scenario values: what a simulated organisation holds and how it behaves.

Every default makes a well-behaved service. Names of TOML keys are singular (``[[repo.run.cube]]``),
as in the configuration of artifact-sync. Sizes are bytes and durations seconds; in a file both may
carry a unit. ``{n}`` in a slug or a path stands for the number of the copy where ``count`` is set.
"""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - msgspec reads the annotations at run time
from typing import Annotated, Literal

import msgspec

from artifact_sync.simulator.faults import AnyFault  # noqa: TC001 - likewise

Size = Annotated[int, msgspec.Meta(ge=0, extra={"unit": "bytes"})]
Duration = Annotated[float, msgspec.Meta(ge=0, extra={"unit": "seconds"})]
Count = Annotated[int, msgspec.Meta(ge=1)]

Order = Literal["newest", "oldest", "shuffled"]
Ending = Literal["absent", "empty", "extra"]
Digest = Literal["repr-digest", "content-digest", "content-md5", "x-amz-checksum-sha256"]

DEFAULT_TOKEN = "demo-token"  # noqa: S105 - the simulator's, which guards nothing


class ScenarioArtifact(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An artifact; its file has one of size, text, base64 and sha256_of."""

    path: str
    """``local_path``, as a CI file would say it. May be hostile."""
    size: Size | None = None
    """Bytes of generated content; 1 KiB where nothing says what the file holds."""
    max_size: Size | None = None
    """With it the size lies between ``size`` and this, different for each copy."""
    text: str | None = None
    data: bytes | None = msgspec.field(default=None, name="base64")
    sha256_of: str | None = None
    """The path of an artifact of the same cube: the content is its line for ``sha256sum -c``."""
    status: str = "success"
    content_type: str = ""
    """Empty: guessed from the path."""
    count: Count = 1


class Cube(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A cube of a run, with the slugs of its workflow and task."""

    slug: str = "build"
    workflow: str = "ci"
    task: str = "build"
    status: str | None = None
    """None: the run's."""
    needs: tuple[str, ...] = ()
    log: str = ""
    artifacts: tuple[ScenarioArtifact, ...] = msgspec.field(default=(), name="artifact")
    count: Count = 1


class ScenarioRun(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A run, or ``count`` similar ones. A repository lists its runs oldest first."""

    slug: str | None = None
    """None: one more than the run before, from 1."""
    status: str = "success"
    statuses: tuple[str, ...] = ()
    """Taken in turn by the copies, instead of ``status``."""
    event: str = "push"
    age: Duration | None = None
    """How long before the scenario's start it was created; the newest copy's. None: an hour for
    each run that follows."""
    every: Duration = 3600.0
    """Time between copies."""
    duration: Duration = 60.0
    user: str = "somebody"
    pull: str = ""
    errors: tuple[str, ...] = ()
    cubes: tuple[Cube, ...] = msgspec.field(default=(), name="cube")
    count: Count = 1


class Repo(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A repository. It makes its organisation exist."""

    name: str
    """``org/repo``."""
    description: str = ""
    forbidden: bool = False
    """Whether every token is refused with 403, for this repository alone."""
    runs: tuple[ScenarioRun, ...] = msgspec.field(default=(), name="run")


class ScenarioApi(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[api]``: how the API answers."""

    tokens: tuple[str, ...] = (DEFAULT_TOKEN,)
    page_size: Count = 30
    """Entries a page where the client does not say."""
    max_page_size: Count = 100
    """A client that asks for more gets this many."""
    order: Order = "newest"
    ending: Ending = "absent"
    """The last page has no ``next_page_token``, or an empty one, or leads to an empty page."""
    list_tasks: bool = False
    """Whether a listing shows the tasks of finished runs; the live service does not."""
    links_in: Literal["run", "cube"] = "run"
    """``cube``: only the cube's answer carries links. ``run``: the run's and workflow's do too."""


class Files(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[files]``: how links are made and the file store answers."""

    style: Literal["s3", "nginx", "plain"] = "s3"
    lifetime: Duration = 60.0
    """How long a link lives, in whole seconds (rounded up)."""
    base_url: str = ""
    """Where links point when another server serves the exported files; empty: the simulator."""
    secret: str = "simulator-secret"  # noqa: S105 - guards made-up files
    """What links are signed with; nginx's ``secure_link_md5`` needs the same."""
    etag: Literal["auto", "md5", "parts", "none"] = "auto"
    """``md5``: the content's; ``parts``: as of a multi-part upload; ``auto``: parts over 64 MiB."""
    digests: tuple[Digest, ...] = ()
    """Checksum headers that come along."""
    bandwidth: Size | None = None
    """Bytes a second for each answer; None: as fast as it goes."""


class Scenario(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A whole scenario."""

    seed: str = "artifact-sync"
    """Generated content depends on this and on an artifact's key and size, on nothing else."""
    start: datetime | None = None
    """The moment from which ages count back. None: today's midnight (UTC), so that a simulator
    started again tells the same dates."""
    api: ScenarioApi = ScenarioApi()
    files: Files = Files()
    repos: tuple[Repo, ...] = msgspec.field(default=(), name="repo")
    faults: tuple[AnyFault, ...] = msgspec.field(default=(), name="fault")
