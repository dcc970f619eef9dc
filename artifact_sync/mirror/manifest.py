"""Renders and checks the manifests that stand beside a complete run's files. Pure.

``SHA256SUMS`` is for ``sha256sum -c SHA256SUMS`` in the run's folder; ``run.json`` is UTF-8 JSON of
a ``RunDocument``.

Same content, same bytes: neither holds the time of its writing. Neither holds a link.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC
from io import BytesIO
from itertools import zip_longest
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from artifact_sync.domain.archives import NO_ARCHIVE, UNPACKED, UnpackedEntry
from artifact_sync.domain.model import ArtifactKey, State
from artifact_sync.mirror.large_json import LargeObject
from artifact_sync.mirror.run_document import (
    FORMAT,
    TOOL,
    AbsentArtifact,
    MissingArtifact,
    RefusedArtifact,
    RunArtifact,
    RunDocument,
    RunPin,
    UnpackedFolder,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from artifact_sync.domain.keeping import Pin
    from artifact_sync.domain.model import ArtifactRow, MirrorPath, Run, RunRow
    from artifact_sync.domain.run_record import (
        CubeRecord,
        RunRecord,
        TaskRecord,
        WorkflowRecord,
    )

SUMS = "SHA256SUMS"
SIGNATURE = "SHA256SUMS.sig"
RUN = "run.json"

NOTHING_UNPACKED: Mapping[ArtifactKey, Sequence[UnpackedEntry]] = MappingProxyType({})

_SUM = re.compile(rb"\\?[0-9a-f]{64}  .+")
_JSON = json.JSONEncoder(ensure_ascii=False, sort_keys=True)


def _line(path: str, sha256: str) -> bytes:
    """A line of ``SHA256SUMS`` as coreutils' ``sha256sum`` writes it.

    A name with a backslash or a line break is escaped, and its line begins with a backslash.
    """
    name = path.encode("utf-8", "surrogateescape")
    escaped = name.replace(b"\\", b"\\\\").replace(b"\n", b"\\n").replace(b"\r", b"\\r")
    mark = b"\\" if escaped != name else b""
    return mark + sha256.encode("ascii") + b"  " + escaped + b"\n"


UnpackedEntries = Mapping[ArtifactKey, Sequence[UnpackedEntry]]
"""What archives were unpacked to."""


def sums_of(
    rows: Iterable[ArtifactRow], folder: MirrorPath, unpacked: UnpackedEntries = NOTHING_UNPACKED
) -> bytes:
    """``SHA256SUMS`` of a run's mirrored artifacts, and of what was unpacked of them."""
    named: list[tuple[str, str]] = []
    for path, row in _mirrored(rows, folder):
        named.append((path, row.sha256))
        named += _unpacked(row, path, unpacked.get(row.key, ()))
    named.sort()
    out = BytesIO()  # a join would hold all lines beside it
    out.writelines(_line(*it) for it in named)
    return out.getvalue()


def _unpacked(
    row: ArtifactRow, path: str, entries: Iterable[UnpackedEntry]
) -> Iterator[tuple[str, str]]:
    """Path and SHA-256 of the files of an archive's folder, and of links that lead to them."""
    if row.unpacked is not None:
        yield from ((it.below(path + UNPACKED), it.sha256) for it in entries if it.sha256)


class Manifest:
    """Builds both manifests of a run, an artifact at a time, in any order.

    ``record``: what the service told of the run; None: it was not kept. ``pin``: None: it has none.
    """

    def __init__(
        self,
        run: Run | RunRow,
        folder: MirrorPath,
        host: str,
        record: RunRecord | None = None,
        pin: Pin | None = None,
    ) -> None:
        self._pin = pin
        self._run = run
        self._folder = folder
        self._host = host
        self._record = record
        self._files: list[tuple[str, bytes, bytes]] = []
        """Path, line and entry of each file on record."""
        self._unpacked: list[tuple[str, bytes]] = []
        """Path and line of each file that was unpacked."""
        self._absent: list[tuple[_Name, bytes]] = []
        self._refused: list[ArtifactRow] = []
        self._missing: list[MissingArtifact] = []
        self._unavailable = _unavailable(record)

    def __len__(self) -> int:
        return len(self._files)

    def add(self, row: ArtifactRow, unpacked: Iterable[UnpackedEntry] = ()) -> None:
        """Add an artifact, whatever its state, and what was unpacked of it."""
        if row.state is State.REFUSED:
            self._refused.append(row)
        found = list(_mirrored([row], self._folder))
        for path, _ in found:
            self._files.append((path, _line(path, row.sha256), _rendered(_entry(row, path), 4)))
            self._unpacked += [(it[0], _line(*it)) for it in _unpacked(row, path, unpacked)]
            if row.lost_since is not None:
                self._missing.append(_missing(row, path))
        name = row.key[3:]
        unavailable = self._unavailable.pop(name, None)
        if not found:
            told = _absent(row, unavailable, self._folder)
            self._absent.append((name, _rendered(told, 4)))

    def sums(self) -> bytes:
        """``SHA256SUMS``."""
        lines = [*((path, line) for path, line, _ in self._files), *self._unpacked]
        return b"".join(line for _, line in sorted(lines))

    def about(self) -> bytes:
        """``run.json``."""
        self._files.sort()
        never = [(name, _rendered(it, 4)) for name, it in self._unavailable.items()]
        files = (entry for _, _, entry in self._files)
        absent = (entry for _, entry in sorted(self._absent + never))
        cubes = (cube.artifacts for _, _, cube in cubes_of(self._record))
        text, at = _rendered(self._document()), 0
        out = BytesIO()  # a join would hold all entries beside it
        for empty in _EMPTY_LIST.finditer(text):  # in the order of the keys
            indent = len(empty["indent"])
            entries = files if empty["name"] == b"artifacts" else absent
            if indent > len(_TOP):
                entries = (_on_one_line(it) for it in next(cubes))
            out.write(text[at : empty.end() - len(b"[]")])
            out.writelines(_listed(entries, indent))
            at = empty.end()
        out.writelines([text[at:], b"\n"])
        return out.getvalue()

    def _document(self) -> RunDocument:
        """All but what there may be many of."""
        run, record = self._run, self._record
        told = {name: getattr(record, name) for name in record.__struct_fields__} if record else {}
        if record is not None:
            told["workflows"] = [_without_artifacts(it) for it in record.workflows]
        return RunDocument(
            format=FORMAT,
            tool=TOOL,
            source=self._host,
            **run.key.repo._asdict(),
            run=run.key.run,
            status=run.status,
            event=run.event,
            created_at=_date(run.created_at),
            finished_at=_date(run.finished_at),
            artifacts=[],
            refused=_all_refused(self._refused) or msgspec.UNSET,
            missing=sorted(self._missing, key=lambda it: it.path) or msgspec.UNSET,
            pin=_pin_of(self._pin),
            **told,
        )


def _pin_of(pin: Pin | None) -> RunPin | msgspec.UnsetType:
    if pin is None:
        return msgspec.UNSET
    return RunPin(reason=pin.reason, pinned_at=_date(pin.pinned_at) or "")


_TOP = "  "
"""The indent of the document's own members."""
_EMPTY_LIST = re.compile(rb'\n(?P<indent> +)"(?P<name>artifacts|not_mirrored)": \[\]')
"""What there may be many of; no text has a line break as it stands in JSON."""


def _listed(entries: Iterable[bytes], indent: int) -> Iterator[bytes]:
    """The pieces of a list of rendered entries."""
    inner, first = b"\n" + b" " * (indent + 2), True
    for entry in entries:
        yield b"[" if first else b","
        yield inner
        yield entry
        first = False
    yield b"[]" if first else b"\n" + b" " * indent + b"]"


def _without_artifacts(workflow: WorkflowRecord) -> WorkflowRecord:
    tasks = [
        replace(task, cubes=[replace(cube, artifacts=[]) for cube in task.cubes])
        for task in workflow.tasks
    ]
    return replace(workflow, tasks=tasks)


_Name = tuple[str, ...]
"""Workflow, task, cube and local path."""

_WHY = {
    State.WANTED: "not fetched yet",
    State.PENDING: "the service has no file of it yet",
    State.EXPIRED: "the service had forgotten it before it was wanted",
    State.UNWANTED: "the rules leave it out",
    State.FORGOTTEN: "let go by the owner of the mirror",
}
_WITHOUT_FILE = frozenset({"failed", "missing"})
"""The service's words for what will never have a file."""


def _unavailable(record: RunRecord | None) -> dict[_Name, AbsentArtifact]:
    """What the service lists and will never have a file of."""
    found: dict[_Name, AbsentArtifact] = {}
    for workflow, task, cube in cubes_of(record):
        for it in cube.artifacts:
            if it.status in _WITHOUT_FILE:
                name = (workflow.slug, task.slug, cube.slug, it.local_path)
                told = dict(zip(("workflow", "task", "cube", "local_path"), name, strict=True))
                message = f"the service lists it without a file: {it.status}"
                found[name] = AbsentArtifact(
                    **told,
                    state="unavailable",
                    reason=it.status,
                    message=message,
                    file=msgspec.UNSET,
                )
    return found


def cubes_of(record: RunRecord | None) -> Iterator[tuple[WorkflowRecord, TaskRecord, CubeRecord]]:
    """Each cube of a run, with what it is part of."""
    for workflow in record.workflows if record is not None else ():
        for task in workflow.tasks:
            for cube in task.cubes:
                yield workflow, task, cube


def _absent(
    row: ArtifactRow, unavailable: AbsentArtifact | None, folder: MirrorPath
) -> AbsentArtifact:
    """Why an artifact has no file on record."""
    if unavailable is not None and row.state in {State.UNWANTED, State.EXPIRED}:
        return unavailable
    state = row.state.told
    message = row.message or _WHY.get(state, "")
    if row.key.is_log and row.state is State.EXPIRED:
        message = "the service has no log of the cube"
    return AbsentArtifact(
        **row.key.in_run,
        state=state,
        reason=row.reason,
        message=message,
        file=_let_go(row, folder) or msgspec.UNSET,
    )


def _let_go(row: ArtifactRow, folder: MirrorPath) -> RunArtifact | None:
    """The file that was let go and stands; None: there is none."""
    stands = row.state is State.FORGOTTEN and row.may_stand and bool(row.sha256)
    return _entry(row, relative_path(row.path, folder)) if stands and row.path else None


def _rendered(value: msgspec.Struct, indent: int = 0) -> bytes:
    """An object as ``json.dumps`` indents it, which takes ten times as long in Python."""
    text = msgspec.json.format(_plain(value), indent=2).decode("utf-8", "surrogatepass")
    return _escaped(text.replace("\n", "\n" + " " * indent))


def _on_one_line(value: msgspec.Struct) -> bytes:
    return _escaped(_plain(value).decode("utf-8", "surrogatepass"))


def _plain(value: msgspec.Struct) -> bytes:
    return _JSON.encode(msgspec.to_builtins(value)).encode("utf-8", "surrogatepass")


def _escaped(text: str) -> bytes:
    """UTF-8, in which a lone surrogate is escaped as JSON does it."""
    return text.encode("utf-8", "backslashreplace")


def sums_say(
    content: bytes,
    rows: Iterable[ArtifactRow],
    folder: MirrorPath,
    unpacked: UnpackedEntries = NOTHING_UNPACKED,
) -> bool:
    """Whether a ``SHA256SUMS`` is that of these artifacts and their folders."""
    return content == sums_of(rows, folder, unpacked)


def run_json_says(
    content: bytes,
    rows: Iterable[ArtifactRow],
    folder: MirrorPath,
    record: RunRecord | None = None,
) -> bool:
    """Whether a ``run.json`` tells of these artifacts, and what is on record.

    It may not tell yet of what is missing; whatever it calls missing must be so. One of the first
    format tells nothing of the record.
    """
    listed = list(rows)
    try:
        told = LargeObject(content, {"artifacts"})
    except (ValueError, RecursionError):
        return False
    refused = msgspec.to_builtins(_all_refused(listed))
    paths = dict(_mirrored(listed, folder))
    return (
        told.members.get("refused", []) == refused
        and _calls_missing_what_is(told.members, paths)
        and _tells_record(told.members, record)
        and _lists(told, paths)
    )


def _calls_missing_what_is(told: Mapping[str, Any], paths: Mapping[str, ArtifactRow]) -> bool:
    lost = [_missing(row, path) for path, row in paths.items() if row.lost_since is not None]
    missing, said = msgspec.to_builtins(lost), told.get("missing", [])
    return isinstance(said, list) and all(it in missing for it in said)


def _tells_record(told: Mapping[str, Any], record: RunRecord | None) -> bool:
    if told.get("format") != FORMAT or record is None:
        return True
    on_record = msgspec.to_builtins(record)
    return all(told.get(name, value) == value for name, value in on_record.items())


def _lists(told: LargeObject, paths: Mapping[str, ArtifactRow]) -> bool:
    """Whether it lists these files, by path."""
    expected = (msgspec.to_builtins(_entry(paths[path], path)) for path in sorted(paths))
    entries = (entry for entry, _ in told.entries("artifacts"))
    return "artifacts" in told.lists and all(
        entry == it for entry, it in zip_longest(entries, expected)
    )


def may_be_older(content: bytes, rows: Iterable[ArtifactRow], folder: MirrorPath) -> bool:
    """Whether a manifest may be an earlier one of ours."""
    paths = {relative_path(row.path, folder) for row in rows if row.path is not None}
    if content.startswith(b"{"):
        return _names_in_run_json(content) <= paths
    lines = [_SUM.fullmatch(line) for line in content.splitlines()]
    return all(it is not None for it in lines)


def _names_in_run_json(content: bytes) -> set[str]:
    """The paths that a ``run.json`` of ours names; where it is none, one that nobody has."""
    try:
        told = LargeObject(content, {"artifacts", "not_mirrored"})
        if told.members["tool"] == TOOL:
            return {entry["path"] for entry, _ in told.entries("artifacts")}
    except (ValueError, RecursionError, KeyError, TypeError):
        pass
    return {""}


def _entry(row: ArtifactRow, path: str) -> RunArtifact:
    return RunArtifact(
        **row.key.in_run,
        path=path,
        size=row.size,
        sha256=row.sha256,
        strength=row.strength,
        evidence=list(row.evidence),
        etag=row.etag,
        content_encoding=row.content_encoding,
        version=row.version,
        mirrored_at=_date(row.mirrored_at),
        archive=row.archive if row.archive not in {"", NO_ARCHIVE} else msgspec.UNSET,
        unpacked=_folder(row, path),
    )


def _folder(row: ArtifactRow, path: str) -> UnpackedFolder | msgspec.UnsetType:
    if row.unpacked is None or (it := row.extraction) is None:
        return msgspec.UNSET
    return UnpackedFolder(path=path + UNPACKED, files=it.files, bytes=it.bytes)


def _missing(row: ArtifactRow, path: str) -> MissingArtifact:
    since = _date(row.lost_since)
    return MissingArtifact(**row.key.in_run, path=path, sha256=row.sha256, since=since)


def _all_refused(rows: Iterable[ArtifactRow]) -> list[RefusedArtifact]:
    refused = sorted((row.key, row.reason) for row in rows if row.state is State.REFUSED)
    return [RefusedArtifact(**key.in_run, reason=reason) for key, reason in refused]


def _mirrored(rows: Iterable[ArtifactRow], folder: MirrorPath) -> Iterator[tuple[str, ArtifactRow]]:
    """Those that have a file on record, by their paths in the run's folder."""
    for row in rows:
        if row.path is not None and row.on_record and row.state is not State.REFUSED:
            yield relative_path(row.path, folder), row


def _date(moment: datetime | None) -> str | None:
    """RFC 3339 in UTC; a moment without a time zone is taken as UTC."""
    if moment is None:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    elif moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return moment.isoformat().removesuffix("+00:00") + "Z"


def relative_path(path: MirrorPath, folder: MirrorPath) -> str:
    """A path relative to a folder. ``ValueError`` when it is outside."""
    if not path.startswith(f"{folder}/"):
        msg = f"{path!r} is not below {folder!r}"
        raise ValueError(msg)
    return path[len(folder) + 1 :]
