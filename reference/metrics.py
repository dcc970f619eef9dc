"""The page of metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from artifact_sync.domain.errors import ExitCode
from artifact_sync.domain.jobs import FleetState, JobKind, WorkerSeen
from artifact_sync.domain.model import RepoName
from artifact_sync.domain.status import DaemonState, RepoState
from artifact_sync.domain.vanishing import Endangered
from artifact_sync.runtime.clock import SystemClock
from artifact_sync.web.metrics import COUNTERS, MOST_REPOS, OTHER, Gauges, Metrics
from artifact_sync.web.prometheus import CONTENT_TYPE, snapshot
from reference.markdown import code, table
from reference.markdown import page as whole

if TYPE_CHECKING:
    from collections.abc import Iterator

    from artifact_sync.web.prometheus import Snapshot

_ABOUT = f"""\
`GET /metrics` answers in Prometheus' text format (`{CONTENT_TYPE}`). At most {MOST_REPOS}
repositories have a `repo` of their own, as `org/repo`; the others share `repo="{OTHER}"`.
Counters begin at 0 when the daemon starts, but for `artifact_sync_expired_artifacts_total`: it and
the artifacts that vanish or are lost are counted in the ledger, once a minute.

- `outcome` of `artifact_sync_artifacts_total` is `downloaded` or `failed`.
- `outcome` of `artifact_sync_passes_total` is the name of the pass's
  [exit code](exit-codes.md): {", ".join(f"`{it.name.lower()}`" for it in ExitCode)}.
- `outcome` of `artifact_sync_webhook_events_total` is that of an [answer](webhook.md#answers).
- `outcome` of `artifact_sync_jobs_total` is `done`, `failed` or `put_back`; `kind` is one of
  {", ".join(f"`{it}`" for it in JobKind)}. `state` is `waiting`, `running` or `stalled`.
- With a ledger in PostgreSQL, `artifact_sync_fleet_…` tell the same from every worker. Only the
  planner tells `artifact_sync_repo_lag_seconds`, `artifact_sync_last_complete_pass_age_seconds`
  and whether the service can be reached.
- `reason` is one of the [reasons](exit-codes.md#reasons)."""

_ALERTS = """\
- `artifact_sync_service_reachable == 0` for some minutes
- `artifact_sync_troubles > 0`
- `artifact_sync_expiring_artifacts > 0` for an hour: they vanish within two days
- `artifact_sync_lost_artifacts > 0`
- `artifact_sync_fleet_planners == 0` for some minutes: no worker plans
- `artifact_sync_repo_lag_seconds > 3600`: the lag is 0 while all that can be had is here"""


def page() -> str:
    """Make the page."""
    return whole(
        "Metrics",
        _ABOUT,
        table(["metric", "type", "labels", "what it counts"], _rows(_sample())),
        "## Worth an alert",
        _ALERTS,
    )


def names() -> list[str]:
    """Every metric's name, as it is scraped."""
    return [name.strip("`") for name, *_ in _rows(_sample())]


def _sample() -> Snapshot:
    """A scrape in which every metric has a value."""
    repo = "org/repo"
    metrics = Metrics(SystemClock())
    for name, (labels, _) in COUNTERS.items():
        metrics.counts[name][labels] += 1
    metrics.unfit[repo] = 0
    state = DaemonState(pid=1, version="", since="", free=0, repositories=(RepoState(repo=repo),))
    endangered = (Endangered(RepoName.parse(repo)),)
    ages = {repo: 0.0}
    gauges = Gauges(lambda: ages, lambda: 0, lambda: endangered, verification_ages=lambda: ages)
    planner = WorkerSeen("", "", 0, "", planner=True)
    return snapshot(metrics, gauges, state, FleetState((planner,)))


def _rows(sample: Snapshot) -> Iterator[tuple[str, str, str, str]]:
    for family in sample.collect():
        first = family.samples[0]
        name = family.name if family.type == "histogram" else first.name
        labels = sorted(set(first.labels) - {"le"}, reverse=True)
        yield code(name), family.type, ", ".join(map(code, labels)), family.documentation
