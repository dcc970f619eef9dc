"""Plan a run: collected artifacts, ledger, mirror and time → ``Plan``. Pure.

The case table, one selected artifact a row, the first that fits wins:

=====================================================  =========
pruned, or about to be                                 SKIP
its path is unsafe, or would be one file with another  REFUSE
mirrored, same version, its file stands with its size  KEEP
mirrored, but the file is missing or of another size   DOWNLOAD
mirrored, but left anew upstream                       DOWNLOAD
gone for long, and nobody insists                      GIVE_UP
anything else                                          DOWNLOAD
=====================================================  =========

What is ``registered`` is LATER, until it has been so for ``PATIENCE``; then it is SKIP. What was
here before, as of a run that was restarted, is KEEP while its file stands, and LOSE else.

The archive of a folder (``./public/``) and that folder (``./public/site.zip``) can both stand: the
slash of whichever came second is encoded (``public%2F``, or ``public%2Fsite.zip``). So can the log
of a cube ``x`` (``x.log``) and the folder of a cube ``x.log``.

What the ledger knows but the run's answer lists no more, or that of a run which upstream has
forgotten: KEEP while its file stands, LOSE when it was here and is not, EXPIRE when it never was.
Of a forgotten run, GIVE_UP what was wanted in time and did not come. It is a stray when another one
has its place now (``./a`` became ``a`` in the CI file), or when there was no file of it as yet.

What the rules leave out, or the mirror's owner has let go, gets no step, and is noted all the same:
``Plan.notes``.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from artifact_sync.domain.errors import Collision, Reason, UnsafePath
from artifact_sync.domain.globs import plain_path
from artifact_sync.domain.model import (
    REMOVED,
    Action,
    Artifact,
    ArtifactNote,
    MirrorPath,
    Plan,
    State,
    Step,
    Upstream,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from collections.abc import Set as AbstractSet
    from datetime import datetime

    from artifact_sync.domain.model import ArtifactKey, ArtifactRow, Run
    from artifact_sync.mirror.layout import Layout
    from artifact_sync.sync.collect import Collected

PATIENCE = timedelta(days=3)
"""How long something that may yet come, or may yet come back, is looked at again."""

_LAST_TRIES = 3
"""Passes in which a file must have been gone before it is given up."""


class KnownArtifacts(Struct, frozen=True):
    """What is known of a run before it is planned."""

    rows: Mapping[ArtifactKey, ArtifactRow]
    """The ledger's."""
    standing: Mapping[MirrorPath, int]
    """Sizes of the mirrored files that stand in the mirror as regular files."""


class PlanTerms(Struct, frozen=True):
    """How to plan."""

    layout: Layout
    now: datetime
    wants: Callable[[ArtifactKey], bool] = lambda _: True
    """Whether an artifact is selected, by its key alone."""
    insist: bool = False
    """The user named the run: what was given up is tried again."""
    line_without: Callable[[ArtifactKey], str] = lambda _: ""
    """The line of the configuration that would leave an artifact out."""
    rules_want: Callable[[ArtifactKey], bool] | None = None
    """Whether the rules select an artifact; None: nobody knows the rules, as in a repair."""
    forgotten: bool = False
    """Upstream has forgotten the run: nothing of it is listed."""
    let_go: Callable[[ArtifactKey], bool] = lambda _: False
    """Whether the owner of the mirror has let an artifact go. It is not selected then."""


def make(run: Run, collected: Collected, known: KnownArtifacts, terms: PlanTerms) -> Plan:
    """Plan one run."""
    places = _places(collected.selected, known, terms)
    selected = _advised(
        [_step(artifact, places[artifact.key], known, terms) for artifact in collected.selected],
        terms,
    )
    pending = [
        _waiting(artifact, known.rows.get(artifact.key), known, terms)
        for artifact in collected.pending
    ]
    listed = {it.key for it in (*collected.selected, *collected.pending, *collected.rest)}
    unlisted = [
        row for key, row in known.rows.items() if key not in listed and row.state not in REMOVED
    ]
    taken = {place for place in places.values() if isinstance(place, str)}
    strays = [row.key for row in unlisted if row.path in taken or row.state in _NEVER_THERE]
    left = [row for row in unlisted if row.path not in taken and row.state not in _NEVER_THERE]
    if collected.problems:  # what could not be read may list it still
        left, strays = [row for row in left if row.sha256], []
    vanished = [_vanished(row, known, terms) for row in left if terms.wants(row.key)]
    told = [_note_of_step(step, known, terms) for step in (*selected, *pending)]
    if not collected.problems:
        told += [_note_of_step(step, known, terms) for step in vanished]
    if terms.rules_want is not None:
        told += [_note_of_rest(it, known, terms) for it in collected.rest]
        told += [_note_of_unwanted(row, known, terms) for row in left if not terms.wants(row.key)]
    news = tuple(note for note in told if note is not None and _is_news(note, known))
    steps = (*selected, *pending, *vanished)
    unfinished = any(step.action is not Action.SKIP for step in pending)
    return Plan(run, steps, collected.problems, tuple(strays), news, collected.whole, unfinished)


_NEVER_THERE = frozenset({State.PENDING, State.REFUSED})
"""States of what had no file upstream, or none that could be fetched."""


def is_here(row: ArtifactRow, known: KnownArtifacts) -> bool:
    """Whether a mirrored file stands with its size."""
    stands = row.path is not None and known.standing.get(row.path) == row.size
    return stands and row.state is State.MIRRORED


def _vanished(row: ArtifactRow, known: KnownArtifacts, terms: PlanTerms) -> Step:
    """What becomes of a wanted artifact that is not listed any more."""
    gone = Artifact(row.key, "missing", row.version)
    if is_here(row, known):
        return Step(Action.KEEP, gone, row.path, "mirrored, and gone upstream", row=row)
    if row.sha256:
        why = "the service has it no more"
        return Step(Action.LOSE, gone, row.path, why, Reason.LOST, row)
    was_wanted = row.wanted and row.state not in {State.EXPIRED, State.UNWANTED}
    if terms.forgotten and was_wanted:
        return Step(Action.GIVE_UP, gone, None, _why_it_never_came(row), Reason.GONE, row)
    return Step(Action.EXPIRE, gone, None, "the service has forgotten it", row=row)


def _why_it_never_came(row: ArtifactRow) -> str:
    if row.state is State.GONE and row.message:
        return row.message
    why = "the service forgot its run before it came"
    return f"{why}; the last try: {row.message}" if row.message else why


_STATES = {
    Action.DOWNLOAD: State.WANTED,
    Action.LATER: State.PENDING,
    Action.KEEP: State.MIRRORED,
    Action.LOSE: State.LOST,
    Action.EXPIRE: State.EXPIRED,
}
_OVER = frozenset({Action.GIVE_UP, Action.LOSE, Action.EXPIRE})


def _note_of_step(step: Step, known: KnownArtifacts, terms: PlanTerms) -> ArtifactNote | None:
    """What the ledger is told of a step; of what is final, ``RunSync`` tells it the failure."""
    key, row = step.artifact.key, step.row
    if row is None:
        state = _STATES.get(step.action)
        return ArtifactNote(key, state, step.artifact.version) if state is not None else None
    if step.action is Action.SKIP:
        return None
    return ArtifactNote(
        key,
        _state_of(step, row),
        row.version if row.sha256 else step.artifact.version,
        row.wanted if terms.rules_want is None else terms.rules_want(key),
        _upstream_of(step, row),
        lost=bool(row.sha256) and not _stands(row, known),
    )


def _state_of(step: Step, row: ArtifactRow) -> State:
    """The state of a known artifact; a failure stays one until another try has ended."""
    stays = (
        row.state in {State.FAILED, State.GONE} and not row.sha256
        if step.action is Action.DOWNLOAD
        else step.action is Action.LATER and row.state not in _NEW
    )
    return row.state if stays else _STATES.get(step.action, row.state)


def _upstream_of(step: Step, row: ArtifactRow) -> Upstream:
    retried = step.action is Action.DOWNLOAD and row.state in {State.GONE, State.LOST}
    is_gone = step.action in _OVER or step.artifact.status == "missing"
    return Upstream.GONE if is_gone or (retried and _is_gone(row)) else Upstream.LISTED


def _is_gone(row: ArtifactRow) -> bool:
    return row.upstream is Upstream.GONE


def _stands(row: ArtifactRow, known: KnownArtifacts) -> bool:
    return row.path is not None and known.standing.get(row.path) == row.size


def _note_of_rest(
    artifact: Artifact, known: KnownArtifacts, terms: PlanTerms
) -> ArtifactNote | None:
    """What the ledger is told of an artifact that is listed and not wanted."""
    row = known.rows.get(artifact.key)
    if row is None:
        state = State.FORGOTTEN if terms.let_go(artifact.key) else State.UNWANTED
        return ArtifactNote(artifact.key, state, artifact.version, wanted=False)
    if row.state in REMOVED:
        return None
    note = _note_of_unwanted(row, known, terms)
    return note._replace(upstream=Upstream.LISTED)


def _note_of_unwanted(row: ArtifactRow, known: KnownArtifacts, terms: PlanTerms) -> ArtifactNote:
    """What the ledger is told of an artifact that is neither listed nor wanted."""
    lost = bool(row.sha256) and not is_here(row, known)
    state = State.MIRRORED if row.sha256 and not lost else State.UNWANTED
    state = State.FORGOTTEN if terms.let_go(row.key) else state
    return ArtifactNote(row.key, state, row.version, False, Upstream.GONE, lost)  # noqa: FBT003


def _is_news(note: ArtifactNote, known: KnownArtifacts) -> bool:
    """Whether the ledger does not hold it yet."""
    row = known.rows.get(note.key)
    if row is None:
        return True
    held = ArtifactNote(note.key, row.state, row.version, row.wanted, row.upstream)
    return note._replace(lost=False) != held or (note.lost and row.lost_since is None)


def _places(
    artifacts: Iterable[Artifact], known: KnownArtifacts, terms: PlanTerms
) -> Mapping[ArtifactKey, MirrorPath | UnsafePath]:
    """A path for each, or the reason why it can have none."""
    taken = _Taken(terms.layout)
    return {
        artifact.key: _place(artifact.key, known.rows.get(artifact.key), taken)
        for artifact in sorted(artifacts, key=lambda artifact: _precedence(artifact.key, known))
    }


def _precedence(key: ArtifactKey, known: KnownArtifacts) -> tuple[bool, bool, ArtifactKey]:
    """Order of claims to a name: what is mirrored first, archives of folders last, else by key."""
    row = known.rows.get(key)
    return (row is None or row.path is None, _is_archive(key), key)


def _is_archive(key: ArtifactKey) -> bool:
    """Whether a folder may have its name: an archive of that, or a cube's log."""
    return key.is_log or ("/" in key.local_path and key.local_path.rpartition("/")[2] in {"", "."})


def _place(key: ArtifactKey, row: ArtifactRow | None, taken: _Taken) -> MirrorPath | UnsafePath:
    try:
        return taken.claim(taken.path_for(key, row), key)
    except UnsafePath as problem:
        return problem


class _Taken:
    """Names given out, so that no two artifacts share one."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._files: dict[str, ArtifactKey] = {}
        self._folders: dict[str, ArtifactKey] = {}

    def path_for(self, key: ArtifactKey, row: ArtifactRow | None) -> MirrorPath:
        """The path that it has already, or one by the layout.

        Another's archive or folder is avoided.
        """
        path = self._layout.place(key)
        if row is not None and row.path is not None and self._keeps(row, row.path, path):
            return row.path
        name = self._layout.collision_key(path)
        folders = _parents(name)
        if _is_archive(key) and name in self._folders:
            return self._layout.apart(path, len(folders) + 1)
        for depth, folder in enumerate(folders, 1):
            if folder in self._files and _is_archive(self._files[folder]):
                return self._layout.apart(path, depth)
        return path

    def _keeps(self, row: ArtifactRow, path: MirrorPath, usual: MirrorPath) -> bool:
        """Whether an artifact keeps its path, which another layout may have given it."""
        if _joined(path) == _joined(usual):
            return True
        return row.on_record and path.startswith(f"{self._layout.run_folder(row.key.run_key)}/")

    def claim(self, path: MirrorPath, key: ArtifactKey) -> MirrorPath:
        name = self._layout.collision_key(path)
        folders = _parents(name)
        other = self._files.get(name) or self._folders.get(name)
        other = other or next((self._files[f] for f in folders if f in self._files), None)
        if other is not None:
            raise Collision(
                f"it would be one file or folder with {other.name!r} of cube {other.cube},"
                " at least on some systems: rename one of them in the CI file"
            )
        self._files[name] = key
        self._folders.update(dict.fromkeys(folders, key))
        return path


def _parents(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]


def _joined(path: str) -> str:
    return path.replace("%2F", "/").removesuffix("/")


def _step(
    artifact: Artifact, place: MirrorPath | UnsafePath, known: KnownArtifacts, terms: PlanTerms
) -> Step:
    row = known.rows.get(artifact.key)
    if row is not None and row.state in REMOVED:
        return Step(Action.SKIP, artifact, None, "pruned from the mirror", row=row)
    if isinstance(place, UnsafePath):
        return Step(Action.REFUSE, artifact, None, str(place), place.reason, row)
    if row is None or row.state in _NEW:
        return Step(Action.DOWNLOAD, artifact, place, "new", row=row)
    if row.state is State.MIRRORED:
        return _mirrored(artifact, row, place, known)
    return _failed(artifact, row, place, terms)


_NEW = frozenset({State.WANTED, State.PENDING, State.REFUSED, State.EXPIRED, State.UNWANTED})


def _mirrored(
    artifact: Artifact, row: ArtifactRow, place: MirrorPath, known: KnownArtifacts
) -> Step:
    size = known.standing.get(place)
    if row.path != place or size is None:
        return Step(Action.DOWNLOAD, artifact, place, "missing from the mirror", row=row)
    if size != row.size:
        return Step(Action.DOWNLOAD, artifact, place, "changed in the mirror", row=row)
    if artifact.version and row.version and artifact.version != row.version:
        return Step(Action.DOWNLOAD, artifact, place, "left anew upstream", row=row)
    return Step(Action.KEEP, artifact, place, "mirrored", row=row)


def is_given_up(row: ArtifactRow, now: datetime) -> bool:
    """Whether a file has been gone for too long to be tried again."""
    since = row.first_seen if row.state is State.GONE else row.lost_since
    old = since is not None and now - since > PATIENCE
    was_gone = row.state is State.GONE or (row.state is State.LOST and _is_gone(row))
    return was_gone and old and row.attempts >= _LAST_TRIES


def _failed(artifact: Artifact, row: ArtifactRow, place: MirrorPath, terms: PlanTerms) -> Step:
    if is_given_up(row, terms.now) and not terms.insist:
        lost = row.state is State.LOST
        action, reason = (Action.LOSE, Reason.LOST) if lost else (Action.GIVE_UP, Reason.GONE)
        return Step(action, artifact, place, row.message, reason, row)
    if row.state is State.LOST:
        return Step(Action.DOWNLOAD, artifact, place, "lost from the mirror", row=row)
    return Step(Action.DOWNLOAD, artifact, place, f"failed before: {row.message}", row=row)


def _advised(steps: Sequence[Step], terms: PlanTerms) -> Sequence[Step]:
    """Refusals that also say how to leave the artifact out, and what else that would."""
    if all(step.action is not Action.REFUSE for step in steps):
        return steps
    paths = (plain_path(it.artifact.key.local_path) for it in steps if it.path is not None)
    standing = {name for path in paths for name in (path, *_parents(path))}
    return [_with_line(it, standing, terms) if it.action is Action.REFUSE else it for it in steps]


def _with_line(step: Step, standing: AbstractSet[str], terms: PlanTerms) -> Step:
    key = step.artifact.key
    line = terms.line_without(key)
    if not line:
        return step
    too = ", with what shares its name," if plain_path(key.local_path) in standing else ""
    too = ", with all other logs," if key.is_log else too
    return replace(
        step, why=f"{step.why}, or leave it out{too} by this line in its [[repo]]: {line}"
    )


def _waiting(
    artifact: Artifact, row: ArtifactRow | None, known: KnownArtifacts, terms: PlanTerms
) -> Step:
    if row is not None and row.sha256 and row.state not in REMOVED:
        if is_here(row, known):
            return Step(Action.KEEP, artifact, row.path, "mirrored", row=row)
        why = "the service has no file of it now"
        return Step(Action.LOSE, artifact, row.path, why, Reason.LOST, row)
    since = row.first_seen if row is not None and row.state is State.PENDING else None
    if since is not None and terms.now - since > PATIENCE:
        return Step(Action.SKIP, artifact, None, f"still {artifact.status}: not coming", row=row)
    return Step(Action.LATER, artifact, None, f"{artifact.status}: not there yet", row=row)
