"""Converts a run's answer to the record that is kept of it.

Only documented members are taken (``sourcecraft/swagger.cicd.json``), and never a link. Texts are
bounded, and so is the whole: a run's answer may be larger than anybody wants to keep.
"""

from __future__ import annotations

from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Any

from artifact_sync.domain.run_record import (
    ArtifactDates,
    ArtifactRecord,
    CubeRecord,
    Dependency,
    Embedded,
    Relations,
    RunRecord,
    StageDates,
    StageProgress,
    TaskRecord,
    WorkflowRecord,
)
from artifact_sync.source.api.decode import moment, word
from artifact_sync.source.api.response_body import Payload, Unreadable
from artifact_sync.source.transport.sanitize import one_line, some_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST_OF_TREE = 2 * 1024 * 1024
"""Characters that are kept of workflows, tasks and cubes."""
_MOST_OF_ARTIFACTS = 8 * 1024 * 1024
_ENTRY = 200
"""What an object counts besides its texts: its members' names and dates."""
_LONGEST_NAME = 1000
_LONGEST_TEXT = 4000
_MOST_MESSAGES = 100


def record_of(payload: Payload, secret: str = "") -> RunRecord:
    """Make the record of a run's own answer.

    ``secret``: our token, which it may echo.
    """
    return _Recorder(secret).run(payload)


class _Recorder:
    """Reads a run's tree as far as there is room."""

    def __init__(self, secret: str) -> None:
        self._secret = secret
        self._room = {"tree": _MOST_OF_TREE, "artifacts": _MOST_OF_ARTIFACTS}
        self._shortened = False

    def run(self, it: Payload) -> RunRecord:
        messages = list(islice(it.texts("error_messages"), _MOST_MESSAGES + 1))
        self._shortened = len(messages) > _MOST_MESSAGES
        return RunRecord(
            id=self._line(it, "id"),
            dates=_stages(it),
            error_messages=[self._text(text) for text in messages[:_MOST_MESSAGES]],
            pull=self._embedded(it.child("pull")),
            user=self._embedded(it.child("user")),
            workflows=[self._workflow(child) for child in self._children(it, "workflows")],
            shortened=self._shortened,
        )

    def _workflow(self, it: Payload) -> WorkflowRecord:
        return WorkflowRecord(
            **self._part(it),
            description=self._text(it.text("description")),
            progress=_progress(it),
            tasks=[self._task(child) for child in self._children(it, "tasks")],
        )

    def _task(self, it: Payload) -> TaskRecord:
        return TaskRecord(
            **self._part(it),
            description=self._text(it.text("description")),
            progress=_progress(it),
            relations=self._relations(it),
            cubes=[self._cube(child) for child in self._children(it, "cubes")],
        )

    def _cube(self, it: Payload) -> CubeRecord:
        artifacts = [self._artifact(child) for child in self._children(it, "artifacts")]
        return CubeRecord(**self._part(it), relations=self._relations(it), artifacts=artifacts)

    def _artifact(self, it: Payload) -> ArtifactRecord:
        dates = it.child("dates")
        return ArtifactRecord(
            id=self._line(it, "id", "artifacts"),
            local_path=self._name(it, "local_path", "artifacts"),
            status=word(it.text("status")),
            dates=ArtifactDates(
                registered_at=_date(dates, "registered_at"),
                obtained_at=_date(dates, "obtained_at"),
                updated_at=_date(dates, "updated_at"),
            ),
        )

    def _part(self, it: Payload) -> dict[str, Any]:
        return {
            "id": self._line(it, "id"),
            "slug": self._name(it, "slug"),
            "status": word(it.text("status")),
            "dates": _stages(it),
        }

    def _relations(self, it: Payload) -> Relations:
        needs = self._children(it.child("relations"), "needs")
        return Relations(needs=[Dependency(name=self._line(one, "name")) for one in needs])

    def _embedded(self, it: Payload) -> Embedded | None:
        found = Embedded(id=self._line(it, "id"), slug=self._line(it, "slug"))
        return found if found.id or found.slug else None

    def _children(self, it: Payload, name: str) -> Iterator[Payload]:
        """The objects of a list, as long as there is room; what is none is left out."""
        room = "artifacts" if name == "artifacts" else "tree"
        with suppress(Unreadable):
            for child in it.objects(name):
                if self._room[room] <= 0:
                    self._shortened = True
                    return
                if child is not None:
                    self._room[room] -= _ENTRY
                    yield child

    def _line(self, it: Payload, name: str, room: str = "tree") -> str:
        """A text on one line, without secrets."""
        return self._kept(one_line(it.text(name), _LONGEST_NAME, self._secret), room)

    def _name(self, it: Payload, name: str, room: str = "tree") -> str:
        """A name by which artifacts are known: as it came."""
        return self._kept(it.text(name)[:_LONGEST_NAME], room)

    def _text(self, text: str) -> str:
        return self._kept(some_lines(text, _LONGEST_TEXT, self._secret), "tree")

    def _kept(self, text: str, room: str) -> str:
        self._room[room] -= len(text)
        return text


def _stages(it: Payload) -> StageDates:
    dates = it.child("dates")
    return StageDates(
        created_at=_date(dates, "created_at"),
        started_at=_date(dates, "started_at"),
        finished_at=_date(dates, "finished_at"),
        updated_at=_date(dates, "updated_at"),
    )


def _date(dates: Payload, name: str) -> str | None:
    """RFC 3339 in UTC; None where it is unreadable."""
    when = moment(dates.text(name))
    return f"{when.isoformat().removesuffix('+00:00')}Z" if when is not None else None


def _progress(it: Payload) -> StageProgress:
    progress = it.child("progress")
    percent = progress.number("percent")
    cube = one_line(progress.child("current_cube").text("slug"), _LONGEST_NAME)
    return StageProgress(percent=percent, current_cube=cube)
