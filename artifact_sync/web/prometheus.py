"""Renders counts and the daemon's state in Prometheus' text format."""

from __future__ import annotations

import platform
from collections import Counter
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import msgspec
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)

from artifact_sync.web.metrics import COUNTERS, LAGS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from prometheus_client.metrics_core import Metric

    from artifact_sync.domain.jobs import FleetState
    from artifact_sync.domain.model import RepoName
    from artifact_sync.domain.status import DaemonState
    from artifact_sync.domain.vanishing import Endangered
    from artifact_sync.web.metrics import Gauges, Metrics

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

_PREFIX = "artifact_sync_"

_LAG = "Seconds from a run's end to its complete mirror, the first time that it is complete."


@dataclass(frozen=True, slots=True, eq=False)  # the library has it as a key
class Snapshot:
    """The values of one scrape, to be rendered on another thread."""

    counts: Mapping[str, Mapping[Any, int]]
    """The series of each of ``COUNTERS``."""
    lags: Sequence[int]
    lag_sum: float
    state: DaemonState
    last_complete: Mapping[str, float]
    ledger_size: int | None
    unfit: Mapping[str, int]
    """Filters that fit nothing, by label."""
    labels: Mapping[str, str]
    """The label of every repository in ``state``, ``last_complete`` and ``endangered``."""
    endangered: Sequence[Endangered]
    displaced: Mapping[RepoName, int]
    verified: Sequence[tuple[str, float]]
    """Labels of repositories, and seconds since the oldest verification."""
    fleet: FleetState | None = None
    """What all workers do; None: there are none, or it cannot be told."""

    def collect(self) -> Iterator[Metric]:
        """The metric families; called by the library."""
        text = "The program's version and Python's."
        versions = {"version": self.state.version, "python": platform.python_version()}
        yield _gauge("build_info", text, [(tuple(versions.values()), 1)], tuple(versions))
        for name, (labels, text) in COUNTERS.items():
            yield _counter(name, text, self.counts[name], labels)
        yield from self._watch()
        yield from self._scrub()
        yield self._lag()
        for name, text, value in self._gauges():
            if value is not None:
                yield _gauge(name, text, [((), value)])
        for name, text, values in self._by_repo():
            yield _gauge(name, text, _worst(values).items(), ("repo",))
        yield from self._vanishing()
        if self.fleet is not None:
            yield from _fleet(self.fleet)

    def _watch(self) -> Iterator[Metric]:
        watch, text = self.state.watch, "Mirrored files that were found deleted or changed."
        yield _counter("watch_damaged_files", text, {(): watch.damaged})
        text = "Damaged files of the mirror that were put right."
        yield _counter("watch_restored_files", text, {(): watch.restored})

    def _scrub(self) -> Iterator[Metric]:
        scrub, text = self.state.scrub, "Mirrored files that were read again."
        yield _counter("scrubbed_files", text, {(): scrub.files})
        text = "Bytes that were read for that."
        yield _counter("scrubbed_bytes", text, {(): scrub.bytes})
        text = "Mirrored files that were found missing or changed when they were read again."
        yield _counter("scrub_damaged_files", text, {(): scrub.damaged})
        text = "Mirrored files that the disk does not give out now."
        yield _gauge("scrub_unreadable_files", text, [((), scrub.unreadable)])

    def _lag(self) -> Metric:
        bounds = [*(str(it) for it in LAGS), "+Inf"]
        buckets = list(zip(bounds, accumulate(self.lags), strict=True))
        family = HistogramMetricFamily(f"{_PREFIX}mirroring_lag_seconds", _LAG, labels=[])
        family.add_metric([], buckets, self.lag_sum)
        return family

    def _gauges(self) -> Iterator[tuple[str, str, float | None]]:
        """Name, help and value; None: not known."""
        state, watch = self.state, self.state.watch
        reachable, problems = state.service.reachable, state.config.problems
        yield "queue_length", "Repositories that are due and wait for room.", state.queue
        yield "running_passes", "Passes that are running.", len(state.passes)
        yield "running_downloads", "Files that are being fetched.", state.downloads
        yield "free_bytes", "Bytes free on the mirror's file system.", state.free
        yield "ledger_size_bytes", "Bytes that the ledger takes on disk.", self.ledger_size
        yield "service_reachable", "Whether the service answers: 1 or 0.", reachable
        text = "Things that keep the daemon as a whole from its work."
        yield "troubles", text, len(state.trouble)
        text = "Problems of the configuration file that keep it from being used."
        yield "config_problems", text, len(problems)
        text = "Whether the watch over the mirror's files works: 1 or 0."
        yield "watch_working", text, watch.working
        yield "downloaded_bytes_per_second", "Bytes that are fetched a second, lately.", state.rate

    def _by_repo(self) -> Iterator[tuple[str, str, Iterable[tuple[str, float]]]]:
        """Name, help, and the values by label, of which one may come twice."""
        repos = [(self.labels[it.repo], it) for it in self.state.repositories]
        text = "Seconds for which a repository has not been as it should be."
        yield "repo_lag_seconds", text, [(label, it.lag) for label, it in repos]
        text = "Looks at a repository in a row that could not be carried out."
        yield "repo_failing_looks", text, [(label, it.failing) for label, it in repos]
        text = "Filters of a repository that have fitted nothing so far."
        yield "repo_unfit_filters", text, self.unfit.items()
        text = "Seconds since a pass over a repository was complete."
        ages = [(self.labels[repo], age) for repo, age in self.last_complete.items()]
        yield "last_complete_pass_age_seconds", text, ages
        text = "Seconds since what is mirrored of a repository was verified longest ago."
        yield "oldest_verification_age_seconds", text, self.verified

    def _vanishing(self) -> Iterator[Metric]:
        """What vanishes, has vanished, is lost and was displaced: sums by label."""
        text = "Artifacts not mirrored yet that vanish upstream within two days."
        counts = [(self.labels[str(it.repo)], it) for it in self.endangered]
        expiring = _sums((label, it.vanishing) for label, it in counts)
        yield _gauge("expiring_artifacts", text, expiring.items(), ("repo",))
        text = "Artifacts that upstream had forgotten before they were wanted."
        expired = _sums((label, it.expired) for label, it in counts)
        yield _counter("expired_artifacts", text, expired, ("repo",))
        text = "Artifacts whose files were here and are missing, and that did not come again."
        lost = _sums((label, it.lost) for label, it in counts)
        yield _gauge("lost_artifacts", text, lost.items(), ("repo",))
        text = "Bytes that files of a repository save, since they share the blocks of others."
        saved = _sums((label, it.shared_bytes) for label, it in counts)
        yield _gauge("shared_bytes", text, saved.items(), ("repo",))
        text = "Bytes of a repository's files that were moved out of the way."
        places = (
            (self.labels[str(it.repo)], self.displaced.get(it.repo, 0)) for it in self.endangered
        )
        yield _gauge("displaced_bytes", text, _sums(places).items(), ("repo",))


def _fleet(fleet: FleetState) -> Iterator[Metric]:
    """All workers and their queue; the same from each of them."""
    text = "Jobs of all workers that wait, run, and of these the ones of workers that are dead."
    states = msgspec.structs.asdict(fleet.queue).items()
    yield _gauge("fleet_jobs", text, [((state,), count) for state, count in states], ("state",))
    text = "Processes that work on the mirror and were seen lately."
    yield _gauge("fleet_workers", text, [((), len(fleet.workers))])
    planners = [it for it in fleet.workers if it.planner]
    text = "Of these, the one that plans passes: 1 or 0."
    yield _gauge("fleet_planners", text, [((), len(planners))])
    text = "Seconds since the planner was seen."
    yield _gauge("fleet_planner_age_seconds", text, [((), it.seen_ago) for it in planners])


def snapshot(
    metrics: Metrics, gauges: Gauges, state: DaemonState, fleet: FleetState | None = None
) -> Snapshot:
    """Take the values of a scrape, on the event loop."""
    metrics.labels.retry_reuse()
    last_complete = dict(gauges.last_complete())
    endangered, displaced = tuple(gauges.endangered()), gauges.displaced()
    names = {it.repo for it in state.repositories} | last_complete.keys()
    names |= {str(it.repo) for it in endangered}
    ages = gauges.verification_ages()
    names |= ages.keys()
    labels = {name: metrics.labels.of(name) for name in sorted(names)}
    counts = {name: dict(series) for name, series in metrics.counts.items()}
    lags = tuple(metrics.lags)
    size = gauges.ledger_size()
    unfit = dict(metrics.unfit)
    return Snapshot(
        counts=counts,
        lags=lags,
        lag_sum=metrics.lag_sum,
        state=state,
        last_complete=last_complete,
        ledger_size=size,
        unfit=unfit,
        labels=labels,
        endangered=endangered,
        displaced=displaced,
        verified=[(labels[repo], age) for repo, age in ages.items()],
        fleet=fleet,
    )


def render(taken: Snapshot) -> bytes:
    """The text of a scrape. Takes milliseconds: not for the event loop."""
    registry = CollectorRegistry()
    registry.register(taken)
    return generate_latest(registry)


def _counter(name: str, text: str, series: Mapping[Any, int], labels: Sequence[str] = ()) -> Metric:
    family = CounterMetricFamily(_PREFIX + name, text, labels=labels)
    for values, count in series.items():
        family.add_metric(values, count)
    return family


def _gauge(
    name: str, text: str, values: Iterable[tuple[Any, float]], labels: Sequence[str] = ()
) -> Metric:
    family = GaugeMetricFamily(_PREFIX + name, text, labels=labels)
    for of, value in values:
        family.add_metric(of, value)
    return family


def _worst(values: Iterable[tuple[str, float]]) -> Mapping[tuple[str], float]:
    """The largest value of each label."""
    worst: dict[tuple[str], float] = {}
    for label, value in values:
        worst[(label,)] = max(value, worst.get((label,), 0.0))
    return worst


def _sums(values: Iterable[tuple[str, int]]) -> Mapping[tuple[str], int]:
    """The sum of each label."""
    sums: Counter[tuple[str]] = Counter()
    for label, value in values:
        sums[(label,)] += value
    return sums
