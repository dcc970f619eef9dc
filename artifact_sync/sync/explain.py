"""Explains why an artifact is here or not, and what comes next. Pure."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from artifact_sync.domain.globs import plain_path
from artifact_sync.domain.model import FINISHED, State, Upstream
from artifact_sync.sync.plan import PATIENCE, is_given_up

if TYPE_CHECKING:
    import re
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from artifact_sync.domain.forget_rules import ForgetRules
    from artifact_sync.domain.keeping import PlannedRun
    from artifact_sync.domain.model import ArtifactKey, ArtifactRow, RunRow
    from artifact_sync.sync.rules import Rules


class DecidingRule(NamedTuple):
    """The rule that decides whether an artifact is wanted."""

    key: str
    """Of the configuration, such as ``exclude``; ``forget``; ``run``: it has not finished. Empty:
    no rule is about it, so it is wanted."""
    value: str
    """The glob that fits, or what does not fit."""
    wanted: bool


class ArtifactFacts(Struct, frozen=True):
    """What is known of an artifact before it is explained."""

    row: ArtifactRow
    run: RunRow
    rules: Rules
    forgotten: ForgetRules
    now: datetime


def deciding_rule(facts: ArtifactFacts) -> DecidingRule:
    """The first rule that leaves an artifact out; else the one that wants it."""
    out = chain(_forgotten(facts), _run_left_out(facts), _left_out(facts.row.key, facts.rules))
    found = next(out, None)
    if found is not None:
        return DecidingRule(*found, wanted=False)
    return DecidingRule(*_wanting(facts.row.key, facts.rules), wanted=True)


_KeyAndValue = tuple[str, str]


def _forgotten(facts: ArtifactFacts) -> Iterator[_KeyAndValue]:
    """The rule by which its owner has let go of it, unless a later one takes that back."""
    last = (it for it in reversed(facts.forgotten.rules) if it.scope.holds(facts.row.key))
    rule = next(last, None)
    if rule is not None and rule.forgets:
        yield "forget", str(rule.scope)


def _run_left_out(facts: ArtifactFacts) -> Iterator[_KeyAndValue]:
    """Rules that leave its whole run out."""
    run, settings = facts.run, facts.rules.settings
    if run.status not in FINISHED:
        yield "run", run.status
    if settings.run_statuses and run.status not in settings.run_statuses:
        yield "run_statuses", run.status
    if settings.events and run.event and run.event not in settings.events:
        yield "events", run.event
    horizon = facts.rules.horizon(facts.now)
    if horizon is not None and run.created_at is not None and run.created_at < horizon:
        yield "since", f"{run.created_at:%Y-%m-%d %H:%M}"


def _left_out(key: ArtifactKey, rules: Rules) -> Iterator[_KeyAndValue]:
    """Rules that leave it out of its run."""
    settings = rules.settings
    if not rules.wants_workflow(key.workflow):
        yield "workflows", key.workflow
    if key.is_log:
        if not settings.logs:
            yield "logs", "false"
        return
    path = "/" + plain_path(key.local_path)
    if glob := _fitting(settings.exclude, rules.exclude, path):
        yield "exclude", glob
    if settings.include and not _fitting(settings.include, rules.include, path):
        yield "include", plain_path(key.local_path)


def _wanting(key: ArtifactKey, rules: Rules) -> _KeyAndValue:
    settings = rules.settings
    if key.is_log:
        return "logs", "true"
    if glob := _fitting(settings.include, rules.include, "/" + plain_path(key.local_path)):
        return "include", glob
    glob = _fitting(settings.workflows, rules.workflows, key.workflow)
    return ("workflows" if glob else ""), glob


def _fitting(globs: Sequence[str], compiled: Sequence[re.Pattern[str]], text: str) -> str:
    """The first glob that fits; empty: none does."""
    pairs = zip(globs, compiled, strict=True)
    return next((glob for glob, it in pairs if it.match(text)), "")


def what_comes(facts: ArtifactFacts, rule: DecidingRule, planned: PlannedRun | None) -> str:
    """What happens next to an artifact, a sentence."""
    row = facts.row
    if planned is not None and planned.action == "prune":
        return f"the next prune removes its run: {', '.join(planned.why)}"
    if row.state.told is State.FORGOTTEN:
        which = f"{row.key.run_key.repo} {row.key.run}"
        return f"nothing, until artifact-sync remember {which} takes it back"
    if row.state is State.MIRRORED:
        stays = "stays while its run does" if rule.wanted else "stays, though no rule wants it now"
        return f"nothing: it is here, and {stays}"
    if not rule.wanted:
        return _when_left_out(rule)
    if is_given_up(row, facts.now):
        return _when_given_up(row)
    return _when_outstanding(row, _when(facts.run, facts.now))


def _when_left_out(rule: DecidingRule) -> str:
    if rule.key == "run":
        return "its run is looked at again by each sync, until it has finished"
    return f"nothing, while {rule.key} leaves it out"


def _when_given_up(row: ArtifactRow) -> str:
    if row.state is State.LOST:
        return (
            "nothing by itself: the service has it no more. A copy that is put back in its place"
            " counts again, and artifact-sync forget lets go of it"
        )
    again = f"artifact-sync sync {row.key.run_key.repo} --run {row.key.run}"
    return (
        "nothing by itself: it has been gone for too long, and stays a failure."
        f" {again} tries again, artifact-sync forget lets go of it"
    )


def _when(run: RunRow, now: datetime) -> str:
    """Which pass looks at a run of which something is outstanding."""
    if run.next_look is not None and run.next_look > now:
        return f"the first sync after {run.next_look:%Y-%m-%d %H:%M} UTC"
    return "the next sync"


_OUTSTANDING = {
    State.PENDING: f"looks again, for {PATIENCE.days} days: the service has no file of it yet",
    State.LOST: "fetches it again",
    State.GONE: "tries again",
    State.FAILED: "tries again",
    State.UNWANTED: "fetches it, as the rules want it now, if the service still has it",
    State.WANTED: "fetches it",
}
"""What a pass does."""
_FOR_GOOD = {
    State.REFUSED: "nothing, until it has another name in the CI file, or a rule leaves it out",
    State.EXPIRED: "nothing: the service forgot it before it was wanted, which is no failure",
}


def _when_outstanding(row: ArtifactRow, which: str) -> str:
    if row.state in _FOR_GOOD:
        return _FOR_GOOD[row.state]
    if row.state is State.LOST and row.upstream is Upstream.GONE:
        return f"{which} looks whether the service has it again, or somebody has put it back"
    return f"{which} {_OUTSTANDING[row.state]}"
