"""Converts the simulated state to the API's JSON (``swagger.cicd.json``).

Fields without a value are left out. 64-bit integers are text, and the ``id`` of runs and what hangs
on them is empty, as the live service has it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from artifact_sync.domain.model import FINISHED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from artifact_sync.simulator.tree import ArtifactState, CubeState, RunState
    from artifact_sync.simulator.world import RepoWorld

    LinkTo = Callable[[ArtifactState], str]

Json = dict[str, Any]


def run_payload(run: RunState, link_to: LinkTo, *, tasks: bool = True) -> Json:
    """Make a ``Run``, without tasks as in listings of finished ones."""
    payload: Json = {
        "id": "",
        "slug": run.key.run,
        "dates": _stages(run),
        "status": run.status,
        "workflows": workflow_payloads(run, link_to, tasks=tasks),
        "event_type": run.spec.event,
        "error_messages": list(run.spec.errors),
        "user": {"id": "", "slug": run.spec.user},
    }
    if run.spec.pull:
        payload["pull"] = {"id": "", "slug": run.spec.pull}
    return payload


def workflow_payloads(run: RunState, link_to: LinkTo, *, tasks: bool = True) -> list[Json]:
    """Make the ``Workflow`` objects, in the order of their first cubes."""
    if run.status == "created":
        return []
    groups = _grouped(run.cubes, lambda cube: cube.key.workflow)
    return [_workflow(run, name, cubes, link_to, tasks=tasks) for name, cubes in groups]


def repo_payload(repo: RepoWorld, base_url: str) -> Json:
    """Make a ``Repository``."""
    return {
        "id": repo.id,
        "name": repo.name.repo,
        "slug": repo.name.repo,
        "default_branch": "main",
        "organization": {"id": "", "slug": repo.name.org},
        "template_type": "not_a_template",
        "is_empty": False,
        "description": repo.description,
        "visibility": "private",
        "clone_url": {"https": f"{base_url}/{repo.name}.git"},
        "links": [],
        "counters": dict.fromkeys(("forks", "pull_requests", "issues", "tags"), "0"),
    }


def error_payload(code: str, message: str, request_id: str) -> Json:
    """Make an ``ApiErrorResponse``."""
    return {"error_code": code, "message": message, "request_id": request_id, "details": {}}


def _workflow(
    run: RunState, name: str, cubes: Sequence[CubeState], link_to: LinkTo, *, tasks: bool
) -> Json:
    groups = _grouped(cubes, lambda cube: cube.key.task) if tasks else []
    return _group(run, (name,), cubes) | {
        "tasks": [
            _group(run, (name, task), inside)
            | {
                "cubes": [_cube(run, one, link_to) for one in inside],
                "relations": _relations(run.spec.needs.get(f"{name}/{task}", ())),
            }
            for task, inside in groups
        ]
    }


def _relations(needs: Iterable[str]) -> Json:
    return {"needs": [{"name": name} for name in needs]}


def _group(run: RunState, names: tuple[str, ...], cubes: Sequence[CubeState]) -> Json:
    """What workflows and tasks have in common."""
    return {
        "id": "",
        "slug": names[-1],
        "description": run.spec.descriptions.get("/".join(names), ""),
        "dates": _stages(run),
        "status": next((cube.status for cube in cubes if cube.status != "success"), "success"),
        "progress": _progress(run, cubes),
    }


def _cube(run: RunState, cube: CubeState, link_to: LinkTo) -> Json:
    return {
        "id": "",
        "slug": cube.key.cube,
        "dates": _stages(run),
        "status": cube.status,
        "artifacts": [artifact_payload(artifact, link_to) for artifact in cube.artifacts],
        "relations": _relations(cube.spec.needs),
    }


def artifact_payload(artifact: ArtifactState, link_to: LinkTo) -> Json:
    """Make an ``Artifact``."""
    payload: Json = {
        "id": "",
        "local_path": artifact.key.local_path,
        "dates": _dates(
            registered_at=artifact.registered_at,
            obtained_at=artifact.obtained_at,
            updated_at=artifact.updated_at,
        ),
        "status": artifact.status,
    }
    link = link_to(artifact)
    return payload | {"download_url": link} if link else payload


def _progress(run: RunState, cubes: Sequence[CubeState]) -> Json:
    """Repeat a cube of an unfinished run, as the service does."""
    if run.status in FINISHED:
        return {"percent": 100.0}
    current = next((cube for cube in cubes if cube.status not in FINISHED), None)
    if current is None:
        return {"percent": 50.0}
    return {"percent": 50.0, "current_cube": _cube(run, current, lambda _: "")}


def _stages(run: RunState) -> Json:
    return _dates(
        created_at=run.created_at,
        started_at=run.created_at,
        finished_at=run.finished_at,
        updated_at=run.updated_at,
    )


def _dates(**dates: datetime | None) -> Json:
    return {name: date.isoformat().replace("+00:00", "Z") for name, date in dates.items() if date}


def _grouped(
    cubes: Iterable[CubeState], name: Callable[[CubeState], str]
) -> list[tuple[str, list[CubeState]]]:
    """Group cubes by a name, in the order of first occurrence."""
    groups: dict[str, list[CubeState]] = {}
    for cube in cubes:
        groups.setdefault(name(cube), []).append(cube)
    return list(groups.items())
