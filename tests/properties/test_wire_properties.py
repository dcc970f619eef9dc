"""What is said over the daemon's socket arrives as it was, and rubbish is one clear error."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from artifact_sync.daemon.control.protocol import (
    Failures,
    Garbled,
    Result,
    event_line,
    read_answer,
    read_request,
    result_lines,
    sync_request,
)
from artifact_sync.domain.errors import Reason
from artifact_sync.domain.events import (
    BytesArrived,
    DownloadBegan,
    Downloaded,
    Event,
    Failed,
    FetchBegan,
    LinkRenewed,
    Noticed,
    RepoBegan,
    Retrying,
    RunCompleted,
)
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
from artifact_sync.domain.request import PassOptions, PassRequest
from artifact_sync.domain.settings import RepoSettings

if TYPE_CHECKING:
    from collections.abc import Callable

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
words = texts.filter(bool)
counts = st.integers(0, 2**63 - 1)
moments = st.none() | st.datetimes(timezones=st.just(UTC))
repos = st.builds(RepoName, texts, texts)
runs = st.builds(RunKey, repos, texts)
keys = st.builds(ArtifactKey, texts, texts, texts, texts, texts, texts, texts)
perhaps = st.none() | texts
failures = st.builds(
    Failure, texts, st.sampled_from(Reason), texts, perhaps, perhaps, perhaps, perhaps, perhaps
)
mirrored = st.builds(
    Mirrored, keys, texts.map(MirrorPath), counts, texts, st.sampled_from(Strength),
    st.lists(texts, max_size=3).map(tuple), texts, texts, texts, moments,
)  # fmt: skip
seconds = st.floats(0, 1e9)
events = st.one_of(
    st.builds(RepoBegan, repos),
    st.builds(FetchBegan, runs, counts),
    st.builds(DownloadBegan, keys, st.none() | counts, counts),
    st.builds(BytesArrived, keys, counts),
    st.builds(Retrying, texts, seconds, texts, st.none() | keys),
    st.builds(LinkRenewed, runs, counts),
    st.builds(Downloaded, mirrored, perhaps),
    st.builds(Failed, failures, st.none() | keys),
    st.builds(RunCompleted, runs, counts, moments),
    st.builds(Noticed, texts),
)
globs = st.lists(texts, max_size=3).map(tuple)
settings = st.builds(
    RepoSettings, name=texts, workflows=globs, include=globs, exclude=globs, run_statuses=globs,
    events=globs, since=st.none() | seconds, interval=st.none() | seconds, cron=perhaps,
    time_zone=perhaps,
)  # fmt: skip
requests = st.builds(
    PassRequest,
    st.lists(settings, min_size=1, max_size=3).map(tuple),
    st.lists(words, max_size=3).map(tuple),
    st.builds(
        PassOptions,
        insist=st.booleans(),
        eager=st.booleans(),
        expiring=st.none() | st.floats(1, 1e9),
    ),
)


@given(events)
def test_every_event_arrives_as_it_was_and_on_one_line(event: Event) -> None:
    line = event_line(event)
    assert line is not None
    assert line.index(b"\n") == len(line) - 1
    assert read_answer(line) == event


@given(requests, texts)
def test_every_request_arrives_as_it_was_and_on_one_line(wanted: PassRequest, url: str) -> None:
    line = sync_request(wanted, url)
    assert line.index(b"\n") == len(line) - 1
    request = read_request(line)
    assert (request.pass_request, request.base_url) == (wanted, url)


@given(st.builds(Report, *[counts] * 10, st.lists(failures, max_size=5)))
def test_every_report_arrives_as_it_was(report: Report) -> None:
    *before, last = map(read_answer, result_lines(report))
    told = [failure for some in before if isinstance(some, Failures) for failure in some.failures]
    assert isinstance(last, Result)
    assert last.report(told) == report


@given(st.binary(max_size=200) | events.map(event_line).map(lambda line: (line or b"")[:-5]))
def test_rubbish_is_one_clear_error(line: bytes) -> None:
    for read in (read_request, read_answer):
        assert _is_refused_or_read(read, line)


def _is_refused_or_read(read: Callable[[bytes], object], line: bytes) -> bool:
    try:
        return read(line) is not None
    except Garbled as error:
        return "no line of artifact-sync's" in str(error) or "version" in str(error)
