"""Checks a scenario: what must hold between its values.

Single values are checked where they are read. Hostile names are allowed.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from artifact_sync.domain.model import RepoName
from artifact_sync.simulator.faults import FileOnly, StatusFault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from artifact_sync.simulator.faults import AnyFault
    from artifact_sync.simulator.scenario import (
        Cube,
        Files,
        Repo,
        Scenario,
        ScenarioArtifact,
        ScenarioRun,
    )


def problems_of(scenario: Scenario) -> list[str]:
    """List the problems of a scenario, a line each."""
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
    if isinstance(fault, StatusFault) and fault.status not in {
        status.value for status in HTTPStatus
    }:
        yield f"{at}.status: {fault.status} is no status of HTTP"
    if fault.on == "api" and isinstance(fault, FileOnly):
        kind = fault.__struct_config__.tag
        yield f'{at}.on: {kind} strikes files only; leave out on = "api"'
