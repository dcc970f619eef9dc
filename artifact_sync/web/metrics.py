"""Counts events and webhook calls. Imports no optional library."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from artifact_sync.domain.errors import Reason
from artifact_sync.domain.events import (
    BytesArrived,
    DownloadBegan,
    Downloaded,
    Failed,
    LinkRenewed,
    Noticed,
    RepoEnded,
    Retrying,
    RunCompleted,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from datetime import datetime

    from artifact_sync.domain.events import Event
    from artifact_sync.domain.model import RepoName
    from artifact_sync.domain.ports import Clock
    from artifact_sync.domain.vanishing import Endangered

OTHER = "other"
"""The label shared by repositories beyond the limit. Names of repositories have a slash."""

MOST_REPOS = 500
"""Repositories with a label of their own."""

_HOUR = 3600.0
_DAY = 24 * _HOUR
LAGS = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, _HOUR, 4 * _HOUR, _DAY, 3 * _DAY,
        7 * _DAY, 14 * _DAY)  # fmt: skip
"""Upper bounds of the histogram's buckets, in seconds; after two weeks the service forgets."""


class WebhookOutcome(StrEnum):
    """How a webhook call was answered."""

    ACCEPTED = "accepted"
    """A run has ended: its repository is looked at now."""
    REPEAT = "repeat"
    """An event with this id was accepted within a day: nothing is done again."""
    PING = "ping"
    """The service has tested the webhook, and its secret is right."""
    IGNORED = "ignored"
    """Signed, of a type that is not handled."""
    UNKNOWN_REPOSITORY = "unknown_repository"
    """The configuration names no such repository."""
    UNSIGNED = "unsigned"
    """The signature is missing, or is not 64 lower-case hex digits."""
    WRONG_SIGNATURE = "wrong_signature"
    """No known secret has signed this body."""
    MALFORMED = "malformed"
    """Signed, but the body is not JSON, or names no repository."""
    TOO_LARGE = "too_large"
    """The body is larger than ``web.body_limit``."""
    SLOW = "slow"
    """The body did not come in time."""
    CUT = "cut"
    """The client left before the end of its body."""
    NO_SECRET = "no_secret"  # noqa: S105 - a word
    """There is no secret to check the signature by."""


@dataclass(frozen=True, slots=True)
class Gauges:
    """Values that come neither from events nor from ``DaemonApi``. Must not block."""

    last_complete: Callable[[], Mapping[str, float]] = dict
    """Seconds since the last complete pass, by repository (``org/repo``)."""
    ledger_size: Callable[[], int | None] = lambda: None
    """Bytes of the ledger on disk; None: it is not a file, or not known."""
    endangered: Callable[[], Sequence[Endangered]] = tuple
    """What vanishes and has vanished, by repository."""
    displaced: Callable[[], Mapping[RepoName, int]] = dict
    """Displaced bytes, by repository."""
    verification_ages: Callable[[], Mapping[str, float]] = dict
    """Seconds since what is mirrored was verified longest ago, by repository (``org/repo``)."""


class Labels:
    """A label for each repository; all beyond ``most`` share one.

    When labels run out, those of repositories that are not ``watched`` (``org/repo``) any more are
    reused. ``freed`` is called with the labels that stand for no repository any more.
    """

    def __init__(
        self,
        watched: Callable[[], Collection[str]] | None = None,
        freed: Callable[[Collection[str]], None] = lambda _: None,
        most: int = MOST_REPOS,
    ) -> None:
        self._watched = watched
        self._freed = freed
        self._most = most
        self._known: dict[str, str] = {}
        self._full = False
        """Whether there was no label to reuse when last tried."""

    def of(self, repo: str) -> str:
        """The label of ``org/repo``, as valid UTF-8."""
        label = self._known.get(repo)
        if label is not None:
            return label
        if not self._has_room(repo):
            return OTHER
        label = repo.encode("utf-8", "backslashreplace").decode("utf-8")
        self._known[repo] = label
        return label

    def retry_reuse(self) -> None:
        """Try again to reuse labels when there are none left."""
        self._full = False

    def _has_room(self, repo: str) -> bool:
        """Whether a repository may have its own label, perhaps after freeing others."""
        if len(self._known) < self._most:
            return True
        if self._full or self._watched is None:
            return False
        stays = set(self._watched())
        gone = {it: label for it, label in self._known.items() if it not in stays}
        self._full = not gone
        if not gone or repo not in stays:
            return False
        self._known = {it: label for it, label in self._known.items() if it in stays}
        self._freed(set(gone.values()) - set(self._known.values()))
        return True


COUNTERS: Mapping[str, tuple[tuple[str, ...], str]] = {
    "artifacts": (("repo", "outcome"), "Artifacts that were downloaded or have failed."),
    "received_bytes": (("repo",), "Bytes that came from links, repeats included."),
    "mirrored_bytes": (("repo",), "Bytes of the files that were added to the mirror."),
    "passes": (("repo", "outcome"), "Passes over a repository, by how they ended."),
    "failures": (("reason",), "Failures of artifacts, runs and repositories, by reason."),
    "webhook_events": (("outcome",), "Calls of the webhook, by how they were answered."),
    "jobs": (("kind", "outcome"), "Jobs that this worker has taken, by how they ended."),
    "jobs_retaken": ((), "Jobs of dead workers that this one, as planner, has put back."),
    "link_renewals": ((), "Times that a run was got again for fresh links."),
    "resumes": ((), "Downloads that went on behind bytes that were there already."),
    "retries": ((), "Tries that failed and were followed by another one."),
}
"""Labels and help of each counter."""

Series = Counter[tuple[str, ...]]
"""Counts by the values of their labels."""


class Metrics:
    """An observer that counts."""

    def __init__(
        self,
        clock: Clock,
        watched: Callable[[], Collection[str]] | None = None,
        most: int = MOST_REPOS,
    ) -> None:
        self._clock = clock
        self.counts: dict[str, Series] = {name: Counter() for name in COUNTERS}
        """The series of each of ``COUNTERS``. Those that are known beforehand begin at 0."""
        self.counts["failures"].update({(str(it),): 0 for it in Reason})
        self.counts["webhook_events"].update({(str(it),): 0 for it in WebhookOutcome})
        for name in ("jobs_retaken", "link_renewals", "resumes", "retries"):
            self.counts[name][()] = 0
        self.lags = [0] * (len(LAGS) + 1)
        """Runs by the bucket of ``LAGS`` they fall into, not cumulative, and one for the rest."""
        self.lag_sum = 0.0
        self.unfit: dict[str, int] = {}
        """Filters that have fitted nothing so far, by label, as the last pass has told."""
        self._unfit_now: Counter[RepoName] = Counter()
        self.labels = Labels(watched, self._drop, most)

    def notify(self, event: Event) -> None:
        """Count an event."""
        match event:
            case BytesArrived(key=key, count=count):
                label = self.labels.of(f"{key.org}/{key.repo}")
                self.counts["received_bytes"][(label,)] += count
            case DownloadBegan(offset=offset):
                self.counts["resumes"][()] += offset > 0
            case Retrying():
                self.counts["retries"][()] += 1
            case LinkRenewed():
                self.counts["link_renewals"][()] += 1
            case Noticed(unfit=repo) if repo is not None:
                self._unfit_now[repo] += 1
            case _:
                self._count_end(event)

    def webhook(self, outcome: WebhookOutcome) -> None:
        """Count a webhook call."""
        self.counts["webhook_events"][(str(outcome),)] += 1

    def job(self, kind: str, outcome: str) -> None:
        """Count a job that a worker has taken."""
        self.counts["jobs"][kind, outcome] += 1

    def retaken(self, jobs: int) -> None:
        """Count jobs of dead workers that go to others."""
        self.counts["jobs_retaken"][()] += jobs

    def _count_end(self, event: Event) -> None:
        match event:
            case Downloaded(mirrored=mirrored):
                label = self.labels.of(str(mirrored.key.run_key.repo))
                self.counts["artifacts"][label, "downloaded"] += 1
                self.counts["mirrored_bytes"][(label,)] += mirrored.size
            case Failed(failure=failure, key=key):
                self.counts["failures"][(str(failure.reason),)] += 1
                if key is not None:
                    label = self.labels.of(str(key.run_key.repo))
                    self.counts["artifacts"][label, "failed"] += 1
            case RunCompleted(finished_at=finished_at) if finished_at is not None:
                self._observe_lag(finished_at)
            case RepoEnded(repo=repo, report=report):
                outcome = report.exit_code.name.lower()
                label = self.labels.of(str(repo))
                self.counts["passes"][label, outcome] += 1
                self.unfit[label] = self._unfit_now.pop(repo, 0)
            case _:
                pass

    def _observe_lag(self, finished_at: datetime) -> None:
        """Count the seconds since a run's end; negative ones, after a clock was set back, as 0."""
        now = self._clock.now()
        if finished_at.tzinfo is None:  # the service means UTC
            finished_at = finished_at.replace(tzinfo=now.tzinfo)
        seconds = max((now - finished_at).total_seconds(), 0.0)
        self.lags[bisect_left(LAGS, seconds)] += 1
        self.lag_sum += seconds

    def _drop(self, labels: Collection[str]) -> None:
        self.unfit = {label: count for label, count in self.unfit.items() if label not in labels}
        for name, (keys, _) in COUNTERS.items():
            series = self.counts[name]
            for values in [it for it in series if "repo" in keys and it[0] in labels]:
                del series[values]
