"""A run and all that is known of it, for people."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from itertools import chain
from typing import TYPE_CHECKING

from artifact_sync.runtime.text import printable
from artifact_sync.runtime.units import counted
from artifact_sync.runtime.units import size_in_words as size

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from artifact_sync.app.shown_run import ShownRun
    from artifact_sync.domain.run_record import (
        CubeRecord,
        TaskRecord,
        WorkflowRecord,
    )
    from artifact_sync.mirror.run_document import RunArtifact, RunDocument

    _Part = WorkflowRecord | TaskRecord | CubeRecord

_FAILED = frozenset({"failed", "timeout", "canceled", "rejected"})


def run_lines(shown: ShownRun) -> Iterator[str]:
    """Who, what, why, how long, what failed, and what is here."""
    run = shown.document
    status = printable(run.status) or "status not known"
    yield f"run {printable(run.run)} of {run.org}/{run.repo}: {status}"
    for name, text in chain(_facts(run), _here(shown)):
        yield f"  {name:<9} {text}"
    yield from _tree(run)


def _facts(run: RunDocument) -> Iterator[tuple[str, str]]:
    """What the service told of the run as a whole."""
    if run.user is not None:
        yield "user", printable(run.user.slug or run.user.id)
    if run.event:
        yield "event", printable(run.event)
    if run.pull is not None:
        yield "pull", printable(run.pull.slug or run.pull.id)
    if run.created_at:
        yield "created", run.created_at
    begun = run.dates.started_at if run.dates is not None else None
    if took := _took(begun or run.created_at, run.finished_at):
        yield "took", took
    for text in run.error_messages:
        for line in text.splitlines():
            yield "error", printable(line)
    if failed := [*_failed(run)]:
        yield "failed", ", ".join(failed)


def _failed(run: RunDocument) -> Iterator[str]:
    """The cubes that failed; where none did, the tasks and workflows."""
    parts = list(_parts(run))
    for kind in (3, 2, 1):
        found = [printable("/".join(names)) for names, it in parts if _is_failed(kind, names, it)]
        if found:
            yield from found
            return


def _is_failed(kind: int, names: tuple[str, ...], it: _Part) -> bool:
    return len(names) == kind and it.status in _FAILED


def _parts(run: RunDocument) -> Iterator[tuple[tuple[str, ...], _Part]]:
    """Workflows, tasks and cubes with their names, in the tree's order."""
    for workflow in run.workflows or ():
        yield (workflow.slug,), workflow
        for task in workflow.tasks:
            yield (workflow.slug, task.slug), task
            for cube in task.cubes:
                yield (workflow.slug, task.slug, cube.slug), cube


def _here(shown: ShownRun) -> Iterator[tuple[str, str]]:
    """What the mirror has of it."""
    run, since = shown.document, shown.row.gone_since
    lost = {it.path for it in run.missing or ()}
    files = counted(len(run.artifacts) - len(lost), "file")
    amount = size(sum(it.size or 0 for it in run.artifacts if it.path not in lost))
    left = f", {len(lost):,} lost" if lost else ""
    whole = "complete" if shown.complete else "not complete"
    absent = f", {counted(len(run.not_mirrored), 'artifact')} not" if run.not_mirrored else ""
    yield "mirror", f"{whole}: {files} here ({amount}){left}{absent}"
    if shown.row.pruned_at is not None:
        yield "pruned", f"{shown.row.pruned_at:%Y-%m-%d}, by the rules of [keep]"
    if shown.let_go:
        run_name = printable(f"{shown.row.key.repo} {shown.row.key.run}")
        yield "let go", f"on purpose: artifact-sync remember {run_name} takes that back"
    if run.pin:
        yield "pinned", f"{run.pin.pinned_at[:10]} {printable(run.pin.reason)}".rstrip()
    if since is not None:
        yield "upstream", f"forgotten since {since:%Y-%m-%d}"
    if run.workflows is None:
        yield "note", "the next sync that looks at the run adds what the service tells of it"
    if run.shortened:
        yield "note", "the service told more than is kept"


def _tree(run: RunDocument) -> Iterator[str]:
    """Workflows, tasks, cubes, and below each cube its artifacts."""
    artifacts = _by_cube(run)
    for names, part in _parts(run):
        yield _line(names, part)
        yield from artifacts.pop(names, ())
    for names, lines in artifacts.items():  # of cubes that nobody has told of
        yield printable("/".join(names))
        yield from lines


def _line(names: tuple[str, ...], it: _Part) -> str:
    took = _took(it.dates.started_at or it.dates.created_at, it.dates.finished_at)
    facts = [it.status, took, *_needs(it), getattr(it, "description", "")]
    told = "  ".join(printable(" ".join(fact.split())) for fact in facts if fact)
    return f"{'  ' * (len(names) - 1)}{printable(names[-1])}  {told}".rstrip()


def _needs(it: _Part) -> Iterator[str]:
    relations = getattr(it, "relations", None)
    if relations is not None and relations.needs:
        yield "needs " + ", ".join(one.name for one in relations.needs)


def _by_cube(run: RunDocument) -> dict[tuple[str, ...], list[str]]:
    lost = {it.path for it in run.missing or ()}
    found = defaultdict[tuple[str, ...], list[str]](list)
    for it in _by_name(run.artifacts):
        state = "lost" if it.path in lost else "mirrored"
        amount = size(it.size) if it.size is not None else "-"
        found[it.workflow, it.task, it.cube].append(_artifact(state, amount, it.local_path))
    for one in run.not_mirrored:
        line = _artifact(one.state, "-", one.local_path)
        why = f"  ({printable(one.message)})" if one.message else ""
        found[one.workflow, one.task, one.cube].append(line + why)
    return found


def _by_name(artifacts: Iterable[RunArtifact]) -> list[RunArtifact]:
    return sorted(artifacts, key=lambda it: (it.workflow, it.task, it.cube, it.local_path))


def _artifact(state: str, amount: str, local_path: str) -> str:
    name = printable(local_path) or "(log)"  # a cube's log has no path of an artifact
    return f"      {state:<11} {amount:>10}  {name}"


def _took(begun: str | None, ended: str | None) -> str:
    """How long something took: ``1h 2m``; empty: not known."""
    try:
        length = datetime.fromisoformat(ended or "") - datetime.fromisoformat(begun or "")
    except (ValueError, TypeError):  # a run.json that was adopted may hold anything
        return ""
    seconds = int(length.total_seconds())
    return _in_words(seconds) if seconds >= 0 else ""


def _in_words(seconds: int) -> str:
    """The two largest units that a duration has."""
    lengths = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))
    first = next((place for place, (_, length) in enumerate(lengths) if seconds >= length), 3)
    words = []
    for unit, length in lengths[first : first + 2]:
        count, seconds = divmod(seconds, length)
        words.append(f"{count}{unit}")
    return " ".join(word for place, word in enumerate(words) if place == 0 or word[0] != "0")
