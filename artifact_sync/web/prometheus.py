"""Renders counts and the daemon's state in Prometheus' text format."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)

from artifact_sync.web.metrics import LAGS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from prometheus_client.metrics_core import Metric

    from artifact_sync.domain.status import DaemonState
    from artifact_sync.web.metrics import Counts, Gauges, Metrics

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

_COUNTERS = (
    ("artifacts", ("repo", "outcome"), "Artifacts that were downloaded or have failed."),
    ("received_bytes", ("repo",), "Bytes that came from links, repeats included."),
    ("mirrored_bytes", ("repo",), "Bytes of the files that were added to the mirror."),
    ("passes", ("repo", "outcome"), "Passes over a repository, by how they ended."),
    ("failures", ("reason",), "Failures of artifacts, runs and repositories, by reason."),
    ("webhook_events", ("outcome",), "Calls of the webhook, by how they were answered."),
    ("link_renewals", (), "Times that a run was got again for fresh links."),
    ("resumes", (), "Downloads that went on behind bytes that were there already."),
    ("retries", (), "Tries that failed and were followed by another one."),
    ("watch_damaged_files", (), "Mirrored files that were found deleted or changed."),
    ("watch_restored_files", (), "Damaged files of the mirror that were put right."),
)
_GAUGES = (
    ("queue_length", "Repositories that are due and wait for room."),
    ("running_passes", "Passes that are running."),
    ("running_downloads", "Files that are being fetched."),
    ("free_bytes", "Bytes free on the mirror's file system."),
    ("ledger_size_bytes", "Bytes that the ledger takes on disk."),
    ("service_reachable", "Whether the service answers: 1 or 0."),
    ("troubles", "Things that keep the daemon as a whole from its work."),
    ("config_problems", "Problems of the configuration file that keep it from being used."),
    ("watch_working", "Whether the watch over the mirror's files works: 1 or 0."),
    ("downloaded_bytes_per_second", "Bytes that are fetched a second, lately."),
)
_BY_REPO = (
    ("repo_lag_seconds", "Seconds for which a repository has not been as it should be."),
    ("repo_failing_looks", "Looks at a repository in a row that could not be carried out."),
    ("last_complete_pass_age_seconds", "Seconds since a pass over a repository was complete."),
)


@dataclass(frozen=True, slots=True, eq=False)  # the library has it as a key
class Snapshot:
    """The values of one scrape, to be rendered on another thread."""

    counts: Counts
    state: DaemonState
    last_complete: Mapping[str, float]
    ledger_size: int | None
    labels: Mapping[str, str]
    """The label of every repository in ``state`` and ``last_complete``."""

    def collect(self) -> Iterator[Metric]:
        """The metric families; called by the library."""
        yield _build_info(self.state)
        yield from _counters(self._counted())
        yield _lag(self.counts)
        for name, text in _GAUGES:
            if (value := self._gauges()[name]) is not None:
                yield GaugeMetricFamily(f"artifact_sync_{name}", text, value=value)
        for (name, text), values in zip(_BY_REPO, self._by_repo(), strict=True):
            yield _worst(GaugeMetricFamily(f"artifact_sync_{name}", text, labels=["repo"]), values)

    def _counted(self) -> tuple[Mapping[Any, int], ...]:
        """The series of each of ``_COUNTERS``."""
        counts, watch = self.counts, self.state.watch
        plain = (counts.renewals, counts.resumes, counts.retries, watch.damaged, watch.restored)
        return (
            counts.artifacts,
            counts.received,
            counts.mirrored,
            counts.passes,
            counts.failures,
            counts.webhooks,
            *({(): count} for count in plain),
        )

    def _gauges(self) -> Mapping[str, float | None]:
        """The value of each of ``_GAUGES``; None: not known."""
        state = self.state
        return {
            "queue_length": state.queue,
            "running_passes": len(state.passes),
            "running_downloads": state.downloads,
            "free_bytes": state.free,
            "ledger_size_bytes": self.ledger_size,
            "service_reachable": state.service.reachable,
            "troubles": len(state.trouble),
            "config_problems": len(state.config.problems),
            "watch_working": state.watch.working,
            "downloaded_bytes_per_second": state.rate,
        }

    def _by_repo(self) -> tuple[Iterable[tuple[str, float]], ...]:
        """Label and value of each of ``_BY_REPO``."""
        repos = [(self.labels[it.repo], it) for it in self.state.repositories]
        return (
            ((label, it.lag) for label, it in repos),
            ((label, it.failing) for label, it in repos),
            ((self.labels[repo], age) for repo, age in self.last_complete.items()),
        )


def snapshot(metrics: Metrics, gauges: Gauges, state: DaemonState) -> Snapshot:
    """Take the values of a scrape, on the event loop."""
    metrics.labels.retry_reuse()
    last_complete = dict(gauges.last_complete())
    names = {it.repo for it in state.repositories} | last_complete.keys()
    labels = {name: metrics.labels.of(name) for name in sorted(names)}
    return Snapshot(metrics.counts.copy(), state, last_complete, gauges.ledger_size(), labels)


def render(taken: Snapshot) -> bytes:
    """The text of a scrape. Takes milliseconds: not for the event loop."""
    registry = CollectorRegistry()
    registry.register(taken)
    return generate_latest(registry)


def _build_info(state: DaemonState) -> Metric:
    text = "The program's version and Python's."
    family = GaugeMetricFamily("artifact_sync_build_info", text, labels=["version", "python"])
    family.add_metric([state.version, platform.python_version()], 1)
    return family


def _counters(counted: Iterable[Mapping[Any, int]]) -> Iterator[Metric]:
    for (name, labels, text), series in zip(_COUNTERS, counted, strict=True):
        family = CounterMetricFamily(f"artifact_sync_{name}", text, labels=labels)
        for values, count in series.items():
            family.add_metric(values, count)
        yield family


def _lag(counts: Counts) -> Metric:
    text = "Seconds from a run's end to its complete mirror, the first time that it is complete."
    bounds = [*(str(it) for it in LAGS), "+Inf"]
    buckets = list(zip(bounds, accumulate(counts.lag.counts), strict=True))
    family = HistogramMetricFamily("artifact_sync_mirroring_lag_seconds", text, labels=[])
    family.add_metric([], buckets, counts.lag.sum)
    return family


def _worst(family: GaugeMetricFamily, values: Iterable[tuple[str, float]]) -> Metric:
    """Add the largest value of each label to a family."""
    worst: dict[str, float] = {}
    for label, value in values:
        worst[label] = max(value, worst.get(label, 0.0))
    for label, value in worst.items():
        family.add_metric([label], value)
    return family
