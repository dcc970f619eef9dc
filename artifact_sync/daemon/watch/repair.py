"""Logs damage, and has it restored if that is configured."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from artifact_sync.daemon.schedule.turns import Why
from artifact_sync.domain.errors import ArtifactSyncError
from artifact_sync.runtime.logs import get_logger
from artifact_sync.runtime.tasks import first_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from artifact_sync.daemon.engine import Engine
    from artifact_sync.daemon.scheduler import Scheduler
    from artifact_sync.domain.model import MirrorPath, RepoName
    from artifact_sync.sync.verify import Finding

_log = get_logger(__name__)


_FIRST, _LONGEST = 1.0, 300.0
"""Seconds before a second repair of a file; the delay doubles with each further one."""

_QUIET = 3600.0
"""Seconds without damage after which a file counts as never damaged."""

_REMEMBERED = 20_000
"""Files at most."""


class _Past(NamedTuple):
    last: float
    delay: float


class RestoreBackoff:
    """The delay before a repair: none at first, then longer for the same file."""

    def __init__(self) -> None:
        self._past: dict[MirrorPath, _Past] = {}

    def delay(self, path: MirrorPath, now: float) -> float:
        """Seconds to wait. Each call counts as damage; ``now`` is on the monotonic clock."""
        past = self._past.pop(path, None)
        delay = 0.0
        if past is not None and now - past.last < past.delay + _QUIET:
            delay = min(max(2 * past.delay, _FIRST), _LONGEST)
        self._past[path] = _Past(now, delay)
        if len(self._past) > _REMEMBERED:
            del self._past[next(iter(self._past))]
        return delay


class DamageRepair:
    """Logs damage that was found and, if it ``restores``, has it fetched again.

    ``repair_began`` is called with the files of which a repair begins.
    """

    def __init__(
        self,
        engine: Engine,
        scheduler: Scheduler,
        repair_began: Callable[[Sequence[MirrorPath]], None] = lambda _: None,
        restores: Callable[[], bool] = lambda: True,
    ) -> None:
        self._engine = engine
        self._scheduler = scheduler
        self._auditor = scheduler.auditor
        self._repair_began = repair_began
        self._restores = restores
        self._backoff = RestoreBackoff()
        self._waiting: dict[MirrorPath, Finding] = {}
        """Damage that is to be restored after a delay."""

    def is_busy(self, repo: RepoName) -> bool:
        """Whether a pass is over a repository: what it changes is no damage."""
        return self._scheduler.is_busy(repo)

    def may_have_missed(self) -> None:
        """Have the next passes check everything: changes may have been missed."""
        self._scheduler.forget_unchanged()

    def damaged(self, findings: Sequence[Finding]) -> None:
        """Log damage, a line a run, and schedule its repair if that is configured."""
        restoring = self._restores()
        new = {it.path: it for it in findings if it.path not in self._waiting}
        for is_restored, some in self._by_repair(new.values()).items():
            _log_damage(some, restoring=restoring and is_restored)
        self._waiting |= {it.path: it for it in findings if restoring or it.path in self._waiting}
        if restoring:
            self._restore_later(new)

    def _by_repair(self, findings: Iterable[Finding]) -> Mapping[bool, list[Finding]]:
        """Findings by whether a pass over their repository can fetch them."""
        found: dict[bool, list[Finding]] = {}
        for it in findings:
            watched = it.run is not None and self._scheduler.looks_after(it.run.repo)
            found.setdefault(watched, []).append(it)
        return found

    async def put_back(self, finding: Finding) -> None:
        """Adopt a lost file that stands again as recorded; a pass tells the rest."""
        if finding.run is None:
            return
        repo = finding.run.repo
        await self._auditor.note([finding], self._engine.clock.now())
        _log.info(
            "a lost file was put back", repo=str(repo), run=finding.run.run, path=finding.path
        )
        self.may_have_missed()
        self._scheduler.look_again(frozenset({repo}), Why.RESTORE)

    def _restore_later(self, damaged: Iterable[MirrorPath]) -> None:
        now = self._engine.clock.monotonic()
        by_delay: dict[float, list[MirrorPath]] = {}
        for path in damaged:
            by_delay.setdefault(self._backoff.delay(path, now), []).append(path)
        for delay, paths in by_delay.items():
            self._scheduler.spawn(self._restore(paths, delay))

    async def _restore(self, paths: Sequence[MirrorPath], delay: float) -> None:
        """Request damaged files after a delay in seconds, and have a pass fetch them."""
        stopping = self._scheduler.stopping
        if delay:
            await first_of(self._engine.clock.sleep(delay), stopping.wait())
        wanted = self._restores() and not stopping.is_set()
        by_repo: dict[RepoName, list[Finding]] = {}
        for finding in [self._waiting.pop(path) for path in paths]:
            if finding.run is not None and wanted:
                by_repo.setdefault(finding.run.repo, []).append(finding)
        for repo, damage in by_repo.items():
            await self._request(repo, damage)
            self._repair_began([finding.path for finding in damage])
            self._scheduler.look_again(frozenset({repo}), Why.RESTORE)

    async def _request(self, repo: RepoName, damage: Sequence[Finding]) -> None:
        """Request damage, or call it lost where no pass would come for it."""
        work = self._auditor.request if self._scheduler.looks_after(repo) else self._auditor.note
        try:
            await work(damage, self._engine.clock.now())
        except ArtifactSyncError as error:  # the pass will say more, if it finds the same
            _log.warning("damage could not be requested again", repo=str(repo), why=str(error))


def _log_damage(findings: Sequence[Finding], *, restoring: bool) -> None:
    counts = Counter((finding.run, finding.condition) for finding in findings)
    first = {(finding.run, finding.condition): finding.path for finding in reversed(findings)}
    text = "files were taken or changed in the mirror"
    text += ", and are fetched again" if restoring else ": verify --repair fetches them again"
    for (run, condition), count in counts.items():
        repo, slug = run if run is not None else ("", "")
        facts = {"files": count, "condition": str(condition), "first": first[run, condition]}
        _log.warning(text, repo=str(repo), run=slug, **facts)
