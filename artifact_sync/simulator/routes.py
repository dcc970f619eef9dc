"""Parses paths of the API into calls.

Segments are decoded one by one after the split, so that a slug may hold ``/`` or ``#``.
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import unquote

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
