from __future__ import annotations

from datetime import UTC, datetime, timedelta

from msgspec.structs import replace
from prometheus_client.parser import text_string_to_metric_families
from web_trial import FakeClock

from artifact_sync.domain.errors import Reason
from artifact_sync.domain.events import (
    BytesArrived,
    DownloadBegan,
    Downloaded,
    Failed,
    LinkRenewed,
    Noticed,
    RepoBegan,
    RepoEnded,
    Retrying,
    RunCompleted,
)
from artifact_sync.domain.jobs import FleetState, QueueLengths, WorkerSeen
from artifact_sync.domain.model import (
    ArtifactKey,
    Failure,
    Mirrored,
    MirrorPath,
    RepoName,
    RunKey,
    Strength,
)
from artifact_sync.domain.report import Report
from artifact_sync.domain.status import DaemonState, PassState, RepoState, ServiceState, WatchState
from artifact_sync.domain.vanishing import Endangered
from artifact_sync.web.metrics import Gauges, Labels, Metrics, WebhookOutcome
from artifact_sync.web.prometheus import render, snapshot

KEY = ArtifactKey("acme", "app", "7", "w", "t", "c", "a.txt")
RUN = KEY.run_key
STATE = DaemonState(pid=1, version="1.2.3", since="")
MIRRORED = Mirrored(KEY, MirrorPath("p"), 300, "0" * 64, Strength.LENGTH, ())


def scrape(
    metrics: Metrics, state: DaemonState = STATE, gauges: Gauges | None = None
) -> dict[str, float]:
    """``name{label="value"}`` → value, as Prometheus reads it."""
    text = render(snapshot(metrics, gauges or Gauges(), state)).decode("utf-8")
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f'{key}="{value}"' for key, value in sorted(sample.labels.items()))
            found[sample.name + (f"{{{labels}}}" if labels else "")] = sample.value
    return found


def test_artifacts_bytes_and_failures_are_counted() -> None:
    metrics = Metrics(FakeClock())
    failure = Failure.of(KEY, Reason.GONE, "gone")
    for event in (
        BytesArrived(KEY, 100),
        BytesArrived(KEY, 250),
        Downloaded(MIRRORED),
        Failed(failure, KEY),
        Failed(Failure("acme/app", Reason.UNREACHABLE, "no")),
        DownloadBegan(KEY, 10, 0),
        DownloadBegan(KEY, 10, 5),
        Retrying("x", 1.0, "y"),
        LinkRenewed(RUN, 3),
        RepoBegan(RUN.repo),
        Noticed("x"),
    ):
        metrics.notify(event)
    found = scrape(metrics)
    expected = {
        'artifact_sync_artifacts_total{outcome="downloaded",repo="acme/app"}': 1,
        'artifact_sync_artifacts_total{outcome="failed",repo="acme/app"}': 1,
        'artifact_sync_received_bytes_total{repo="acme/app"}': 350,
        'artifact_sync_mirrored_bytes_total{repo="acme/app"}': 300,
        'artifact_sync_failures_total{reason="gone"}': 1,
        'artifact_sync_failures_total{reason="unreachable"}': 1,
        'artifact_sync_failures_total{reason="integrity"}': 0,
        "artifact_sync_resumes_total": 1,
        "artifact_sync_retries_total": 1,
        "artifact_sync_link_renewals_total": 1,
    }
    assert {name: found[name] for name in expected} == expected


def test_passes_are_counted_by_how_they_ended() -> None:
    metrics = Metrics(FakeClock())
    bad = Report(failures=[Failure("acme/app", Reason.UNREACHABLE, "no")])
    for report in (Report(), Report(), bad):
        metrics.notify(RepoEnded(RUN.repo, report))
    found = scrape(metrics)
    passes = {name: value for name, value in found.items() if "passes_total" in name}
    assert passes == {
        'artifact_sync_passes_total{outcome="complete",repo="acme/app"}': 2,
        'artifact_sync_passes_total{outcome="unreachable",repo="acme/app"}': 1,
    }


def test_filters_that_fit_nothing_are_as_many_as_the_last_pass_told() -> None:
    """Guards against: a filter that fits nothing is silent success."""
    metrics = Metrics(FakeClock())
    told = Noticed("it fits nothing", RUN.repo)
    for events, count in (((told, Noticed("else"), told), 2), ((), 0)):
        for event in (RepoBegan(RUN.repo), *events, RepoEnded(RUN.repo, Report())):
            metrics.notify(event)
        assert scrape(metrics)['artifact_sync_repo_unfit_filters{repo="acme/app"}'] == count


def test_the_lag_counts_a_run_the_first_time_that_it_is_complete() -> None:
    clock = FakeClock()
    metrics = Metrics(clock)
    ends = [clock.now() - timedelta(seconds=it) for it in (0.5, 3.0, 100 * 86400, -5.0)]
    for end in [*ends, None]:
        metrics.notify(RunCompleted(RUN, 1, end))
    metrics.notify(RunCompleted(RUN, 1, datetime(1970, 1, 1, 0, 16, 38)))  # noqa: DTZ001 - such come
    assert clock.now() == datetime(1970, 1, 1, 0, 16, 40, tzinfo=UTC)
    found = scrape(metrics)
    name = "artifact_sync_mirroring_lag_seconds"
    buckets = {bound: found[f'{name}_bucket{{le="{bound}"}}'] for bound in
               ("0.5", "1.0", "2.0", "5.0", "1209600.0", "+Inf")}  # fmt: skip
    assert buckets == {"0.5": 2, "1.0": 2, "2.0": 3, "5.0": 4, "1209600.0": 4, "+Inf": 5}
    assert found[f"{name}_count"] == 5
    assert found[f"{name}_sum"] == 0.5 + 3.0 + 100 * 86400 + 2.0


def test_webhooks_are_counted_and_those_that_never_came_are_zero() -> None:
    metrics = Metrics(FakeClock())
    metrics.webhook(WebhookOutcome.REPEAT)
    found = scrape(metrics)
    events = {k: v for k, v in found.items() if k.startswith("artifact_sync_webhook_events_total")}
    assert len(events) == len(WebhookOutcome)
    assert {k for k, v in events.items() if v} == {
        'artifact_sync_webhook_events_total{outcome="repeat"}'
    }


def test_the_daemons_state_is_shown_as_it_is_at_the_scrape() -> None:
    state = replace_state(
        passes=(PassState(repo="acme/app", why="x", seconds=1),),
        queue=3,
        downloads=4,
        rate=5.5,
        free=6,
        service=ServiceState(reachable=False),
        trouble=("no space",),
        watch=WatchState(mode="restore", working=True, damaged=8, restored=7),
        repositories=(RepoState(repo="acme/app", failing=2, lag=9.5),),
    )
    gauges = Gauges(lambda: {"acme/app": 12.5}, lambda: 4096)
    found = scrape(Metrics(FakeClock()), state, gauges)
    expected = {
        "artifact_sync_running_passes": 1,
        "artifact_sync_queue_length": 3,
        "artifact_sync_running_downloads": 4,
        "artifact_sync_downloaded_bytes_per_second": 5.5,
        "artifact_sync_free_bytes": 6,
        "artifact_sync_service_reachable": 0,
        "artifact_sync_troubles": 1,
        "artifact_sync_watch_damaged_files_total": 8,
        "artifact_sync_watch_restored_files_total": 7,
        "artifact_sync_watch_working": 1,
        "artifact_sync_ledger_size_bytes": 4096,
        'artifact_sync_repo_failing_looks{repo="acme/app"}': 2,
        'artifact_sync_repo_lag_seconds{repo="acme/app"}': 9.5,
        'artifact_sync_last_complete_pass_age_seconds{repo="acme/app"}': 12.5,
    }
    assert {name: found[name] for name in expected} == expected
    assert [name for name in found if 'version="1.2.3"' in name]


def test_all_workers_and_their_queue_are_told_of_by_each() -> None:
    metrics = Metrics(FakeClock())
    metrics.job("pass", "done")
    metrics.retaken(2)
    workers = (
        WorkerSeen("one", "a", 1, "", planner=True, seen_ago=1.5),
        WorkerSeen("two", "b", 2, ""),
    )
    fleet = FleetState(workers, QueueLengths(7, 2, 1), "one")
    text = render(snapshot(metrics, Gauges(), STATE, fleet)).decode("utf-8")
    for line in (
        'artifact_sync_jobs_total{kind="pass",outcome="done"} 1.0',
        "artifact_sync_jobs_retaken_total 2.0",
        'artifact_sync_fleet_jobs{state="waiting"} 7.0',
        'artifact_sync_fleet_jobs{state="running"} 2.0',
        'artifact_sync_fleet_jobs{state="stalled"} 1.0',
        "artifact_sync_fleet_workers 2.0",
        "artifact_sync_fleet_planners 1.0",
        "artifact_sync_fleet_planner_age_seconds 1.5",
    ):
        assert line in text.splitlines()


def test_what_vanishes_is_lost_and_was_displaced_is_told_by_repository() -> None:
    app, site = RepoName("acme", "app"), RepoName("acme", "site")
    counts = (Endangered(app, 3, 1, 4, 5, 6, 8), Endangered(site))
    gauges = Gauges(endangered=lambda: counts, displaced=lambda: {app: 7})
    found = scrape(Metrics(FakeClock()), gauges=gauges)
    names = {
        "expiring_artifacts": 3,
        "expired_artifacts_total": 4,
        "lost_artifacts": 6,
        "displaced_bytes": 7,
        "shared_bytes": 8,
    }
    for name, value in names.items():
        told = [found[f'artifact_sync_{name}{{repo="{repo}"}}'] for repo in (app, site)]
        assert told == [value, 0]


def test_what_is_not_known_is_left_out() -> None:
    found = scrape(Metrics(FakeClock()))
    assert "artifact_sync_free_bytes" not in found
    assert "artifact_sync_ledger_size_bytes" not in found


def test_repositories_that_are_too_many_share_a_label_and_show_the_worst_of_them() -> None:
    metrics = Metrics(FakeClock(), most=2)
    repos = tuple(RepoState(repo=f"o/{it}", lag=float(it), failing=it) for it in range(5))
    for it in range(5):
        metrics.notify(BytesArrived(KEY._replace(org="o", repo=str(it)), 10))
    found = scrape(metrics, replace_state(repositories=repos))
    received = {k: v for k, v in found.items() if "received_bytes" in k}
    lags = {k: v for k, v in found.items() if "lag_seconds{" in k}
    assert received == {
        'artifact_sync_received_bytes_total{repo="o/0"}': 10,
        'artifact_sync_received_bytes_total{repo="o/1"}': 10,
        'artifact_sync_received_bytes_total{repo="other"}': 30,
    }
    assert lags == {
        'artifact_sync_repo_lag_seconds{repo="o/0"}': 0.0,
        'artifact_sync_repo_lag_seconds{repo="o/1"}': 1.0,
        'artifact_sync_repo_lag_seconds{repo="other"}': 4.0,
    }


def test_five_hundred_repositories_have_labels_of_their_own_and_no_more() -> None:
    metrics = Metrics(FakeClock())
    for number in range(2000):
        metrics.notify(RepoEnded(RepoName("o", str(number)), Report()))
    assert len(metrics.counts["passes"]) == 501
    assert metrics.counts["passes"]["other", "complete"] == 1500


def test_labels_of_dropped_repositories_are_reused_for_those_that_are_watched() -> None:
    metrics = Metrics(FakeClock(), lambda: present, most=3)
    names = [RepoName("o", it) for it in ("mine", "a", "b", "c", "new", "a")]
    present = {"o/mine", "o/a", "o/b", "o/c"}
    for repo in names[:4]:
        metrics.notify(RepoEnded(repo, Report()))
    present = {"o/mine", "o/new"}
    scrape(metrics)
    for repo in names[4:]:
        metrics.notify(RepoEnded(repo, Report()))
    assert metrics.counts["passes"] == {
        ("o/mine", "complete"): 1,
        ("other", "complete"): 1,
        ("o/new", "complete"): 1,
        ("o/a", "complete"): 1,
    }


def test_dropped_repositories_get_no_label_and_full_labels_are_checked_once() -> None:
    checks = []
    present = ["o/a"]
    labels = Labels(lambda: checks.append(1) or present, most=1)  # type: ignore[func-returns-value]
    assert [labels.of(it) for it in ("o/a", "o/b", "o/c", "o/b")] == ["o/a", *["other"] * 3]
    assert len(checks) == 1
    present = ["o/b"]
    labels.retry_reuse()
    assert [labels.of(it) for it in ("o/c", "o/b", "o/a")] == ["other", "o/b", "other"]


def test_no_name_breaks_the_format() -> None:
    names = ['a"} 1\nx{y="', "b\\", "c\ud800", "d\x00\x1b[31m", "é\u202e", "{}=,#"]
    metrics = Metrics(FakeClock())
    for name in names:
        metrics.notify(BytesArrived(KEY._replace(repo=name), 1))
    text = render(snapshot(metrics, Gauges(), STATE)).decode("utf-8")
    families = {it.name: it for it in text_string_to_metric_families(text)}
    shown = [it.labels["repo"] for it in families["artifact_sync_received_bytes"].samples]
    assert shown == [f"acme/{name}".replace("\ud800", "\\ud800") for name in names]


def test_every_series_has_a_unit_or_is_a_count_and_every_family_help() -> None:
    metrics = Metrics(FakeClock())
    text = render(snapshot(metrics, Gauges(), STATE)).decode("utf-8")
    families = list(text_string_to_metric_families(text))
    assert all(it.name.startswith("artifact_sync_") for it in families)
    assert all(it.documentation.endswith(".") for it in families)
    assert not [it.name for it in families if it.name.endswith("_created")]


def test_a_snapshot_does_not_change_while_counting_goes_on() -> None:
    metrics = Metrics(FakeClock())
    shown = snapshot(metrics, Gauges(), STATE)
    metrics.notify(LinkRenewed(RunKey(RUN.repo, "1"), 1))
    metrics.webhook(WebhookOutcome.PING)
    metrics.notify(Downloaded(replace(MIRRORED, size=1)))
    before = render(shown).decode()
    assert 'outcome="ping"} 0.0' in before
    assert "artifact_sync_link_renewals_total 0.0" in before
    assert "acme/app" not in before


def replace_state(**fields: object) -> DaemonState:
    return DaemonState(pid=1, version="1.2.3", since="", **fields)  # type: ignore[arg-type]
