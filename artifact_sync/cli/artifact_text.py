"""Artifacts of the ledger as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from artifact_sync.cli.report_text import age, span
from artifact_sync.domain.model import State, Upstream
from artifact_sync.domain.vanishing import SOON, vanishing_time
from artifact_sync.runtime.text import printable
from artifact_sync.runtime.units import size_in_words as size

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from artifact_sync.domain.model import ArtifactRow


def heading() -> str:
    """The heading of the lines of ``artifact_line``."""
    return _columns("STATE", "SIZE", "EVIDENCE", "AGE") + "PATH"


def artifact_line(row: ArtifactRow, retention: float, now: datetime) -> str:
    """Format an artifact: state, size, evidence, age, path, and what is wrong."""
    amount = size(row.size) if row.size is not None else "-"
    since = age(row.mirrored_at or row.first_seen, now)
    facts = _columns(row.state.told, amount, row.strength if row.sha256 else "-", since)
    words = [*_endangered(row, retention, now), row.message]
    remark = "; ".join(printable(it) for it in words if it)
    return facts + printable(row.path or str(row.key)) + (f"  ({remark})" if remark else "")


def _endangered(row: ArtifactRow, retention: float, now: datetime) -> Iterator[str]:
    """Tell of a file that is lost, has vanished upstream, or will so within two days."""
    if row.state is State.LOST and row.lost_since is not None:
        yield f"lost since {row.lost_since:%Y-%m-%d}"
    elif row.state in {State.GONE, State.EXPIRED}:
        yield "vanished unmirrored"
    elif row.state in {State.WANTED, State.PENDING, State.FAILED}:
        vanishes = vanishing_time(row.created_at, retention)
        left = (vanishes - now).total_seconds() if vanishes is not None else 0
        if 0 < left <= SOON:
            yield f"vanishes in {span(left)}"


def _columns(state: str, amount: str, strength: str, since: str) -> str:
    return f"{state:<9} {amount:>10} {strength:<8} {since:>8}  "


def detail_lines(row: ArtifactRow, retention: float, now: datetime) -> Iterator[str]:
    """Format what else is known of an artifact, a line each; times are UTC."""
    for name, value in _details(row, retention, now):
        if value:
            yield f"  {name:<9} {printable(value)}"


def _details(row: ArtifactRow, retention: float, now: datetime) -> Iterator[tuple[str, str]]:
    yield "sha256", row.sha256
    yield "evidence", ", ".join(row.evidence)
    yield "run from", told_time(row.created_at)
    yield "seen", told_time(row.first_seen)
    yield "mirrored", told_time(row.mirrored_at)
    yield "attempts", f"{row.attempts} failed" if row.attempts else ""
    yield from fact_words(row, retention, now)


def fact_words(row: ArtifactRow, retention: float, now: datetime) -> Iterator[tuple[str, str]]:
    """What is known of its version and of upstream, by word."""
    yield "version", row.version
    yield "etag", row.etag
    yield "encoding", row.content_encoding
    yield "verified", told_time(row.verified_at)
    yield "lost", told_time(row.lost_since)
    if row.upstream is Upstream.GONE:
        yield "upstream", f"gone since {told_time(row.gone_since)}" if row.gone_since else "gone"
        return
    vanishes = vanishing_time(row.created_at, retention)
    listed = row.upstream is Upstream.LISTED
    ahead = listed and vanishes is not None and vanishes > now
    until = f", until about {told_time(vanishes)}" if ahead else ""
    yield "upstream", f"{row.upstream}{until}"


def told_time(moment: datetime | None) -> str:
    """Format a moment of UTC; empty: there is none."""
    return f"{moment:%Y-%m-%d %H:%M:%S}" if moment is not None else ""
