"""Scenarios: what a simulated organisation holds, and how it behaves.

Values, and the TOML they are read from. Every default makes a well-behaved service. Names of TOML
keys are singular (``[[repo.run.cube]]``), as in the configuration of artifact-sync. Sizes are bytes
and durations seconds; in a file both may carry a unit. ``{n}`` in a slug or a path stands for the
number of the copy where ``count`` is set.
"""

from __future__ import annotations

import difflib
import tomllib
from datetime import datetime  # noqa: TC003 - msgspec reads the annotations at run time
from http import HTTPStatus
from importlib import resources
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin
from urllib.parse import urlsplit

import msgspec

from artifact_sync.domain.errors import ConfigError
from artifact_sync.domain.model import RepoName
from artifact_sync.simulator.faults import AnyFault, Count, FileOnly, Seconds, Size, StatusFault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

Order = Literal["newest", "oldest", "shuffled"]
Ending = Literal["absent", "empty", "extra"]
LogEnd = Literal["done", "repeat", "empty", "open", "none"]
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
    log_size: Size | None = None
    """Bytes of a generated log, in place of ``log``."""
    log_page: Size = 600_000
    """Bytes a page of the log."""
    log_end: LogEnd = "done"
    """How the last page is told: it is ``done``, the next one repeats it (``repeat``) or is empty,
    or not at all (``open``: it may still grow). ``none``: there is no log."""
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
    age: Seconds | None = None
    """How long before the scenario's start it was created; the newest copy's. None: an hour for
    each run that follows."""
    every: Seconds = 3600.0
    """Time between copies."""
    duration: Seconds = 60.0
    user: str = "somebody"
    pull: str = ""
    errors: tuple[str, ...] = ()
    descriptions: dict[str, str] = {}
    """By the name of a workflow, or ``workflow/task``."""
    needs: dict[str, tuple[str, ...]] = {}
    """Tasks that have to be done before a task, by ``workflow/task``."""
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
    lifetime: Seconds = 60.0
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


def problems_of(scenario: Scenario) -> list[str]:
    """List the contradictions of a scenario. Hostile names are allowed."""
    return [*_scenario(scenario)]


def _scenario(scenario: Scenario) -> Iterator[str]:
    if scenario.start is not None and scenario.start.tzinfo is None:
        yield "start: needs a time zone, such as 2026-11-01T00:00:00Z"
    if not all(token.isascii() and token.isprintable() and token for token in scenario.api.tokens):
        yield "api.tokens: a token must be printable ASCII"
    yield from _files(scenario.files)
    names = [repo.name.casefold() for repo in scenario.repos]
    for n, repo in enumerate(scenario.repos):
        if names.index(repo.name.casefold()) != n:
            yield f"repo[{n}].name: {repo.name} is there twice"
        yield from _repo(repo, f"repo[{n}]")
    for n, fault in enumerate(scenario.faults):
        yield from _fault(fault, f"fault[{n}]")


def _files(files: Files) -> Iterator[str]:
    parts = urlsplit(files.base_url)
    if files.base_url and (parts.scheme not in ("http", "https") or not parts.netloc):
        yield f"files.base_url: expected an http or https URL, got {files.base_url!r}"


def _repo(repo: Repo, at: str) -> Iterator[str]:
    try:
        RepoName.parse(repo.name)
    except ValueError as error:
        yield f"{at}.name: {error}"
    slugs = [run.slug for run in repo.runs]
    for n, run in enumerate(repo.runs):
        if run.slug is not None and slugs.index(run.slug) != n:
            yield f"{at}.run[{n}].slug: {run.slug!r} is there twice"
        yield from run_problems(run, f"{at}.run[{n}]")


def run_problems(run: ScenarioRun, at: str = "run") -> Iterator[str]:
    """List the problems of one run."""
    if run.slug is not None and run.count > 1 and "{n}" not in run.slug:
        yield f"{at}.slug: needs {{n}} where count is more than 1"
    for n, cube in enumerate(run.cubes):
        yield from _cube(cube, f"{at}.cube[{n}]")


def _cube(cube: Cube, at: str) -> Iterator[str]:
    if cube.count > 1 and "{n}" not in cube.slug:
        yield f"{at}.slug: needs {{n}} where count is more than 1"
    paths = {artifact.path: artifact for artifact in cube.artifacts}
    for n, artifact in enumerate(cube.artifacts):
        yield from _artifact(artifact, f"{at}.artifact[{n}]")
        target = artifact.sha256_of
        if target is not None and (target not in paths or paths[target].sha256_of is not None):
            yield f"{at}.artifact[{n}].sha256_of: this cube has no artifact {target!r} to digest"


def _artifact(artifact: ScenarioArtifact, at: str) -> Iterator[str]:
    contents = (artifact.size, artifact.text, artifact.data, artifact.sha256_of)
    if sum(content is not None for content in contents) > 1:
        yield f"{at}: at most one of size, text, base64 and sha256_of"
    if artifact.count > 1 and "{n}" not in artifact.path:
        yield f"{at}.path: needs {{n}} where count is more than 1"
    if artifact.max_size is not None and artifact.max_size < (artifact.size or 0):
        yield f"{at}.max_size: is less than size"


def _fault(fault: AnyFault, at: str) -> Iterator[str]:
    if isinstance(fault, StatusFault) and fault.status not in list(HTTPStatus):
        yield f"{at}.status: {fault.status} is no status of HTTP"
    if fault.on == "api" and isinstance(fault, FileOnly):
        kind = fault.__struct_config__.tag
        yield f'{at}.on: {kind} strikes files only; leave out on = "api"'


def demo_text() -> str:
    """The TOML of the packaged scenario: a small organisation, ``acme``."""
    return resources.files(__package__).joinpath("demo.toml").read_text(encoding="utf-8")


def demo_scenario() -> Scenario:
    """The packaged scenario."""
    return parse_scenario(demo_text(), name="demo.toml")


def load_scenario(path: Path) -> Scenario:
    """Read a scenario file; ``ConfigError`` has a line for each problem."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ConfigError([f"{path}: cannot be read: {why}"], path) from error
    return parse_scenario(text, name=str(path), path=path)


def parse_scenario(text: str, *, name: str, path: Path | None = None) -> Scenario:
    """Parse a scenario's TOML; ``name`` begins each line of a ``ConfigError``."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([f"{name}: not TOML: {error}"], path) from error
    reader = _Reader()
    scenario = reader.table([Scenario], raw)
    problems = reader.problems or problems_of(scenario)
    if problems:
        raise ConfigError([f"{name}: {problem}" for problem in problems], path)
    assert isinstance(scenario, Scenario)  # noqa: S101 - the reader had no complaint
    return scenario


class _Reader:
    """Builds structs from parsed TOML and collects problems, after which they are void."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def table(self, structs: Sequence[type[msgspec.Struct]], raw: object, at: str = "") -> Any:
        """Build a struct from a table; among several its ``kind`` chooses."""
        if not isinstance(raw, dict):
            return self._problem(at, f"expected a table, got {_word(raw)}")
        if len(structs) == 1:
            return self._struct(structs[0], raw, at)
        kinds = {it.__struct_config__.tag: it for it in structs}
        kind = raw.get("kind")
        if not isinstance(kind, str) or kind not in kinds:
            return self._problem(f"{at}.kind", f"expected one of {', '.join(map(str, kinds))}")
        rest = {key: value for key, value in raw.items() if key != "kind"}
        return self._struct(kinds[kind], rest, at)

    def _struct(self, struct: type[msgspec.Struct], raw: Mapping[str, object], at: str) -> Any:
        fields = {field.encode_name: field for field in msgspec.structs.fields(struct)}
        before = len(self.problems)
        for key in (key for key in raw if key not in fields):
            near = difflib.get_close_matches(key, fields, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(fields)}"
            self._problem(f"{at}.{key}", f"is not a key here; {hint}")
        values = {}
        for key, field in fields.items():
            if key in raw:
                values[field.name] = self._value(field.type, raw[key], f"{at}.{key}")
            elif field.required:
                self._problem(f"{at}.{key}", "is missing")
        return None if len(self.problems) > before else struct(**values)

    def _value(self, kind: Any, raw: object, at: str) -> Any:
        if structs := _structs(kind):
            return self.table(structs, raw, at)
        if get_origin(kind) is tuple and (structs := _structs(get_args(kind)[0])):
            if not isinstance(raw, list):
                return self._problem(at, f"expected a list of tables, got {_word(raw)}")
            return tuple(self.table(structs, item, f"{at}[{n}]") for n, item in enumerate(raw))
        try:
            return msgspec.convert(_parsed(kind, raw), kind)
        except (msgspec.ValidationError, ValueError) as error:
            return self._problem(at, str(error).partition(" - at `$")[0])

    def _problem(self, at: str, what: str) -> None:
        self.problems.append(f"{at}: {what}".removeprefix("."))


def _structs(kind: Any) -> tuple[type[msgspec.Struct], ...]:
    """The struct that a type is, or the members of a union."""
    if get_origin(kind) in (Union, UnionType):
        return tuple(struct for part in get_args(kind) for struct in _structs(part))
    return (kind,) if isinstance(kind, type) and issubclass(kind, msgspec.Struct) else ()


def _parsed(kind: Any, raw: object) -> object:
    """Convert ``24MiB`` to a number where the type is a size or duration."""
    parse = _parser(kind)
    return parse(raw) if parse and isinstance(raw, str) else raw


def _parser(kind: Any) -> Callable[[str], object] | None:
    if get_origin(kind) in (Union, UnionType):
        return next(filter(None, map(_parser, get_args(kind))), None)
    extra = kind.__metadata__[0].extra if get_origin(kind) is Annotated else None
    return (extra or {}).get("parse")


def _word(raw: object) -> str:
    return {str: "text", list: "a list", bool: "a boolean"}.get(type(raw), type(raw).__name__)
