"""Parses calls of the API and answers them as JSON values.

Segments of a path are decoded one by one after the split, so that a slug may hold ``/`` or ``#``.
A page token names the last entry of its page, not an offset: entries that are added meanwhile
shift nothing.
"""

from __future__ import annotations

import hashlib
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, NamedTuple, NoReturn, TypeVar
from urllib.parse import unquote

from artifact_sync.domain.model import FINISHED, RepoName
from artifact_sync.simulator import payloads
from artifact_sync.simulator.faults import Subject

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from artifact_sync.simulator.payloads import Json
    from artifact_sync.simulator.scenario import ScenarioApi
    from artifact_sync.simulator.service import SimulatorService
    from artifact_sync.simulator.tree import ArtifactState, CubeState, RunState
    from artifact_sync.simulator.world import RepoWorld

    Query = Mapping[str, str]

_BY_ID = "id:"


class Call(NamedTuple):
    """An endpoint and the slugs of its path. ``repo`` may be ``id:…``."""

    endpoint: str
    org: str = ""
    repo: str = ""
    run: str = ""
    workflow: str = ""
    task: str = ""
    cube: str = ""


UNKNOWN = Call("unknown")


def route(path: str) -> Call:
    """Parse a percent-encoded path; ``UNKNOWN`` for no endpoint."""
    first, *segments = [unquote(part) for part in path.removeprefix("/").split("/")]
    if not all(segments):
        return UNKNOWN
    if first == "orgs":
        return _of_org(segments)
    if first != "repos" or not segments:
        return UNKNOWN
    if segments[0].startswith(_BY_ID):
        return _of_repo("", segments[0], segments[1:])
    return _of_repo(segments[0], segments[1], segments[2:]) if len(segments) > 1 else UNKNOWN


def _of_org(segments: list[str]) -> Call:
    match segments:
        case [org, "repos"]:
            return Call("repos", org)
        case _:
            return UNKNOWN


def _of_repo(org: str, repo: str, rest: list[str]) -> Call:
    match rest:
        case []:
            return Call("repo", org, repo)
        case ["releases"]:
            return Call("releases", org, repo)
        case ["releases", "latest"] | ["releases", "tag", _]:
            return Call("release", org, repo)
        case ["cicd", "runs"]:
            return Call("runs", org, repo)
        case ["cicd", *deeper] if org:  # the spec has no other form by the repository's id
            return _of_run(org, repo, deeper)
        case _:
            return UNKNOWN


def _of_run(org: str, repo: str, rest: list[str]) -> Call:
    match rest:
        case ["runs", run]:
            return Call("run", org, repo, run)
        case ["runs", run, workflow]:
            return Call("workflow", org, repo, run, workflow)
        case ["artifacts" | "logs" as kind, run, workflow, task, cube]:
            return Call(kind, org, repo, run, workflow, task, cube)
        case _:
            return UNKNOWN


T = TypeVar("T")

_TOO_LARGE = 2**64
_SEAL = 8


class BadPage(ValueError):
    """A page that cannot be requested; the message says why."""


@dataclass(frozen=True, slots=True)
class ListPage(Generic[T]):
    """Entries and the next page's token: None for none; it may be empty."""

    entries: Sequence[T]
    token: str | None


def page(
    entries: Iterable[T], rank: Callable[[T], str], query: Mapping[str, str], api: ScenarioApi
) -> ListPage[T]:
    """Select the page that a query asks for. ``rank`` must be unique."""
    size = _page_size(query.get("page_size", ""), api)
    after = _opened(query.get("page_token", ""), size)
    ranked = sorted(entries, key=rank)
    rest = [entry for entry in ranked if after is None or rank(entry) > after]
    shown = rest[:size]
    more = len(rest) > size or (api.ending == "extra" and bool(shown))
    token = _sealed(rank(shown[-1]), size) if more else _last_token(api)
    return ListPage(shown, token)


def _last_token(api: ScenarioApi) -> str | None:
    return "" if api.ending == "empty" else None


def _page_size(text: str, api: ScenarioApi) -> int:
    """Parse the page size, limited to the most; 0 and nothing are the default."""
    if not text:
        return min(api.page_size, api.max_page_size)
    if not (text.isascii() and text.isdigit()) or int(text[:21]) >= _TOO_LARGE:
        msg = f"page_size: {text[:40]!r} is not an unsigned 64-bit integer"
        raise BadPage(msg)
    return min(int(text) or api.page_size, api.max_page_size)


def _sealed(rank: str, size: int) -> str:
    body = json.dumps([rank, size]).encode()
    return urlsafe_b64encode(hashlib.sha256(body).digest()[:_SEAL] + body).decode().rstrip("=")


def _opened(token: str, size: int) -> str | None:
    """Decode a token, which is valid for its own page size only."""
    if not token:
        return None
    try:
        raw = urlsafe_b64decode(token + "=" * (-len(token) % 4))
        rank, made_for = json.loads(raw[_SEAL:])
    except ValueError as error:
        raise BadPage("page_token: not one of ours") from error
    if _sealed(rank, made_for) != token:
        raise BadPage("page_token: not one of ours")
    if made_for != size:
        raise BadPage("page_token: page_size must match the call that provided the token")
    return str(rank)


_MANY = 10**12
"""More runs than any repository has here."""


class ApiError(Exception):
    """An answer other than 200; the message is for the client."""

    def __init__(self, status: int, code: str, message: str) -> None:
        self.status = status
        self.code = code
        super().__init__(message)


class Endpoints:
    """Answers calls from the simulated state."""

    def __init__(self, service: SimulatorService) -> None:
        self._service = service
        self._answers = {
            "repos": self._repos,
            "repo": self._repo,
            "runs": self._runs,
            "run": self._run,
            "workflow": self._workflow,
            "artifacts": self._artifacts,
            "logs": self._logs,
            "releases": self._releases,
        }

    def answer(self, call: Call, query: Query) -> Json:
        """The payload of a 200; ``ApiError`` for another."""
        answer = self._answers.get(call.endpoint)
        if answer is None:
            raise _missing("such endpoint" if call.endpoint == "unknown" else "such release")
        try:
            return answer(call, query)
        except BadPage as error:
            raise ApiError(400, "ValidationError", str(error)) from error

    def subject(self, call: Call) -> Subject:
        """The call as faults match it: a repository by its name, not its id."""
        repo = self._find_repo(call)
        name = str(repo.name) if repo else f"{call.org}/{call.repo}".strip("/")
        return Subject("api", call.endpoint, name, call.run, call.cube)

    def _repos(self, call: Call, query: Query) -> Json:
        world = self._service.world
        found = [repo for repo in world.repos.values() if repo.name.org == call.org]
        if not found:
            raise _missing(f"organization {call.org!r}")
        shown = page(found, lambda repo: repo.name.repo, query, self._service.scenario.api)
        base = self._service.base_url
        entries = [payloads.repo_payload(repo, base) for repo in shown.entries]
        return _listing("repositories", entries, shown.token)

    def _repo(self, call: Call, query: Query) -> Json:
        del query
        return payloads.repo_payload(self._open_repo(call), self._service.base_url)

    def _runs(self, call: Call, query: Query) -> Json:
        api = self._service.scenario.api
        shown = page(self._open_repo(call).runs.values(), self._rank, query, api)
        entries = [
            payloads.run_payload(
                run, self._link_in_run, tasks=api.list_tasks or run.status not in FINISHED
            )
            for run in shown.entries
        ]
        return _listing("runs", entries, shown.token)

    def _run(self, call: Call, query: Query) -> Json:
        del query
        return payloads.run_payload(self._open_run(call), self._link_in_run)

    def _workflow(self, call: Call, query: Query) -> Json:
        del query
        all_of_them = payloads.workflow_payloads(self._open_run(call), self._link_in_run)
        found = (workflow for workflow in all_of_them if workflow["slug"] == call.workflow)
        return next(found, None) or _raise(_missing(f"workflow {call.workflow!r}"))

    def _artifacts(self, call: Call, query: Query) -> Json:
        del query
        artifacts = [one for cube in self._open_cubes(call) for one in cube.artifacts]
        link_to = self._service.link_to
        return {"artifacts": payloads.artifact_payloads(artifacts, link_to)}

    def _logs(self, call: Call, query: Query) -> Json:
        """A log of one page, complete once the cube has finished."""
        number = query.get("page", "1")
        cube = self._open_cubes(call)[0]
        if not (number.isascii() and number.isdigit()):
            raise ApiError(400, "ValidationError", f"page: {number[:40]!r} is not a number")
        if int(number[:21]) != 1:
            raise _missing(f"page {number[:40]}")
        done = cube.status in FINISHED
        return {"logs": cube.log, "page_complete": done, "done": done}

    def _releases(self, call: Call, query: Query) -> Json:
        """An empty list of releases; the page's arguments are checked."""
        self._open_repo(call)
        none: tuple[RepoWorld, ...] = ()
        shown = page(none, lambda _: "", query, self._service.scenario.api)
        return _listing("releases", [], shown.token)

    def _rank(self, run: RunState) -> str:
        """The position of a run in listings."""
        order = self._service.scenario.api.order
        if order == "shuffled":
            text = f"{self._service.scenario.seed}\0{run.key}"
            return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        return f"{run.ordinal if order == 'oldest' else _MANY - run.ordinal:012d}"

    def _link_in_run(self, artifact: ArtifactState) -> str:
        in_run = self._service.scenario.api.links_in == "run"
        return self._service.link_to(artifact) if in_run else ""

    def _find_repo(self, call: Call) -> RepoWorld | None:
        repos = self._service.world.repos
        if call.org:
            return repos.get(RepoName(call.org, call.repo))
        by_id = (repo for repo in repos.values() if f"id:{repo.id}" == call.repo)
        return next(by_id, None)

    def _open_repo(self, call: Call) -> RepoWorld:
        repo = self._find_repo(call)
        if repo is None:
            raise _missing("such repository")
        if repo.forbidden:
            raise ApiError(403, "PermissionDenied", f"the token may not read {repo.name}")
        return repo

    def _open_run(self, call: Call) -> RunState:
        return self._open_repo(call).runs.get(call.run) or _raise(_missing(f"run {call.run!r}"))

    def _open_cubes(self, call: Call) -> list[CubeState]:
        """The cubes of a path: several if a scenario repeats the name."""
        wanted = (call.workflow, call.task, call.cube)
        run = self._open_run(call)
        return [cube for cube in run.cubes if cube.key[1:] == wanted] or _raise(
            _missing(f"cube {call.cube!r}")
        )


def _listing(name: str, entries: list[Json], token: str | None) -> Json:
    return {name: entries} if token is None else {name: entries, "next_page_token": token}


def _missing(what: str) -> ApiError:
    return ApiError(404, "NotFound", f"there is no {what}")


def _raise(error: ApiError) -> NoReturn:
    raise error
