"""One file by several ranges over real connections, from its link to its place in the mirror."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import random
import re
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import pytest
from scripted_server import FakeClock, Recorder, answer, serving, until

from artifact_sync.domain.errors import IntegrityFailure
from artifact_sync.domain.events import BytesArrived, Retrying
from artifact_sync.domain.model import Artifact, ArtifactKey, Link, MirrorPath
from artifact_sync.mirror.local.local_mirror import LocalMirror
from artifact_sync.runtime.threads import Offload
from artifact_sync.source.links.fetcher import HttpBackends, HttpFetcher
from artifact_sync.source.transport.clients import TransportSettings, download_client
from artifact_sync.source.transport.tls import trusted
from artifact_sync.transfer.context import TransferContext, WantedArtifact
from artifact_sync.transfer.disk_space import DiskSpace
from artifact_sync.transfer.download import fetch
from artifact_sync.transfer.parallel import RangePolicy, RangeTerms
from artifact_sync.transfer.slots import SlotLease, Slots

KIB = 1 << 10
SIZE = 2048 * KIB
CONTENT = random.Random(16).randbytes(SIZE)  # noqa: S311 - nothing secret
OTHER = bytes(SIZE)
PATH = MirrorPath("a.bin")
PART = 128 * KIB
TERMS = RangeTerms(
    came=512 * KIB, seconds=0.0, fast=1e12, left=256 * KIB, left_seconds=0.0, size=PART, gain=0.0
)
DIGEST = f"sha-256=:{base64.b64encode(hashlib.sha256(CONTENT).digest()).decode()}:"
HEADERS = ('ETag: "e"', "Accept-Ranges: bytes", f"Repr-Digest: {DIGEST}")


class Clock(FakeClock):
    def monotonic(self) -> float:
        return time.monotonic()


class Links:
    def __init__(self, origin: str) -> None:
        self._link = Link(f"{origin}/a.bin?sig=1", 1e12)

    async def get(self, _key):
        return self._link

    async def renew(self, _key, _refused):
        return self._link


def asked(request) -> tuple[int, int | None] | None:
    """First and last byte of the range that was asked for; None as the last: the rest."""
    found = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("range", ""))
    return (int(found[1]), int(found[2]) if found[2] else None) if found else None


async def drip(writer, data: bytes) -> None:
    """Send it a little at a time."""
    for at in range(0, len(data), 32 * KIB):
        writer.write(data[at : at + 32 * KIB])
        await writer.drain()
        await asyncio.sleep(0.002)


def partial(first: int, last: int, *headers: str) -> bytes:
    named = headers or HEADERS
    told = f"Content-Range: bytes {first}-{last}/{SIZE}"
    return answer(b"", "206 Partial Content", told, *named, length=last - first + 1)


async def honest(request, writer, content: bytes = CONTENT) -> None:
    first, last = asked(request) or (0, None)
    last = SIZE - 1 if last is None else last
    all_of_it = answer(b"", "200 OK", *HEADERS, length=SIZE)
    writer.write(all_of_it if asked(request) is None else partial(first, last))
    await drip(writer, content[first : last + 1])


async def whole(writer, content: bytes, *headers: str) -> None:
    """A whole file, to somebody who may have had enough of it before its end."""
    writer.write(answer(b"", "200 OK", *headers, length=SIZE))
    with suppress(OSError):
        await drip(writer, content)


def is_part(request) -> bool:
    """Whether no more than a part was asked for."""
    return (asked(request) or (0, None))[1] is not None


class Bench:
    """A mirror, and a server of one file."""

    def __init__(self, server, mirror, context) -> None:
        self.server = server
        self.mirror = mirror
        self.context = context
        self.slots = context.slots

    async def fetch(self, name: str = "a.bin"):
        key = ArtifactKey("org", "repo", "7", "w", "t", "c", name)
        hold = SlotLease(self.slots)
        await hold.take()
        try:
            return await fetch(
                self.context, WantedArtifact(Artifact(key, "success"), MirrorPath(name)), hold
            )
        finally:
            hold.give()

    @property
    def content(self) -> bytes | None:
        return self.mirror.read(PATH)

    @property
    def parts(self) -> list[tuple[int, int]]:
        return [asked(request) for request in self.server.requests if is_part(request)]

    @property
    def others(self) -> list[tuple[int, int | None] | None]:
        return [asked(request) for request in self.server.requests if not is_part(request)]

    @property
    def retries(self) -> list[str]:
        events = self.context.observer.events
        return [event.why for event in events if isinstance(event, Retrying)]

    @property
    def arrived(self) -> int:
        events = self.context.observer.events
        return sum(event.count for event in events if isinstance(event, BytesArrived))

    def check_all_is_given_back(self) -> None:
        assert [self.slots.try_acquire() for _ in range(5)] == [True] * 4 + [False]
        assert self.context.ranges.take()


@asynccontextmanager
async def bench(folder, script, ranges: RangePolicy | None = None):
    settings = TransportSettings("https://api.test", timeout=5.0, jobs=4)
    trust, recorder = trusted(None), Recorder()
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(serving(script))
        client = await stack.enter_async_context(download_client(settings, trust.context()))
        carriers = HttpBackends(client, settings, trust, recorder)
        stack.push_async_callback(carriers.aclose)
        offload = Offload(stack.enter_context(ThreadPoolExecutor(4)))
        mirror = LocalMirror(folder, durability="fast")
        context = TransferContext(
            Links(server.origin),
            HttpFetcher(carriers),
            None,  # no log comes
            mirror,
            mirror.staging,
            Clock(),
            recorder,
            offload,
            DiskSpace(mirror.free),
            None,  # no small file comes
            Slots(4),
            4,
            ranges=ranges or RangePolicy(4, TERMS),
        )
        async with asyncio.timeout(30):
            yield Bench(server, mirror, context)


def test_a_file_comes_whole_by_several_connections(tmp_path):
    async def main():
        async with bench(tmp_path, honest) as it:
            fetched = await it.fetch()
            assert it.content == CONTENT
            assert (fetched.mirrored.size, fetched.mirrored.strength) == (SIZE, "digest")
            assert (it.others, it.retries, it.arrived) == ([None], [], SIZE)
            firsts = sorted(first for first, _ in it.parts)
            assert len(firsts) >= 8
            assert firsts == list(range(firsts[0], SIZE, PART))
            assert {r.headers["if-range"] for r in it.server.requests if is_part(r)} == {'"e"'}
            it.check_all_is_given_back()

    asyncio.run(main())


def test_after_a_cut_in_a_part_the_rest_comes_by_one_connection_from_that_byte(tmp_path):
    bad: list[int] = []

    async def script(request, writer):
        found = asked(request)
        if not is_part(request) or found[0] < SIZE // 2 or (bad and bad[0] != found[0]):
            return await honest(request, writer)
        bad.append(found[0])
        writer.write(partial(*found))
        await drip(writer, CONTENT[found[0] : found[0] + 1000])
        writer.close()
        return None

    async def main():
        async with bench(tmp_path, script) as it:
            await it.fetch()
            assert it.content == CONTENT
            assert it.others == [None, (bad[0] + 1000, None)]
            assert len(it.retries) == 1
            assert it.arrived == SIZE
            it.check_all_is_given_back()

    asyncio.run(main())


def test_a_server_that_sends_the_whole_for_a_part_is_never_asked_for_one_again(tmp_path):
    async def script(request, writer):
        if asked(request) is None:
            return await honest(request, writer)
        return await whole(writer, CONTENT, *HEADERS)

    async def main():
        async with bench(tmp_path, script) as it:
            await it.fetch()
            assert it.content == CONTENT
            assert 1 <= len(it.parts) <= 3
            first, second = it.others
            assert first is None
            # what had come in order was staged, and asked to be gone on with
            assert second[0] >= TERMS.came + PART
            assert second[1] is None
            before = len(it.parts)
            await it.fetch("b.bin")
            assert len(it.parts) == before
            assert it.mirror.read(MirrorPath("b.bin")) == CONTENT
            it.check_all_is_given_back()

    asyncio.run(main())


def test_a_file_that_is_replaced_between_two_parts_comes_anew_and_is_never_a_mixture(tmp_path):
    new = ('ETag: "new"', "Accept-Ranges: bytes")

    async def script(request, writer):
        found = asked(request)
        if found is None or found[0] < SIZE // 2:
            return await honest(request, writer)
        return await whole(writer, OTHER, *new)  # If-Range does not fit any more

    async def main():
        async with bench(tmp_path, script) as it:
            fetched = await it.fetch()
            assert it.content == OTHER
            assert fetched.mirrored.etag == '"new"'
            assert len(it.retries) == 1
            it.check_all_is_given_back()

    asyncio.run(main())


def test_other_bytes_under_the_right_headers_are_found_by_the_checksum(tmp_path):
    async def script(request, writer):
        await honest(request, writer, OTHER if is_part(request) else CONTENT)

    async def main():
        async with bench(tmp_path, script) as it:
            await it.fetch()
            # thrown away as a whole, and fetched by one connection
            assert it.others == [None, None]
            assert len(it.retries) == 1
            assert "SHA-256" in it.retries[0]
            assert it.content == CONTENT

    asyncio.run(main())


def test_other_bytes_in_parts_and_alone_are_an_integrity_failure_and_no_file(tmp_path):
    async def script(request, writer):
        await honest(request, writer, OTHER)

    async def main():
        async with bench(tmp_path, script) as it:
            with pytest.raises(IntegrityFailure):
                await it.fetch()
            assert len(it.parts) > 4
            assert it.content is None
            assert list(it.mirror.staging.iterdir()) == []
            it.check_all_is_given_back()

    asyncio.run(main())


def test_cancelled_among_its_parts_it_goes_on_at_its_byte(tmp_path):
    async def main():
        async with bench(tmp_path, honest) as it:
            fetching = asyncio.ensure_future(it.fetch())
            await until(lambda: it.arrived > SIZE // 2)
            fetching.cancel()
            with pytest.raises(asyncio.CancelledError):
                await fetching
            assert len(it.parts) >= 4
            came = it.arrived
            await it.fetch()
            assert it.content == CONTENT
            assert it.others == [None, (came, None)]
            it.check_all_is_given_back()

    asyncio.run(main())
