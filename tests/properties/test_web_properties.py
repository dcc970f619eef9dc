from __future__ import annotations

from contextlib import suppress

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families
from web_trial import FakeClock

from artifact_sync.domain.model import RepoName
from artifact_sync.domain.status import DaemonState, RepoState
from artifact_sync.web.metrics import Gauges, Metrics
from artifact_sync.web.prometheus import render, snapshot
from artifact_sync.web.webhook_payload import Malformed, RunComplete, read_payload
from artifact_sync.web.webhook_secrets import is_signature, is_signed

scalars = st.none() | st.booleans() | st.integers(-5, 2**70) | st.text(max_size=20)
slugs = st.text(max_size=12) | st.sampled_from(["acme", "..", "a/b", "7"]) | scalars
named = st.fixed_dictionaries({}, optional={"slug": slugs}) | st.none()
repositories = st.fixed_dictionaries({}, optional={"slug": slugs, "organization": named})
headers = st.fixed_dictionaries({"type": st.just("run.complete")}, optional={"id": scalars})
events = st.fixed_dictionaries(
    {"header": headers}, optional={"repository": repositories, "run": named, "more": scalars}
)


@given(st.binary(max_size=200), st.text(max_size=20))
def test_whatever_the_bytes_reading_them_ends_in_an_event_or_in_malformed(
    body: bytes, announced: str
) -> None:
    with suppress(Malformed):
        assert read_payload(body, announced) is not None


@given(events)
def test_what_comes_out_of_a_hook_is_a_repository_that_can_be_shown(event: object) -> None:
    with suppress(Malformed, msgspec.ValidationError):
        found = read_payload(msgspec.json.encode(event))
        assert isinstance(found, RunComplete)
        assert RepoName.parse(str(found.repo)) == found.repo
        assert f"{found.repo}{found.run}".isprintable()
        assert found.run is None or "/" not in found.run


@given(st.text(max_size=70) | st.text("0123456789abcdef", min_size=64, max_size=64), st.binary())
def test_nobody_guesses_a_signature(signature: str, body: bytes) -> None:
    is_signature(signature)
    assert not is_signed(signature, body, [b"one", b"two"])


@given(st.lists(st.text(st.characters(exclude_categories=()), max_size=20), unique=True))
@example(["\ud800", "\n# EOF", '"} 1\n'])
def test_any_repositories_are_read_back_from_the_exposition(names: list[str]) -> None:
    repos = tuple(RepoState(repo=name, lag=1.0) for name in names)
    state = DaemonState(pid=1, version="1", since="", repositories=repos)
    text = render(snapshot(Metrics(FakeClock()), Gauges(), state)).decode("utf-8")
    families = {it.name: it for it in text_string_to_metric_families(text)}
    shown = {it.labels["repo"] for it in families["artifact_sync_repo_lag_seconds"].samples}
    assert shown == {name.encode("utf-8", "backslashreplace").decode() for name in names}
