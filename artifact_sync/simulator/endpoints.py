"""Answers of the API's endpoints, as JSON values."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NoReturn

from artifact_sync.domain.model import FINISHED, RepoName
from artifact_sync.simulator import payloads
from artifact_sync.simulator.faults import Subject
from artifact_sync.simulator.paging import BadPage, page

if TYPE_CHECKING:
    from collections.abc import Mapping

    from artifact_sync.simulator.payloads import Json
    from artifact_sync.simulator.routes import Call
    from artifact_sync.simulator.service import SimulatorService
    from artifact_sync.simulator.tree import ArtifactState, CubeState, RunState
    from artifact_sync.simulator.world import RepoWorld

    Query = Mapping[str, str]


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
