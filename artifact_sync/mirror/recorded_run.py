"""Reads a ``run.json`` that may be damaged or hostile. Pure.

Members are read by name, and unknown ones are passed over, so that a later form of a known format
can be read. What has a wrong type is an error, and is not guessed.
"""

from __future__ import annotations

import re
import sys
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from artifact_sync.domain.archives import COMPRESSIONS, FOLDERS, Extraction, ExtractionState
from artifact_sync.domain.errors import Reason
from artifact_sync.domain.keeping import Pin
from artifact_sync.domain.model import (
    ArtifactKey,
    ArtifactRow,
    RepoName,
    Run,
    RunKey,
    State,
    Strength,
    Upstream,
)
from artifact_sync.domain.run_record import RunRecord
from artifact_sync.mirror.large_json import LargeObject

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

NEWEST_FORMAT = 2
LARGEST = 256 * 2**20
"""Bytes of a ``run.json`` that is read; one of a hundred thousand artifacts is smaller."""

_LARGEST_ENTRY = 2**16
"""Characters of what is told of one artifact."""
_LARGEST_RECORD = 16 * 2**20
_LONGEST_WORD = 1000
"""Characters of a name or a status."""
_LONGEST_MESSAGE = 4000
_LARGEST_SIZE = 2**63 - 1
_LISTS = frozenset({"artifacts", "not_mirrored"})
"""Members that tell of each artifact, and may be long."""
_ARCHIVES = FOLDERS | set(COMPRESSIONS)
_REASONS = frozenset(it.value for it in Reason)
_SHA256 = re.compile(r"[0-9a-f]{64}")


class DamagedDocument(Exception):
    """A ``run.json`` that cannot be used; ``str()`` says why."""


class RecordedFile(Struct, frozen=True):
    """A file as a ``run.json`` tells of it."""

    told: str
    """Its path, relative to the run's folder, which nobody has checked."""
    row: ArtifactRow
    """As the ledger may hold it, but for its path: MIRRORED, or LOST with ``lost_since``.

    FORGOTTEN, where what was let go may stand.
    """


class RecordedRun(Struct, frozen=True):
    """What a ``run.json`` says of a run."""

    run: Run
    source: str
    """The host of the service."""
    document: LargeObject
    """The whole of it."""
    lost: Mapping[str, datetime | None]
    """By path: what is missing, and since when."""
    pin: Pin | None = None

    def files(self) -> Iterator[RecordedFile | str]:
        """Each file of the run, or what is wrong with its entry."""
        for entry, size in self.document.entries("artifacts"):
            try:
                if size > _LARGEST_ENTRY:
                    _wrong("an artifact", "is told of in too many words")
                yield _file(entry, self)
            except _Fault as fault:
                yield str(fault)

    def absent(self) -> Iterator[RecordedFile | ArtifactRow]:
        """Each artifact without a file on record, as the ledger may hold it."""
        for entry, size in self.document.entries("not_mirrored"):
            with suppress(_Fault):
                if size <= _LARGEST_ENTRY and (row := _absent(entry, self.run)) is not None:
                    yield _let_go(entry, row, self) or row


class _Fault(ValueError):
    """Something in a document makes no sense."""


def _wrong(what: str, why: str) -> NoReturn:
    raise _Fault(f"{what} {why}")


def read_run(content: bytes) -> RecordedRun:
    """Read a ``run.json``, as far as it tells of the run. ``DamagedDocument``."""
    try:
        return _run(LargeObject(content, _LISTS))
    except RecursionError:
        why = "it is nested too deeply"
    except UnicodeDecodeError:
        why = "it is not UTF-8"
    except _Fault as fault:
        why = str(fault)
    except ValueError:
        why = "it is no JSON object, or has a name twice"
    raise DamagedDocument(why)


def _run(document: LargeObject) -> RecordedRun:
    members = document.members
    _check_format(members)
    if "artifacts" not in document.lists:
        _wrong("artifacts", "is no list")
    for name in ("org", "repo", "run", "status", "event", "source"):
        if len(_text(members, name, "")) > _LONGEST_WORD:
            _wrong(name, "is too long")
    org, repo, number = (_text(members, name) for name in ("org", "repo", "run"))
    try:
        key = RunKey(RepoName.parse(f"{org}/{repo}"), number)
    except ValueError:
        _wrong("org and repo", "are no name of a repository")
    run = Run(
        key,
        _text(members, "status", ""),
        _text(members, "event", ""),
        _moment(members, "created_at"),
        _moment(members, "finished_at"),
        record=_record(members),
    )
    pin = _pin(members, key)
    return RecordedRun(run, _text(members, "source", ""), document, _lost(members), pin)


def _pin(members: Mapping[str, Any], run: RunKey) -> Pin | None:
    """The run's pin, however it came to be; None: there is none."""
    told = members.get("pin")
    if told is None:
        return None
    reason, at = _text(told, "reason", "")[:_LONGEST_MESSAGE], _moment(told, "pinned_at")
    return Pin(run, reason, at or datetime.now(UTC))


def _record(members: Mapping[str, Any]) -> RunRecord | None:
    """What the service told of the run; None: nothing, or nothing that can be kept."""
    if members.get("workflows") is None:  # of the first format, or of what nobody was told
        return None
    told = {name: members[name] for name in RunRecord.__struct_fields__ if name in members}
    try:
        record = msgspec.convert(told, RunRecord)
        size = len(msgspec.json.encode(record))
    except (ValueError, RecursionError):
        return None
    return record if size <= _LARGEST_RECORD else None


def _check_format(members: Mapping[str, Any]) -> None:
    number = members.get("format")
    if type(number) is not int or number < 1:
        _wrong("its format", "is no number: it is none of ours")
    if number > NEWEST_FORMAT:
        _wrong(f"its format {number}", "is newer than this version knows: update artifact-sync")


def _lost(members: Mapping[str, Any]) -> dict[str, datetime | None]:
    listed = members.get("missing")
    if listed is not None and not isinstance(listed, list):
        _wrong("missing", "is no list")
    return {_text(it, "path"): _moment(it, "since") for it in listed or ()}


def _key(entry: Any, run: RunKey) -> ArtifactKey:
    workflow, task, cube = (sys.intern(_text(entry, it)) for it in ("workflow", "task", "cube"))
    return ArtifactKey(*run.repo, run.run, workflow, task, cube, _text(entry, "local_path"))


_FAILURES = frozenset({State.FAILED, State.GONE, State.REFUSED})
_ABSENT = {
    it.value: it for it in (State.WANTED, State.PENDING, State.EXPIRED, State.UNWANTED, *_FAILURES)
} | {
    State.FORGOTTEN.value: State.FORGOTTEN,
    State.PRUNING.value: State.FORGOTTEN,  # as `forget --delete` writes it
    State.PRUNED.value: State.PRUNED,
}
"""By the word in ``not_mirrored``: the state in a ledger that knows nothing else."""


def _absent(entry: Any, run: Run) -> ArtifactRow | None:
    """What is told of an artifact without a file; None: nothing that a ledger holds."""
    state = _ABSENT.get(_text(entry, "state"))
    reason = _text(entry, "reason", "")
    reason = reason if reason in _REASONS else ""
    if state is None or (state in _FAILURES and not reason):
        return None
    is_gone = state in {State.EXPIRED, State.GONE}
    return ArtifactRow(
        _key(entry, run.key),
        state,
        reason=reason,
        message=_text(entry, "message", "")[:_LONGEST_MESSAGE] if reason else "",
        wanted=state not in {State.UNWANTED, State.FORGOTTEN},
        upstream=Upstream.GONE if is_gone else Upstream.UNKNOWN,
        created_at=run.created_at,
    )


def _let_go(entry: Any, row: ArtifactRow, about: RecordedRun) -> RecordedFile | None:
    """What is told of a file that was let go and stands; None: nothing that makes sense."""
    if row.state is State.FORGOTTEN and (told := entry.get("file")) is not None:
        with suppress(_Fault):
            file = _file(told, about)
            if file.row.key == row.key:
                let_go = replace(file.row, state=row.state, wanted=False, lost_since=None)
                return RecordedFile(file.told, let_go)
    return None


def _file(entry: Any, about: RecordedRun) -> RecordedFile:
    told = _text(entry, "path")
    is_lost = told in about.lost
    row = ArtifactRow(
        _key(entry, about.run.key),
        State.LOST if is_lost else State.MIRRORED,
        size=_size(entry),
        sha256=_sha256(entry),
        strength=_strength(entry),
        evidence=_evidence(entry),
        version=_text(entry, "version", ""),
        etag=_text(entry, "etag", ""),
        content_encoding=sys.intern(_text(entry, "content_encoding", "")),
        mirrored_at=_moment(entry, "mirrored_at"),
        lost_since=about.lost.get(told),
        created_at=about.run.created_at,
        archive=_archive(entry),
        extraction=_extraction(entry),
    )
    return RecordedFile(told, row)


def _archive(entry: Any) -> str:
    value = _text(entry, "archive", "")
    return value if value in _ARCHIVES else ""


def _extraction(entry: Any) -> Extraction | None:
    """Whether an archive was unpacked; what it was unpacked to is in the archive."""
    if _member(entry, "unpacked") is None:
        return None
    return Extraction(ExtractionState.HERE, _sha256(entry))


def _member(thing: Any, name: str) -> Any:
    if not isinstance(thing, dict):
        _wrong(f"what should have {name}", "is no object")
    return thing.get(name)


def _text(thing: Any, name: str, default: str | None = None) -> str:
    value = _member(thing, name)
    if value is None and default is not None:
        return default
    return value if isinstance(value, str) else _wrong(name, "is no text")


def _size(entry: Any) -> int:
    value = _member(entry, "size")
    if type(value) is int and 0 <= value <= _LARGEST_SIZE:
        return value
    return _wrong("size", "is no number of bytes")


def _sha256(entry: Any) -> str:
    value = _text(entry, "sha256")
    return value if _SHA256.fullmatch(value) else _wrong("sha256", "is no SHA-256")


def _strength(entry: Any) -> Strength:
    value = _text(entry, "strength", Strength.NONE)
    return Strength(value) if value in set(Strength) else _wrong("strength", "is none of its words")


def _evidence(entry: Any) -> tuple[str, ...]:
    value = _member(entry, "evidence") or []
    if not isinstance(value, list) or not all(isinstance(it, str) for it in value):
        _wrong("evidence", "is no list of texts")
    return tuple(map(sys.intern, value))


def _moment(thing: Any, name: str) -> datetime | None:
    text = _text(thing, name, "")
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        _wrong(name, "is no date")
