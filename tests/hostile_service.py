"""SourceCraft and the file origin behind it as the tests script them, on two origins.

Everything is answered honestly, but where a test has put a behaviour that is a lie.
"""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qs, quote, unquote

from behaviours import Behaviour, Visit, honest
from hostile_server import HostileServer, Request, Wire

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping

TOKEN = "pv1_hostile-trial-TOKENSECRET"
LINK_SECRET = "LINKSECRET"
"""Stands in the path and in the query of every link."""
SECRETS = ("TOKENSECRET", LINK_SECRET)

Json = dict[str, Any]


@dataclass
class File:
    """An artifact: where it hangs, its bytes, and how its link answers."""

    content: bytes = b""
    behaviour: Behaviour = honest
    headers: dict[str, str] = field(default_factory=dict)
    cube: tuple[str, str, str] = ("build", "linux", "compile")
    """Slugs of workflow, task and cube."""
    status: str = "success"
    url: Callable[[str], str | None] = lambda link: link
    """Makes what the answer shows of the true link."""
    updated_at: str = "2026-11-20T10:04:00Z"
    visits: list[Request] = field(default_factory=list)
    served: int = 0
    """Body bytes handed over so far, or just about to be, repeats included."""
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def ranges(self) -> list[str | None]:
        """What each visit asked for."""
        return [visit.header("range") for visit in self.visits]

    def count(self, count: int) -> None:
        """So many more body bytes were handed over."""
        with self._lock:
            self.served += count


@dataclass
class Run:
    """A run; the answers about it may be altered last."""

    slug: str
    files: list[tuple[str, File]]
    status: str = "success"
    updated_at: str = "2026-11-20T10:05:00Z"
    alter: Callable[[Json], Json] = lambda payload: payload
    created_at: str = "2026-11-20T10:00:00Z"
    id: str = ""


class Service:
    """The API, the file origin and all that they have."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.repos: dict[str, list[Run]] = {}
        self.api_headers = {"Content-Type": "application/json"}
        self.api_behaviour: dict[str, Behaviour] = {}
        """By the raw path of the request; ``*`` is for all that have none of their own."""
        self.page_size = 100
        self.alter_page: Callable[[Json, str], Json] = lambda page, _token: page
        """Gets each page of the list of runs and its page token."""
        self._links: dict[str, File] = {}
        self._nonce = itertools.count(1)
        self._visits: Counter[str] = Counter()
        self._lock = threading.Lock()
        self.api = HostileServer(self._answer_api)
        self.origin = HostileServer(self._answer_file, tls)

    def run(
        self, files: Mapping[str, File | bytes], slug: str = "1", repo: str = "org/repo"
    ) -> Run:
        """Add a run with these files, by ``local_path``."""
        named = [(path, _file(content)) for path, content in files.items()]
        run = Run(slug, named)
        self.repos.setdefault(repo, []).append(run)
        return run

    def file(self, content: bytes, behaviour: Behaviour = honest, **headers: str) -> File:
        """The usual case: ``app.bin``, alone in run 1 of ``org/repo``."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        file = File(content, behaviour, named)
        self.run({"app.bin": file})
        return file

    def runs_path(self, repo: str = "org/repo", run: str = "") -> str:
        return f"/repos/{repo}/cicd/runs" + (f"/{run}" if run else "")

    @property
    def api_targets(self) -> list[str]:
        return [request.target for request in self.api.requests]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.api.close()
        self.origin.close()

    # -- the file origin

    def _answer_file(self, request: Request, wire: Wire) -> None:
        with self._lock:
            file = self._links.get(request.target)
            if file is not None:
                file.visits.append(request)
                number = len(file.visits)
        if file is None:
            _error(wire, 403, "SignatureDoesNotMatch", "not a link that was given, byte for byte")
            return
        wire.meter = file.count
        file.behaviour(Visit(request, wire, number, file.content, file.headers))

    def link(self, file: File, name: str) -> str:
        """A fresh temporary link, in the form of an object store's."""
        with self._lock:
            nonce = next(self._nonce)
            stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
            path = f"/store/{LINK_SECRET}-{nonce}/{quote(name, safe='', errors='replace')[:100]}"
            query = f"X-Amz-Date={stamp}&X-Amz-Expires=60&X-Amz-Signature={LINK_SECRET}%2f{nonce}"
            self._links[f"{path}?{query}"] = file
        return f"{self.origin.origin}{path}?{query}"

    def lead(self, target: str, file: File) -> None:
        """Have a target of the test's own making lead to a file."""
        self._links[target] = file

    # -- the API

    def _answer_api(self, request: Request, wire: Wire) -> None:
        with self._lock:
            self._visits[request.path] += 1
            number = self._visits[request.path]
        if request.header("authorization") != f"Bearer {TOKEN}":
            _error(wire, 401, "Unauthenticated", "who are you?")
            return
        answer = self._look_up(request)
        behaviour = self.api_behaviour.get(request.path) or self.api_behaviour.get("*")
        if behaviour is None and answer is None:
            _error(wire, 404, "NotFound", "no such thing")
            return
        content = json.dumps(answer).encode()
        visit = Visit(request, wire, number, content, self.api_headers)
        (behaviour or honest)(visit)

    def _look_up(self, request: Request) -> Json | None:
        parts = [unquote(part) for part in request.path.split("/")[1:]]
        match parts:
            case ["orgs", org, "repos"]:
                return self._repositories(org)
            case ["repos", org, repo, "cicd", "runs"] if f"{org}/{repo}" in self.repos:
                return self._page(self.repos[f"{org}/{repo}"], request.query)
            case ["repos", org, repo, "cicd", "runs", slug]:
                run = self._find(f"{org}/{repo}", slug)
                return run.alter(self.payload_of(run)) if run else None
            case ["repos", org, repo, "cicd", "artifacts", slug, *cube]:
                run = self._find(f"{org}/{repo}", slug)
                return {"artifacts": self._artifacts(run, tuple(cube), real=True)} if run else None
        return None

    def _find(self, repo: str, slug: str) -> Run | None:
        return next((run for run in self.repos.get(repo, []) if run.slug == slug), None)

    def _repositories(self, org: str) -> Json:
        names = [name.split("/", 1) for name in self.repos]
        return {
            "repositories": [
                {"slug": repo, "organization": {"slug": owner}}
                for owner, repo in names
                if owner == org
            ]
        }

    def _page(self, runs: list[Run], query: str) -> Json:
        token = parse_qs(query).get("page_token", [""])[0]
        start = int(token) if token.isdigit() else 0
        newest_first = list(reversed(runs))[start : start + self.page_size]
        page: Json = {"runs": [_without_tree(self.payload_of(run)) for run in newest_first]}
        if start + self.page_size < len(runs):
            page["next_page_token"] = str(start + self.page_size)
        return self.alter_page(page, token)

    def payload_of(self, run: Run) -> Json:
        """The answer about a run, before it is altered."""
        cubes = dict.fromkeys(file.cube for _, file in run.files)
        tree: dict[str, dict[str, list[Json]]] = {}
        for workflow, task, cube in cubes:
            tree.setdefault(workflow, {}).setdefault(task, []).append(
                _node(cube, artifacts=self._artifacts(run, (workflow, task, cube)))
            )
        workflows = [
            _node(workflow, tasks=[_node(task, cubes=inner) for task, inner in tasks.items()])
            for workflow, tasks in tree.items()
        ]
        dates = _dates() | {"updated_at": run.updated_at, "created_at": run.created_at}
        return _node(run.slug, workflows=workflows) | {
            "id": run.id,
            "status": run.status,
            "dates": dates,
            "event_type": "push",
            "error_messages": [],
            "user": {"id": "u1", "slug": "<external-user>"},
        }

    def _artifacts(self, run: Run, cube: tuple[str, ...], *, real: bool = False) -> list[Json]:
        """``real``: as the cube's own answer shows them, whatever the run's one shows."""
        return [
            self._artifact(path, file, real=real) for path, file in run.files if file.cube == cube
        ]

    def _artifact(self, path: str, file: File, *, real: bool) -> Json:
        link = self.link(file, path)
        dates = {"registered_at": "2026-11-20T10:03:00Z", "updated_at": file.updated_at}
        return {
            "id": "",
            "local_path": path,
            "status": file.status,
            "dates": dates,
            "download_url": link if real else file.url(link),
        }


def _file(content: File | bytes) -> File:
    return content if isinstance(content, File) else File(content)


def _dates() -> Json:
    return {
        "created_at": "2026-11-20T10:00:00Z",
        "started_at": "2026-11-20T10:00:10Z",
        "finished_at": "2026-11-20T10:05:00Z",
        "updated_at": "2026-11-20T10:05:00Z",
    }


def _node(slug: str, **children: list[Json]) -> Json:
    return {"id": "", "slug": slug, "status": "success", "dates": _dates(), **children}


def _without_tree(payload: Json) -> Json:
    """As the list shows a run: workflows there, their tasks not."""
    workflows = [{**workflow, "tasks": []} for workflow in payload["workflows"]]
    return {**payload, "workflows": workflows}


def _error(wire: Wire, code: int, name: str, message: str) -> None:
    body = {"error_code": name, "message": message, "request_id": "req-0451", "details": {}}
    content = json.dumps(body).encode()
    wire.head(code, [("Content-Type", "application/json"), ("Content-Length", str(len(content)))])
    wire.raw(content)
