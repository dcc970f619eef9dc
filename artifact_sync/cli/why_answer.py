"""The object of ``why --json``.

A field's docstring is its description in the JSON Schema of docs/reference/.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from artifact_sync.cli.json_objects import FailureEntry, ListedArtifact
from artifact_sync.domain.errors import ExitCode

if TYPE_CHECKING:
    from datetime import datetime

    from artifact_sync.app.explanation import Explanation


class WhyRule(Struct, frozen=True, kw_only=True):
    """The rule that wants an artifact, or leaves it out."""

    wanted: bool
    """Whether the present rules select it. ``artifact.wanted`` says it of the last look."""
    entry: str | None
    """The name of the ``[[repo]]`` whose rules hold; null: none has it, so all is wanted."""
    key: str | None
    """Of the configuration, such as ``exclude``; ``forget``: it was let go; ``run``: its run has
    not finished. Null: no rule is about it, so it is wanted."""
    value: str | None
    """The glob that fits, or what fits no glob. Null: as ``key``."""


class WhyTry(Struct, frozen=True, kw_only=True):
    """A pass that has fetched an artifact, or has failed to."""

    at: str
    """ISO 8601."""
    ok: bool
    """Whether it came, or was taken over by ``adopt``."""
    reason: str | None
    """Of the failure: see the reasons. Null: it came."""
    message: str | None
    """Of the failure, for people. Null: it came."""


class WhyRun(Struct, frozen=True, kw_only=True):
    """The run of an artifact."""

    status: str
    """As the service last told it; empty: never."""
    created_at: str | None
    """ISO 8601. Null: not known."""
    complete: bool
    """Whether all that was selected of it is here."""
    gone_since: str | None
    """When the service was first found to have forgotten it; ISO 8601. Null: it has not."""
    next_look: str | None
    """When something outstanding is looked for again; ISO 8601. Null: by the next pass, or
    nothing is outstanding."""
    pinned: str | None
    """The reason of its pin; null: it has none."""


class WhyKept(Struct, frozen=True, kw_only=True):
    """What becomes of the run, by the rules of ``[keep]``."""

    action: Literal["keep", "prune"]
    """What the next prune does."""
    why: list[str]
    """As in ``prune --json``."""
    refused: list[str]
    """Why runs of the repository stay that the rules would have go: sentences for people."""


class WhyAnswer(Struct, frozen=True, kw_only=True):
    """The object of ``why --json``."""

    complete: bool
    """Whether the artifact was explained."""
    exit_code: int
    """The program's."""
    failures: list[FailureEntry]
    """What has kept it from being explained."""
    artifact: ListedArtifact | None = None
    """As in ``ls --json``: state, evidence, what the service says. Null: it was not explained, as
    for all that follows."""
    rule: WhyRule | None = None
    """What wants it, or leaves it out."""
    tries: list[WhyTry] = []
    """The last twenty that failed, and the one by which it came; the oldest first."""
    run: WhyRun | None = None
    """Its run."""
    kept: WhyKept | None = None
    """What becomes of the run; null also where no file of it is here."""
    next: str | None = None
    """What happens next, a sentence for people."""

    @classmethod
    def of(cls, it: Explanation, retention: float) -> WhyAnswer:
        """Make the object of an explanation; ``retention`` in seconds."""
        rule, run, planned = it.rule, it.run, it.planned
        return cls(
            complete=True,
            exit_code=int(ExitCode.COMPLETE),
            failures=[],
            artifact=ListedArtifact.of(it.row, retention),
            rule=WhyRule(
                wanted=rule.wanted,
                entry=it.entry or None,
                key=rule.key or None,
                value=rule.value if rule.key else None,
            ),
            tries=_tries(it),
            run=WhyRun(
                status=run.status,
                created_at=_moment(run.created_at),
                complete=it.complete,
                gone_since=_moment(run.gone_since),
                next_look=_moment(run.next_look),
                pinned=it.pin.reason if it.pin is not None else None,
            ),
            kept=WhyKept(action=planned.action, why=planned.why, refused=list(it.refused))
            if planned is not None
            else None,
            next=it.comes,
        )


def _tries(it: Explanation) -> list[WhyTry]:
    tries = [
        WhyTry(at=failed.at.isoformat(), ok=False, reason=failed.reason, message=failed.message)
        for failed in it.tries
    ]
    came = it.row.mirrored_at
    if came is not None:
        place = sum(failed.at <= came for failed in it.tries)
        tries.insert(place, WhyTry(at=came.isoformat(), ok=True, reason=None, message=None))
    return tries


def _moment(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment is not None else None
