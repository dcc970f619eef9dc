"""The values of the Python interface: what is asked for, and what comes back."""

from __future__ import annotations

# Not for the checkers alone: whoever asks a ``Struct`` for its signature needs these names.
# ruff: noqa: TC003
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict

from msgspec import Struct

from artifact_sync.app.listing import ListingTerms
from artifact_sync.app.selection import Overrides
from artifact_sync.domain.errors import ExitCode, UsageError
from artifact_sync.domain.model import Failure, State
from artifact_sync.domain.report import pass_error
from artifact_sync.domain.verification import VerifyBounds
from artifact_sync.runtime.units import parse_duration, parse_moment
from artifact_sync.sync.verify import Condition

if TYPE_CHECKING:
    from artifact_sync.app.examination import Examination
    from artifact_sync.domain.model import ArtifactRow, RunRow

Globs: TypeAlias = str | Sequence[str]
"""One glob, or several."""


class SyncOptions(TypedDict, total=False):
    """What a pass takes; it goes before the configuration."""

    since: str | timedelta
    """Only runs created within this time: ``"7d"``, or a ``timedelta``."""
    expiring: str | timedelta
    """Only runs whose artifacts vanish within this time, by ``source.retention``."""
    run: int | str | Sequence[int | str]
    """Only these runs, which are looked at again whatever is known of them."""
    include: Globs
    """Only these paths: globs, as in the configuration."""
    exclude: Globs
    """Not these paths; goes before ``include``."""
    workflow: Globs
    """Only these workflows: globs."""
    dry_run: bool
    """Plan, but change nothing. The report counts what is ``planned``."""


class VerifyOptions(TypedDict, total=False):
    """What ends a verification before everything is verified; whatever comes first."""

    oldest: float
    """Only this share of the files, of 1: those that were verified longest ago."""
    max_bytes: int
    """Stop before more than this is read; one file is read in any case."""
    max_time: str | timedelta
    """Stop after this time: ``"1h"``, or a ``timedelta``."""
    older_than: str | timedelta
    """Only what was verified so long ago: ``"30d"``, or a ``timedelta``."""


class ArtifactOptions(TypedDict, total=False):
    """What files are to be like. All of it must fit."""

    run: int | str | Sequence[int | str]
    """Of this run, or these: a number, ``latest`` or ``latest-success``."""
    include: Globs
    """Only these paths: globs, as in the configuration. A log is named ``CUBE.log``."""
    exclude: Globs
    """Not these paths; goes before ``include``."""
    workflow: Globs
    """Only these workflows: globs."""
    sha256: str
    """Only files with this SHA-256, or with one that begins like this."""
    since: str | timedelta | datetime
    """Only of runs created within this time (``"7d"``), or since a date (``"2026-11-20"``)."""


class MirroredRun(Struct, frozen=True):
    """A run that the ledger knows."""

    repo: str
    """``org/repo``."""
    run: str
    """Its number, as text."""
    status: str
    """``success``, ``failed``, … as the service last told it."""
    event: str
    """What started it: ``push``, ``schedule``, …; empty: unknown."""
    created_at: datetime | None
    finished_at: datetime | None
    complete: bool
    """Whether everything selected of it is present, with ``SHA256SUMS`` and ``run.json``."""


class MirroredArtifact(Struct, frozen=True):
    """A file of the mirror, with what the ledger recorded of it."""

    repo: str
    """``org/repo``."""
    run: str
    """The run's number, as text."""
    workflow: str
    task: str
    cube: str
    local_path: str
    """The path in CI, as the service tells it. Not to be used as a path here.
    Empty: it is the cube's log."""
    path: Path
    """The file, absolute."""
    size: int
    """Bytes."""
    sha256: str
    """Lower-case hex."""
    strength: str
    """How well the download was vouched for: ``none``, ``length``, ``checksum`` or ``digest``."""
    evidence: tuple[str, ...]
    """What vouched, such as ``repr-digest:sha-256``, strongest first."""
    mirrored_at: datetime | None


class Verification(Struct, frozen=True):
    """What ``verify`` has found."""

    ok: int
    """Files that are as recorded, manifests included."""
    missing: tuple[Path, ...]
    changed: tuple[Path, ...]
    extra: tuple[Path, ...]
    """Nobody recorded them, which is no fault."""
    repaired: tuple[Path, ...]
    """Of the missing and changed ones, those that were fetched again."""
    failures: tuple[Failure, ...]
    """Why others could not be repaired."""
    exit_code: ExitCode
    """0, when everything is as recorded or was repaired."""
    unreadable: tuple[Path, ...] = ()
    """The disk does not give them out."""
    files: int = 0
    """How many files of artifacts were looked at."""

    @property
    def complete(self) -> bool:
        """Whether everything is as recorded, or was repaired."""
        return self.exit_code is ExitCode.COMPLETE

    def raise_for_failures(self) -> None:
        """Raise when something is damaged, as ``Report.raise_for_failures`` does."""
        if not self.complete:
            raise pass_error(self.exit_code, self._sentence(), self)

    def _sentence(self) -> str:
        left = [it for it in (*self.missing, *self.changed) if it not in self.repaired]
        said = [failure.message for failure in self.failures[:1]]
        if self.unreadable:
            said.insert(0, f"unreadable: {len(self.unreadable):,}, the first: {self.unreadable[0]}")
        if left:
            said.insert(0, f"missing or changed: {len(left):,}, the first: {left[0]}")
        return "; ".join(said)


def overrides_of(repos: tuple[str, ...], options: SyncOptions) -> Overrides:
    """What is asked for instead of what is configured. ``UsageError``."""
    unknown = options.keys() - SyncOptions.__annotations__.keys()
    if unknown:
        msg = f"no such option: {', '.join(sorted(unknown))}"
        raise TypeError(msg)
    runs = one_or_more(options.get("run"))
    if not runs and options.get("run") is not None:
        raise UsageError("run is empty, which selects nothing: leave it out for all runs")
    return Overrides(
        repos=repos,
        runs=tuple(map(str, runs)),
        since=_seconds("since", options.get("since")),
        include=one_or_more(options.get("include")),
        exclude=one_or_more(options.get("exclude")),
        workflow=one_or_more(options.get("workflow")),
        dry_run=options.get("dry_run", False),
        expiring=_seconds("expiring", options.get("expiring")),
    )


def listing_terms_of(options: ArtifactOptions) -> ListingTerms:
    """What files are asked for. ``UsageError``."""
    unknown = options.keys() - ArtifactOptions.__annotations__.keys()
    if unknown:
        msg = f"no such option: {', '.join(sorted(unknown))}"
        raise TypeError(msg)
    terms = ListingTerms(
        runs=tuple(map(str, one_or_more(options.get("run")))),
        workflow=one_or_more(options.get("workflow")),
        include=one_or_more(options.get("include")),
        exclude=one_or_more(options.get("exclude")),
        states=(State.MIRRORED.value,),
        since=_moment(options.get("since")),
        sha256=options["sha256"].lower() if options.get("sha256") is not None else None,
    )
    terms.check()
    return terms


def _moment(time: str | timedelta | datetime | None) -> datetime | None:
    """A moment; ``UsageError`` when it is none."""
    if isinstance(time, datetime):
        return time if time.tzinfo is not None else time.replace(tzinfo=UTC)
    if isinstance(time, timedelta):
        return datetime.now(UTC) - time
    try:
        return parse_moment(time, datetime.now(UTC)) if time is not None else None
    except ValueError as error:
        raise UsageError(f"since: {error}, got {time!r}") from None


def one_or_more(value: object) -> tuple[Any, ...]:
    """A value, or several, as a tuple; None is none."""
    if value is None:
        return ()
    return tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else (value,)


def _seconds(option: str, time: str | timedelta | None) -> float | None:
    """A duration; ``UsageError`` when it is none."""
    if time is None:
        return None
    try:
        seconds = time.total_seconds() if isinstance(time, timedelta) else parse_duration(time)
    except ValueError as error:
        raise UsageError(f"{option}: {error}, got {time!r}") from None
    if seconds <= 0:
        raise UsageError(f"{option}: expected more than nothing")
    return seconds


def bounds_of(options: VerifyOptions) -> VerifyBounds:
    """The bounds of a verification. ``UsageError``."""
    unknown = options.keys() - VerifyOptions.__annotations__.keys()
    if unknown:
        msg = f"no such option: {', '.join(sorted(unknown))}"
        raise TypeError(msg)
    share, most = options.get("oldest"), options.get("max_bytes")
    if share is not None and not 0 < share <= 1:
        raise UsageError(f"oldest: expected a share above 0 and at most 1, got {share!r}")
    if most is not None and most <= 0:
        raise UsageError(f"max_bytes: expected more than nothing, got {most!r}")
    return VerifyBounds(
        share=share,
        max_bytes=most,
        max_time=_seconds("max_time", options.get("max_time")),
        older_than=_seconds("older_than", options.get("older_than")),
    )


def mirrored_run(row: RunRow) -> MirroredRun:
    """What a row says of a run."""
    return MirroredRun(
        repo=str(row.key.repo),
        run=row.key.run,
        status=row.status,
        event=row.event,
        created_at=row.created_at,
        finished_at=row.finished_at,
        complete=row.complete,
    )


def mirrored_artifact(row: ArtifactRow, root: Path) -> MirroredArtifact:
    """What a row says of a mirrored file."""
    key = row.key
    return MirroredArtifact(
        repo=str(key.run_key.repo),
        run=key.run,
        workflow=key.workflow,
        task=key.task,
        cube=key.cube,
        local_path=key.local_path,
        path=root / (row.path or ""),
        size=row.size or 0,
        sha256=row.sha256,
        strength=str(row.strength),
        evidence=row.evidence,
        mirrored_at=row.mirrored_at,
    )


def verification_of(examination: Examination, root: Path) -> Verification:
    """What an examination comes to."""

    def absolute(paths: Iterable[str]) -> tuple[Path, ...]:
        return tuple(root / path for path in paths)

    return Verification(
        ok=examination.ok,
        missing=absolute(examination.paths(Condition.MISSING)),
        changed=absolute(examination.paths(Condition.CHANGED)),
        extra=absolute(examination.paths(Condition.EXTRA)),
        unreadable=absolute(examination.paths(Condition.UNREADABLE)),
        repaired=absolute(examination.repaired),
        failures=tuple(examination.report.failures),
        exit_code=examination.exit_code,
        files=examination.files,
    )
