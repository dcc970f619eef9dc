"""Passes over a service whose answers are garbled: they end in words, with no wrong file."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from behaviours import Behaviour, Visit, etag_of, honest
from garbling import WRONG_TYPES, Garbling, garblings
from hostile_service import TOKEN, File, Service
from hypothesis import given
from hypothesis import strategies as st

from artifact_sync import mirror_artifacts
from artifact_sync.domain.errors import ArtifactSyncError, Reason
from artifact_sync.domain.report import Report

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

REPO = "org/repo"
BIG = bytes(range(256)) * 1200
"""Goes through staging."""
FILES = {
    "app.bin": BIG,
    "app.bin.sha256": f"{hashlib.sha256(BIG).hexdigest()}  app.bin\n".encode(),
    "report/junit.xml": b"<testsuite/>\n",
}
QUICK = {
    "ARTIFACT_SYNC_SOURCE__RATE_LIMIT": "10000",
    "ARTIFACT_SYNC_DOWNLOAD__TIMEOUT": "300ms",
    "ARTIFACT_SYNC_DOWNLOAD__ATTEMPTS": "1",
    "ARTIFACT_SYNC_MIRROR__DURABILITY": "fast",
}
ANSWERS = 8
"""About so many answers of each kind a pass has."""
VOUCHED = {"checksum", "digest"}


@contextmanager
def served(files: Behaviour = honest) -> Iterator[tuple[Service, Path]]:
    """A service of two runs, and an empty folder."""
    with (
        tempfile.TemporaryDirectory() as folder,
        pytest.MonkeyPatch.context() as patch,
        Service() as service,
    ):
        for name, value in QUICK.items():
            patch.setenv(name, value)
        for slug in "12":
            service.run({path: File(content, files) for path, content in FILES.items()}, slug)
        yield service, Path(folder, "mirror")


def mirrored(service: Service, root: Path) -> Report | ArtifactSyncError:
    """A pass to its end, in time. No other exception comes out of it, and none is a bug."""

    async def whole() -> Report:
        async with asyncio.timeout(60):
            return await mirror_artifacts(REPO, root=root, token=TOKEN, base_url=service.api.origin)

    try:
        report = asyncio.run(whole())
    except ArtifactSyncError as error:
        return error
    assert Reason.INTERNAL not in {it.reason for it in report.failures}, report.failures
    return report


def garbled(them: Mapping[int, Garbling], behaviour: Behaviour = honest) -> Behaviour:
    """The answers of these numbers are garbled as bytes, heads included."""
    numbers = itertools.count()

    def behave(visit: Visit) -> None:
        garbling = them.get(next(numbers))
        if garbling is None:
            behaviour(visit)
            return
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(visit.content)}\r\n"
        fields = "".join(f"{name}: {value}\r\n" for name, value in visit.headers.items())
        answer = f"{head}{fields}ETag: {etag_of(visit.content)}\r\n\r\n".encode() + visit.content
        visit.wire.raw(garbling.bytes(answer))
        visit.wire.end()

    return behave


def altered(service: Service, them: Mapping[int, Garbling]) -> None:
    """The payloads of these numbers are garbled as JSON."""
    numbers = itertools.count()

    def alter(payload: Any, *_: object) -> Any:
        garbling = them.get(next(numbers))
        return payload if garbling is None else garbling.json(json.loads(json.dumps(payload)))

    service.alter_page = alter
    for run in service.repos[REPO]:
        run.alter = alter


def check_files(root: Path) -> None:
    """Every file that something vouches for is one that the service has."""
    for about in root.glob("*/*/*/run.json"):
        for it in json.loads(about.read_bytes())["artifacts"]:
            content = (about.parent / it["path"]).read_bytes()
            assert hashlib.sha256(content).hexdigest() == it["sha256"], it
            assert it["strength"] not in VOUCHED or content in FILES.values(), it


@given(garblings(ANSWERS))
def payloads(them: dict[int, Garbling]) -> None:
    with served() as (service, root):
        altered(service, them)
        mirrored(service, root)
        check_files(root)


@given(garblings(ANSWERS))
def api_answers(them: dict[int, Garbling]) -> None:
    with served() as (service, root):
        service.api_behaviour["*"] = garbled(them)
        mirrored(service, root)
        check_files(root)


@given(garblings(ANSWERS))
def downloads(them: dict[int, Garbling]) -> None:
    with served(garbled(them)) as (service, root):
        mirrored(service, root)
        check_files(root)


@given(st.integers(0, 3), st.integers(0, 2**32), st.sampled_from(sorted(WRONG_TYPES)))
def wrong_types(number: int, seed: int, kind: str) -> None:
    """A list or an object of the wrong type settles nothing: the next pass brings it all."""
    with served() as (service, root):
        altered(service, {number: Garbling(number, seed, kind)})
        mirrored(service, root)
        altered(service, {})
        report = mirrored(service, root)
        assert isinstance(report, Report), report
        assert not report.failures, report.failures
        for path, content in FILES.items():
            for slug in "12":
                assert (root / REPO / slug / "build/linux/compile" / path).read_bytes() == content
