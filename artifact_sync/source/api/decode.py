"""Converts the API's JSON to domain values.

Follows ``sourcecraft/swagger.cicd.json``, and what was seen to differ from it: every field may be
absent, null, empty or of another type. What can't be understood becomes a ``Problem``, and leaves
the rest alone.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Generic, TypeVar

from msgspec import Struct, field

from artifact_sync.domain.errors import GarbledAnswer
from artifact_sync.domain.model import Artifact, CubeKey, LogPage, Problem, RepoName, Run, RunKey
from artifact_sync.domain.slugs import is_slug
from artifact_sync.source.api.response_body import Payload, Unreadable
from artifact_sync.source.transport.sanitize import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_LEVELS = (("workflows", "workflow"), ("tasks", "task"), ("cubes", "cube"))
_WORTHLESS = frozenset({"failed", "missing"})
"""Statuses of artifacts that will never have a file."""

_NEVER_RAN = frozenset({"skipped", "rejected", "created", "prepared", "awaiting_approval"})
"""Statuses of cubes that have no log."""

_PREFIX = r"(?:[a-z]s|et|(?:[a-z]+_)*status|event_type)_(?=[a-z])"
"""The enum's own name before its word, as in ``AS_SUCCESS`` and ``RUN_STATUS_FAILED``."""

_LONGEST_WORD = 60
Item = TypeVar("Item")


class AnswerPage(Struct, Generic[Item], frozen=True):
    """A page of a list."""

    items: Sequence[Item]
    slugs: Sequence[str]
    """Slugs of the items, which identify them."""
    passed_over: int
    """Number of items without a usable slug."""
    unreadable: int
    """Of these, what is no object at all."""
    token: str
    """Token of the next page; empty: this is the last."""


def parse(body: bytes | bytearray, what: str) -> Payload:
    """Parse an answer. ``GarbledAnswer`` when it is no JSON object."""
    try:
        return Payload.parse(body)
    except Unreadable:
        raise GarbledAnswer(f"{what}: the answer is cut short or is no JSON object") from None


def run_of(key: RunKey, payload: Payload) -> Run:
    """Decode a run with its tree of artifacts."""
    tree = _Tree(key)
    tree.descend(payload, ())
    return _run(tree, payload)


def runs_page(repo: RepoName, payload: Payload) -> AnswerPage[Run]:
    """Decode a page of the list of runs. ``Unreadable`` when it is no page.

    Trees are not read: lists leave them out or incomplete.
    """
    return _page(payload, "runs", lambda slug, item: _run(_Tree(RunKey(repo, slug)), item))


def repositories_page(org: str, payload: Payload) -> AnswerPage[RepoName]:
    """Decode a page of the list of repositories. ``Unreadable`` when it is no page."""
    return _page(payload, "repositories", lambda slug, _: RepoName(org, slug), is_slug)


def cube_artifacts(key: CubeKey, payload: Payload) -> Sequence[Artifact]:
    """Decode the artifacts of a cube's own endpoint; unreadable ones are left out."""
    tree = _Tree(key.run)
    tree.descend(payload, (key.workflow, key.task, key.cube))
    return tree.artifacts


def log_page(payload: Payload) -> LogPage:
    """Decode a page of a cube's log. ``Unreadable`` when its text is none."""
    complete, done = payload.flag("page_complete"), payload.flag("done")
    return LogPage(payload.content("logs"), complete or done, done)


def word(text: str) -> str:
    """Normalise a word of an enum: lower case, without the enum's name."""
    return re.sub(_PREFIX, "", one_line(text, _LONGEST_WORD).lower(), count=1)


def moment(text: str) -> datetime | None:
    """Parse an RFC 3339 date. None when it is unreadable or Go's zero date."""
    try:
        when = datetime.fromisoformat(text.strip().upper())
        when = when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return when if when.year > 1 else None


def sendable(slug: str) -> bool:
    """Whether a slug can be a path segment: not empty, ``.`` or ``..``."""
    return slug not in {"", ".", ".."}


class _Tree(Struct):
    """Collects artifacts and problems of a run's tree."""

    key: RunKey
    artifacts: list[Artifact] = field(default_factory=list)
    logs: list[Artifact] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def descend(self, node: Payload, place: tuple[str, ...]) -> None:
        """Walk what is below the run, workflow, task or cube at ``place`` (its slugs)."""
        if len(place) == len(_LEVELS):
            self._take_artifacts(node, place)
            return
        below, kind = _LEVELS[len(place)]
        for child in self._children(node, place, below, kind):
            slug = child.text("slug")
            if sendable(slug):
                self.descend(child, (*place, slug))
            elif self._holds_artifacts(child, place):
                self._trouble(place, f"one {kind} with artifacts has {_flaw(slug)}")

    def _take_artifacts(self, cube: Payload, place: tuple[str, ...]) -> None:
        key = CubeKey(self.key, *place)
        has_log = word(cube.text("status")) not in _NEVER_RAN
        version = _ended(cube.child("dates"))
        self.logs.append(Artifact(key.log, "success" if has_log else "missing", version))
        for item in self._children(cube, place, "artifacts", "artifact"):
            status, local_path = word(item.text("status")), item.text("local_path")
            if local_path:
                version, url = _version(item.child("dates")), item.text("download_url")
                self.artifacts.append(Artifact(key.artifact(local_path), status, version, url))
            elif status not in _WORTHLESS:
                self._trouble(place, "one artifact has no readable local_path")

    def _children(
        self, node: Payload, place: tuple[str, ...], below: str, kind: str
    ) -> Iterator[Payload]:
        """The objects of a list; anything else is a problem."""
        try:
            for child in node.objects(below):
                if child is None:
                    self._trouble(place, f"one {kind} is unreadable")
                else:
                    yield child
        except Unreadable as error:
            self._trouble(place, f"its {error}")

    def _holds_artifacts(self, child: Payload, place: tuple[str, ...]) -> bool:
        """Whether a node without a usable slug holds artifacts that may be wanted."""
        probe = _Tree(self.key)
        probe.descend(child, (*place, "?"))
        wanted = (artifact.status not in _WORTHLESS for artifact in probe.artifacts)
        return bool(probe.problems) or any(wanted)

    def _trouble(self, place: tuple[str, ...], message: str) -> None:
        workflow, task, cube = (*map(one_line, place), "", "", "")[:3]
        self.problems.append(Problem(workflow, task, cube, message))


def _run(tree: _Tree, payload: Payload) -> Run:
    dates = payload.child("dates")
    return Run(
        key=tree.key,
        status=word(payload.text("status")),
        event=word(payload.text("event_type")),
        created_at=moment(dates.text("created_at")),
        finished_at=moment(dates.text("finished_at")),
        updated_at=moment(dates.text("updated_at")),
        artifacts=tuple(tree.artifacts),
        logs=tuple(tree.logs),
        problems=tuple(tree.problems),
        id=one_line(payload.text("id")),
    )


def _page(
    payload: Payload,
    name: str,
    make: Callable[[str, Payload], Item],
    is_usable: Callable[[str], bool] = sendable,
) -> AnswerPage[Item]:
    """Decode the items of a list with usable slugs."""
    others = payload.others("next_page_token") if payload.lacks(name) else ()
    if others:  # an error, perhaps, or the list in another place: not a list that is empty
        raise Unreadable(f"it holds no {name} but {one_line(', '.join(others), 100)}")
    items = [(item.text("slug") if item else "", item) for item in payload.objects(name)]
    usable = [(slug, item) for slug, item in items if item is not None and is_usable(slug)]
    made = [make(slug, item) for slug, item in usable]
    slugs = [slug for slug, _ in usable]
    passed_over, unreadable = len(items) - len(usable), sum(item is None for _, item in items)
    return AnswerPage(made, slugs, passed_over, unreadable, payload.token("next_page_token"))


def _version(dates: Payload) -> str:
    return one_line(dates.text("obtained_at") or dates.text("updated_at"))


def _ended(dates: Payload) -> str:
    """When a cube has ended, as text: its log is another one after another run of it."""
    return one_line(dates.text("finished_at") or dates.text("updated_at"))


def _flaw(slug: str) -> str:
    return f"the slug {slug!r}, which no URL can carry" if slug else "no readable slug"
