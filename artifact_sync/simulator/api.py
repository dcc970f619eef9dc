"""The API over ASGI, as in ``swagger.cicd.json``.

Segments of a path are decoded one by one after the split, so that a slug may hold ``/`` or ``#``.
A page token names the last entry of its page, not an offset: entries that are added meanwhile
shift nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, NoReturn, TypeVar
from urllib.parse import unquote
from uuid import uuid4

from starlette.requests import Request

from artifact_sync.domain.model import FINISHED, RepoName
from artifact_sync.simulator import faults, payloads
from artifact_sync.simulator.logs import page_of_log
from artifact_sync.simulator.reply import Reply, send_reply, spoilt, whole_reply
from artifact_sync.simulator.world import Seen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from starlette.types import Receive, Scope, Send

    from artifact_sync.simulator.payloads import Json
    from artifact_sync.simulator.scenario import ScenarioApi
    from artifact_sync.simulator.tree import ArtifactState, CubeState, RunState
    from artifact_sync.simulator.world import RepoWorld, World

    Query = Mapping[str, str]

T = TypeVar("T")

_CODES: Mapping[int, str] = MappingProxyType(
    {
        400: "ValidationError",
        401: "Unauthenticated",
        403: "PermissionDenied",
        404: "NotFound",
        405: "MethodNotAllowed",
        429: "TooManyRequests",
        503: "Unavailable",
    }
)
_REPO = "/repos/{org}/{repo}"
_OF_REPO = (
    ("repo", ""),
    ("releases", "/releases"),
    ("release", "/releases/(?:latest|tag/[^/]+)"),
    ("runs", "/cicd/runs"),
)
_REPOS = (r"/repos/(?P<repo>id(?::|%3[Aa])[^/]+)", _REPO)
_PATHS = (
    ("repos", "/orgs/{org}/repos"),
    *((name, repo + below) for repo in _REPOS for name, below in _OF_REPO),
    ("run", _REPO + "/cicd/runs/{run}"),
    ("workflow", _REPO + "/cicd/runs/{run}/{workflow}"),
    ("artifacts", _REPO + "/cicd/artifacts/{run}/{workflow}/{task}/{cube}"),
    ("logs", _REPO + "/cicd/logs/{run}/{workflow}/{task}/{cube}"),
)
_ROUTES = [(name, re.compile(re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", it))) for name, it in _PATHS]
_TOO_LARGE = 2**64
_SEAL = 8
_MANY = 10**12
"""More runs than any repository has here."""


class Call(NamedTuple):
    """An endpoint and the slugs of its path. ``repo`` may be ``id:…``."""

    endpoint: str
    org: str = ""
    repo: str = ""
    run: str = ""
    workflow: str = ""
    task: str = ""
    cube: str = ""


def route(path: str) -> Call:
    """Parse a percent-encoded path; ``unknown`` is no endpoint."""
    for endpoint, pattern in _ROUTES:
        if match := pattern.fullmatch(path):
            return Call(endpoint, **{k: unquote(v) for k, v in match.groupdict().items()})
    return Call("unknown")


class ApiError(Exception):
    """An answer other than 200; the message is for the client."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(message)

    def reply(self) -> Reply:
        """The answer."""
        code = _CODES.get(self.status, "Internal")
        reply = _json(self.status, payloads.error_payload(code, str(self), uuid4().hex))
        extra = {401: {"www-authenticate": "Bearer"}, 405: {"allow": "GET"}}.get(self.status, {})
        return reply.with_headers(extra)


class ApiOrigin:
    """ASGI application of the API."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._answers: Mapping[str, Callable[[Call, Query], Json]] = {
            "repos": self._repos,
            "repo": lambda call, _: payloads.repo_payload(self._open_repo(call), world.base_url),
            "runs": self._runs,
            "run": lambda call, _: payloads.run_payload(self._open_run(call), self._link_in_run),
            "workflow": self._workflow,
            "artifacts": self._artifacts,
            "logs": self._logs,
            "releases": self._releases,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, and count it before its body begins."""
        request = Request(scope)
        path = scope["raw_path"].decode("latin-1")
        call, caller = route(path), self._caller(request)
        try:
            reply = self._reply(request, call, caller)
        except ApiError as error:
            reply = error.reply()
        seen = Seen(call.endpoint, request.method, path, reply.status, caller=caller)
        self._world.requests.note(seen)
        await send_reply(reply, self._world.time(), receive, send)

    def _reply(self, request: Request, call: Call, caller: int | None) -> Reply:
        if request.method != "GET":
            raise ApiError(405, "this endpoint takes GET only")
        if caller is None:
            raise ApiError(401, "the token is missing, unknown or out of date")
        struck = self._world.faults.striking(self._subject(call, request.query_params))
        try:
            with self._world.lock:
                reply = _failed_by_fault(struck) or self._answer(call, request.query_params)
        except ApiError as error:
            reply = error.reply()
        return spoilt(reply, struck)

    def _caller(self, request: Request) -> int | None:
        """Which token came with a request."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        known = self._world.scenario.api.tokens if scheme.lower() == "bearer" else ()
        good = [hmac.compare_digest(token.strip().encode(), one.encode()) for one in known]
        return good.index(True) if any(good) else None

    def _answer(self, call: Call, query: Query) -> Reply:
        answer = self._answers.get(call.endpoint)
        if answer is None:
            _missing("such endpoint" if call.endpoint == "unknown" else "such release")
        return _json(200, answer(call, query))

    def _subject(self, call: Call, query: Query) -> faults.Subject:
        """The call as faults match it: a repository by its name, a page of a log by its number."""
        page = query.get("page", "1") if call.endpoint == "logs" else ""
        repo = self._find_repo(call)
        name = str(repo.name) if repo else f"{call.org}/{call.repo}".strip("/")
        return faults.Subject("api", call.endpoint, name, call.run, call.cube, page)

    def _repos(self, call: Call, query: Query) -> Json:
        found = [repo for repo in self._world.repos.values() if repo.name.org == call.org]
        if not found:
            _missing(f"organization {call.org!r}")
        shown, more = _page(found, lambda repo: repo.name.repo, query, self._world.scenario.api)
        base = self._world.base_url
        return {"repositories": [payloads.repo_payload(repo, base) for repo in shown], **more}

    def _runs(self, call: Call, query: Query) -> Json:
        api = self._world.scenario.api
        shown, more = _page(self._open_repo(call).runs.values(), self._rank, query, api)
        entries = [
            payloads.run_payload(
                run, self._link_in_run, tasks=api.list_tasks or run.status not in FINISHED
            )
            for run in shown
        ]
        return {"runs": entries, **more}

    def _workflow(self, call: Call, _: Query) -> Json:
        all_of_them = payloads.workflow_payloads(self._open_run(call), self._link_in_run)
        found = (workflow for workflow in all_of_them if workflow["slug"] == call.workflow)
        return next(found, None) or _missing(f"workflow {call.workflow!r}")

    def _artifacts(self, call: Call, _: Query) -> Json:
        artifacts = [one for cube in self._open_cubes(call) for one in cube.artifacts]
        link_to = self._world.link_to
        return {"artifacts": [payloads.artifact_payload(one, link_to) for one in artifacts]}

    def _logs(self, call: Call, query: Query) -> Json:
        """A page of a log."""
        number = query.get("page", "1")
        cube = self._open_cubes(call)[0]
        if not (number.isascii() and number.isdigit()):
            raise ApiError(400, f"page: {number[:40]!r} is not a number")
        page = page_of_log(cube, int(number[:21])) or _missing(f"page {number[:40]}")
        return {"logs": page.text, "page_complete": page.complete, "done": page.done}

    def _releases(self, call: Call, query: Query) -> Json:
        """An empty list of releases; the page's arguments are checked."""
        self._open_repo(call)
        _, more = _page((), str, query, self._world.scenario.api)
        return {"releases": [], **more}

    def _rank(self, run: RunState) -> str:
        """The position of a run in listings."""
        scenario = self._world.scenario
        if scenario.api.order == "shuffled":
            text = f"{scenario.seed}\0{run.key}"
            return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        ordinal = run.ordinal if scenario.api.order == "oldest" else _MANY - run.ordinal
        return f"{ordinal:012d}"

    def _link_in_run(self, artifact: ArtifactState) -> str:
        in_run = self._world.scenario.api.links_in == "run"
        return self._world.link_to(artifact) if in_run else ""

    def _find_repo(self, call: Call) -> RepoWorld | None:
        repos = self._world.repos
        if call.org:
            return repos.get(RepoName(call.org, call.repo))
        return next((repo for repo in repos.values() if f"id:{repo.id}" == call.repo), None)

    def _open_repo(self, call: Call) -> RepoWorld:
        repo = self._find_repo(call) or _missing("such repository")
        if repo.forbidden:
            raise ApiError(403, f"the token may not read {repo.name}")
        return repo

    def _open_run(self, call: Call) -> RunState:
        return self._open_repo(call).runs.get(call.run) or _missing(f"run {call.run!r}")

    def _open_cubes(self, call: Call) -> list[CubeState]:
        """The cubes of a path: several if a scenario repeats the name."""
        wanted = (call.workflow, call.task, call.cube)
        cubes = self._open_run(call).cubes
        found = [cube for cube in cubes if cube.key[1:] == wanted]
        return found or _missing(f"cube {call.cube!r}")


def _page(
    entries: Iterable[T], rank: Callable[[T], str], query: Query, api: ScenarioApi
) -> tuple[Sequence[T], Json]:
    """The entries of a page, which may be none, and its ``next_page_token`` if it has one.

    ``rank`` must be unique.
    """
    size = _page_size(query.get("page_size", ""), api)
    after = _opened(query.get("page_token", ""), size)
    rest = [e for e in sorted(entries, key=rank) if after is None or rank(e) > after]
    shown = rest[:size]
    if len(rest) > size or (api.ending == "extra" and shown):
        return shown, {"next_page_token": _sealed(rank(shown[-1]), size)}
    return shown, {"next_page_token": ""} if api.ending == "empty" else {}


def _page_size(text: str, api: ScenarioApi) -> int:
    """Parse the page size, limited to the most; 0 and nothing are the default."""
    if text and (not (text.isascii() and text.isdigit()) or int(text[:21]) >= _TOO_LARGE):
        raise ApiError(400, f"page_size: {text[:40]!r} is not an unsigned 64-bit integer")
    return min(int(text or 0) or api.page_size, api.max_page_size)


def _sealed(rank: str, size: int) -> str:
    body = json.dumps([rank, size]).encode()
    return urlsafe_b64encode(hashlib.sha256(body).digest()[:_SEAL] + body).decode().rstrip("=")


def _opened(token: str, size: int) -> str | None:
    """Decode a token, which is valid for its own page size only."""
    if not token:
        return None
    try:
        rank, made_for = json.loads(urlsafe_b64decode(token + "=" * (-len(token) % 4))[_SEAL:])
    except (ValueError, TypeError):
        rank = made_for = None
    if rank is None or _sealed(rank, made_for) != token:
        raise ApiError(400, "page_token: not one of ours")
    if made_for != size:
        raise ApiError(400, "page_token: page_size must match the call that provided the token")
    return str(rank)


def _json(status: int, payload: Json) -> Reply:
    body = json.dumps(payload, ensure_ascii=False).encode("utf-8", "surrogatepass")
    return whole_reply(status, body, {"content-type": "application/json"})


def _missing(what: str) -> NoReturn:
    raise ApiError(404, f"there is no {what}")


def _failed_by_fault(struck: Sequence[faults.AnyFault]) -> Reply | None:
    for fault in struck:
        if isinstance(fault, faults.StatusFault):
            reply = ApiError(fault.status, "the scenario wants it so").reply()
            return reply.with_headers(fault.headers())
    return None
