"""One file by several ranges: when, in which order, and what becomes of everything that goes wrong.

The server is a made-up one; who reads, and the slots, are the real thing.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from artifact_sync.domain.errors import (
    Cut,
    DownloadError,
    LinkGone,
    LinkLapsed,
    Throttled,
    Unreachable,
)
from artifact_sync.domain.model import ArtifactKey, Link, Validator
from artifact_sync.domain.ports import Opened
from artifact_sync.transfer.evidence import Identity
from artifact_sync.transfer.parallel import (
    FileAccess,
    ParallelBody,
    RangePolicy,
    RangeTerms,
    worth_it,
)
from artifact_sync.transfer.response import AcceptedBody
from artifact_sync.transfer.slots import SlotLease, Slots

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

MIB = 1 << 20
KEY = ArtifactKey("org", "repo", "7", "w", "t", "c", "a.bin")
HOST = "files.test"
PART = 40
CONTENT = bytes(range(250)) * 4
CHUNK = 10
IDENTITY = Identity(Validator('"e"'), len(CONTENT), host=HOST)
BODY = AcceptedBody(IDENTITY, 0, len(CONTENT))
TERMS = RangeTerms(came=100, seconds=2.0, fast=21.0, left=200, left_seconds=5.0, size=PART)
SINGLE = 0.5
"""Seconds that a chunk of the first answer takes: 20 bytes a second, which is slow."""


class Clock:
    """Time passes with what comes."""

    def __init__(self) -> None:
        self.passed = 0.0

    def now(self) -> datetime:
        return datetime(2026, 11, 26, tzinfo=UTC)

    def monotonic(self) -> float:
        return self.passed

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError


class Links:
    """Links that can be counted; ``trouble``: the service does not answer."""

    def __init__(self) -> None:
        self.made = 0
        self.trouble = False

    def link(self) -> Link:
        return Link(f"https://{HOST}/{self.made}", 1e9)

    async def get(self, key: ArtifactKey) -> Link:
        assert key == KEY
        if self.trouble:
            raise Unreachable("the service is down")
        return self.link()

    async def renew(self, key: ArtifactKey, refused: Link) -> Link:
        assert (key, refused) == (KEY, self.link())
        self.made += 1
        return await self.get(key)


def part_of(first: int, last: int, content: bytes = CONTENT, **headers: str) -> Reply:
    told = {"content-range": f"bytes {first}-{last}/{len(content)}", "etag": '"e"'}
    return Reply(206, told | headers, content[first : last + 1])


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes = b""
    then: Exception | None = None
    """Raised in place of the end."""


@dataclass
class Host:
    """A server that answers ranges, how long each part takes, and what was done to it."""

    clock: Clock
    reply: Callable[[Link, int, int], Reply] = lambda _, first, last: part_of(first, last)
    steps: Callable[[int], int] = lambda _: 1
    """Turns of the event loop before each chunk of the part that begins at this byte."""
    takes: float = 0.0
    """Seconds before each chunk of a part."""
    asked: list[tuple[int, int]] = field(default_factory=list)
    hosts: list[str] = field(default_factory=list)
    open_: int = 0
    most: int = 0
    sent: int = 0
    """Bytes of parts that were handed over."""

    @asynccontextmanager
    async def open(
        self, link: Link, offset: int = 0, validator: Any = None, last: int | None = None
    ) -> AsyncIterator[Opened]:
        assert validator == IDENTITY.validator
        assert last is not None
        self.asked.append((offset, last))
        self.hosts.append(link.url)
        self.open_ += 1
        self.most = max(self.most, self.open_)
        try:
            reply = self.reply(link, offset, last)
            yield Opened(reply.status, reply.headers, "chunked", self._chunks(offset, reply))
        finally:
            self.open_ -= 1

    async def _chunks(self, offset: int, reply: Reply) -> AsyncIterator[bytes]:
        for at in range(0, len(reply.body), CHUNK):
            for _ in range(self.steps(offset)):
                await asyncio.sleep(0)
            self.clock.passed += self.takes
            self.sent += len(reply.body[at : at + CHUNK])
            yield reply.body[at : at + CHUNK]
        if reply.then is not None:
            raise reply.then


class Story:
    """One file on its way."""

    def __init__(self, most: int = 4, slots: int = 8) -> None:
        self.clock = Clock()
        self.host = Host(self.clock)
        self.links = Links()
        self.slots = Slots(slots)
        self.ranges = RangePolicy(most, TERMS)
        self.came = b""
        self.burst = 0
        """Bytes at the beginning that take no time."""
        self.first_is_open = True
        self.wide: ParallelBody | None = None

    async def _first(self) -> AsyncIterator[bytes]:
        for at in range(0, len(CONTENT), CHUNK):
            self.clock.passed += SINGLE if at >= self.burst else 0.0
            yield CONTENT[at : at + CHUNK]

    async def _close(self) -> None:
        self.first_is_open = False

    async def run(self, stop_at: int | None = None, pause: int = 0) -> None:
        """Read it; ``pause``: turns of the event loop that whoever reads takes for each chunk."""
        links: Any = self.links
        hold = SlotLease(self.slots)
        await hold.take()
        way = FileAccess(self.host, links, self.clock, KEY, self.links.link(), hold)
        self.wide = ParallelBody(self.ranges, way, BODY)
        try:
            async with aclosing(self.wide.chunks(self._first(), self._close)) as chunks:
                async for chunk in chunks:
                    self.came += chunk
                    if stop_at is not None and len(self.came) >= stop_at:
                        break
                    for _ in range(pause):
                        await asyncio.sleep(0)
        finally:
            hold.give()

    def error(self) -> DownloadError:
        with pytest.raises(DownloadError) as raised:
            asyncio.run(self.run())
        return raised.value

    def check_all_is_given_back(self) -> None:
        assert self.host.open_ == 0
        assert self.slots._taken == 0
        assert self.ranges.take()


@pytest.mark.parametrize(
    ("rate", "left", "worth"),
    [
        (2 * MIB, 32 * MIB, True),
        (2 * MIB, 32 * MIB - 1, False),  # nearly there
        (8 * MIB, 1000 * MIB, False),  # fast enough
        (7 * MIB, 70 * MIB - 1, False),  # there in less than ten seconds
        (7 * MIB, 70 * MIB, True),
        (1000, 32 * MIB, True),
    ],
)
def test_only_what_is_slow_and_has_much_left_is_worth_more_connections(
    rate: float, left: int, *, worth: bool
) -> None:
    assert worth_it(RangeTerms(), rate, left) is worth


def opened(status: int = 200, **headers: str) -> Opened:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    nothing: Any = None
    return Opened(status, named, "length", nothing)


TAKES_RANGES = opened(accept_ranges="bytes")


@pytest.mark.parametrize(
    ("answer", "body", "suits"),
    [
        (TAKES_RANGES, BODY, True),
        (opened(206), AcceptedBody(IDENTITY, 500, 500), True),
        (opened(), BODY, False),  # nobody said that it takes ranges
        (opened(accept_ranges="none"), BODY, False),
        (TAKES_RANGES, AcceptedBody(Identity(Validator(), 1000), 0, 1000), False),
        (TAKES_RANGES, AcceptedBody(Identity(Validator('"e"')), 0, None), False),
        (opened(206), AcceptedBody(IDENTITY, 500, 499), False),  # a rest that is not all of it
        (TAKES_RANGES, AcceptedBody(Identity(Validator('"e"'), 199), 0, 199), False),  # small
    ],
)
def test_only_a_file_that_can_be_resumed_is_divided(
    answer: Opened, body: AcceptedBody, *, suits: bool
) -> None:
    assert RangePolicy(4, TERMS).suits(answer, body, HOST) is suits


def test_one_range_is_no_ranges_and_a_distrusted_host_has_none() -> None:
    assert not RangePolicy(1, TERMS).suits(TAKES_RANGES, BODY, HOST)
    ranges = RangePolicy(4, TERMS)
    ranges.distrust(HOST)
    assert not ranges.suits(TAKES_RANGES, BODY, HOST)
    assert ranges.suits(TAKES_RANGES, BODY, "other.test")


def test_the_bytes_come_in_order_whichever_part_comes_first() -> None:
    story = Story()
    story.host.steps = lambda first: 1 + 7 * (first // PART % 3)
    asyncio.run(story.run())
    assert story.came == CONTENT
    # a hundred bytes, 40 more by the first answer, the rest in parts
    firsts = [first for first, _ in story.host.asked]
    assert firsts == list(range(100 + PART, len(CONTENT), PART))
    assert story.host.asked[-1] == (980, 999)
    assert story.wide is not None
    assert story.wide.widened
    assert not story.first_is_open
    assert story.host.most == 4
    story.check_all_is_given_back()


def test_what_is_fast_enough_stays_with_one_connection() -> None:
    story = Story()
    story.ranges.terms = RangeTerms(came=100, seconds=2.0, fast=20.0, left=200, size=PART)
    asyncio.run(story.run())
    assert (story.came, story.host.asked) == (CONTENT, [])
    assert story.first_is_open
    story.check_all_is_given_back()


def test_a_burst_at_the_beginning_hides_the_rate_for_a_moment_only() -> None:
    story = Story()
    story.burst = 150
    asyncio.run(story.run())
    assert story.came == CONTENT
    # asked for while it was looked at for the second time: the first two seconds had 190 bytes
    assert story.host.asked[0] == (190 + 40 + PART, 190 + 40 + 2 * PART - 1)
    story.check_all_is_given_back()


def test_a_reader_that_is_slow_has_no_more_than_its_window_in_memory() -> None:
    story = Story()
    asyncio.run(story.run(stop_at=100 + PART + 3, pause=300))
    assert len(story.came) == 150
    assert story.host.sent <= 4 * PART
    story.check_all_is_given_back()


@pytest.mark.parametrize("slots", [1, 2, 3])
def test_no_more_connections_than_slots_are_free(slots: int) -> None:
    story = Story(slots=slots)
    asyncio.run(story.run())
    assert story.came == CONTENT
    assert story.host.most == (slots if slots > 1 else 0)
    story.check_all_is_given_back()


def test_who_waits_for_a_slot_has_it_before_the_next_part() -> None:
    async def main() -> tuple[bool, int]:
        story = Story(slots=4)
        reading = asyncio.ensure_future(story.run(pause=5))
        while len(story.came) < 100 + 2 * PART:  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0)
        await asyncio.wait_for(story.slots.acquire(), 5)
        got_it_midway = not reading.done()
        await reading
        return got_it_midway, story.came == CONTENT

    assert asyncio.run(main()) == (True, True)


def test_only_one_file_at_a_time_has_several() -> None:
    story = Story()
    assert story.ranges.take()
    asyncio.run(story.run())
    assert (story.came, story.host.asked) == (CONTENT, [])
    story.ranges.give()
    story.check_all_is_given_back()


def spoiled(at: int, reply: Callable[[int, int], Reply]) -> Callable[[Link, int, int], Reply]:
    """All parts are right but the one that begins at this byte."""
    return lambda _, first, last: reply(first, last) if first == at else part_of(first, last)


BAD = 100 + 3 * PART


def cut_reply(first: int, last: int) -> Reply:
    reply = part_of(first, last)
    reply.body, reply.then = reply.body[:25], Cut("the body ended before its end")
    return reply


def test_what_came_before_a_cut_in_a_part_is_not_lost() -> None:
    story = Story()
    story.host.reply = spoiled(BAD, cut_reply)
    assert isinstance(story.error(), Cut)
    assert story.came == CONTENT[: BAD + 25]
    story.check_all_is_given_back()


def replaced(first: int, last: int) -> Reply:
    return part_of(first, last, bytes(len(CONTENT)), etag='"new"')


def whole_of_another(*_: int) -> Reply:
    return Reply(200, {"etag": '"new"', "content-length": "3"}, b"new")


@pytest.mark.parametrize(
    ("reply", "why", "distrusted"),
    [
        (lambda *_: Reply(200, {"etag": '"e"'}, CONTENT), "sent the whole file", True),
        (lambda first, last: part_of(first + 1, last), f"byte {BAD + 1}, not at {BAD}", True),
        (lambda first, last: part_of(first, last - 1), "sent 39 bytes, not 40", True),
        (lambda first, last: part_of(first, last + 1), "sent 41 bytes, not 40", True),
        (lambda first, last: part_of(first, last, CONTENT + b"!"), "now 1,001 bytes long", True),
        (
            lambda *_: Reply(206, {"etag": '"e"', "content-type": "multipart/byteranges"}),
            "not which",
            True,
        ),
        (
            lambda first, last: part_of(
                first, last, **{"repr-digest": "sha-256=:" + "A" * 43 + "=:"}
            ),
            "something else of the file",
            True,
        ),
        (replaced, "may have changed", False),
        (whole_of_another, "sent the whole file", False),
        (lambda *_: Reply(416, {}), "answered 416", False),
    ],
)
def test_a_part_that_is_not_what_was_asked_for_ends_it_before_its_first_byte(
    reply: Callable[[int, int], Reply], why: str, *, distrusted: bool
) -> None:
    story = Story()
    story.host.reply = spoiled(BAD, reply)
    error = story.error()
    # a cut keeps what is staged: whether that can be gone on with is for the resume to judge
    assert type(error) is Cut
    assert why in str(error)
    assert story.came == CONTENT[:BAD]
    assert story.ranges.suits(TAKES_RANGES, BODY, HOST) is not distrusted
    story.check_all_is_given_back()


@pytest.mark.parametrize(("missing", "came"), [(1, 40), (-1, 40)])
def test_a_part_has_exactly_the_bytes_that_it_promised(missing: int, came: int) -> None:
    def reply(first: int, last: int) -> Reply:
        found = part_of(first, last)
        found.body = CONTENT[first : last + 1 - missing]
        return found

    story = Story()
    story.host.reply = spoiled(BAD, reply)
    assert type(story.error()) is Cut
    assert story.came == CONTENT[: BAD + came - (missing == 1)]
    story.check_all_is_given_back()


def test_a_link_that_is_refused_is_renewed_once() -> None:
    def reply(link: Link, first: int, last: int) -> Reply:
        lapsed = first >= BAD and link.url.endswith("/0")
        return Reply(403, {}) if lapsed else part_of(first, last)

    story = Story(most=2, slots=2)
    story.host.reply = reply
    asyncio.run(story.run())
    assert story.came == CONTENT
    assert story.links.made == 1
    story.check_all_is_given_back()


@pytest.mark.parametrize(("status", "kind"), [(403, LinkLapsed), (410, LinkGone), (503, Throttled)])
def test_a_refusal_that_lasts_comes_behind_the_bytes_before_it(
    status: int, kind: type[DownloadError]
) -> None:
    story = Story(most=2)
    story.host.reply = spoiled(BAD, lambda *_: Reply(status, {}))
    assert type(story.error()) is kind
    assert story.came == CONTENT[:BAD]
    assert story.links.made == (0 if status == 503 else 1)
    story.check_all_is_given_back()


def test_while_the_service_is_down_the_link_that_worked_last_is_used() -> None:
    story = Story()
    story.links.trouble = True
    asyncio.run(story.run())
    assert story.came == CONTENT
    assert set(story.host.hosts) == {f"https://{HOST}/0"}


@pytest.mark.parametrize("turns", range(0, 120, 7))
def test_cancelled_at_any_time_it_closes_all_connections(turns: int) -> None:
    async def main() -> None:
        story = Story()
        story.host.steps = lambda first: 2 + first % 3
        reading = asyncio.ensure_future(story.run(pause=1))
        for _ in range(turns):
            await asyncio.sleep(0)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert CONTENT.startswith(story.came)
        story.check_all_is_given_back()

    asyncio.run(main())


def test_where_all_together_are_no_faster_the_rest_comes_by_one() -> None:
    story = Story()
    story.host.takes = SINGLE  # four connections share what the one had
    asyncio.run(story.run())
    assert story.came == CONTENT
    first, last = story.host.asked[-1]
    assert last == len(CONTENT) - 1
    assert last - first > 8 * PART
    story.check_all_is_given_back()


@pytest.mark.parametrize("stop_at", [100, 110, 150, 300, 600, 900])
@pytest.mark.parametrize("takes", [0.0, SINGLE])
def test_a_reader_that_goes_away_leaves_no_connection_open_behind_it(
    stop_at: int, takes: float
) -> None:
    async def main() -> None:
        story = Story()
        story.host.takes = takes
        await story.run(stop_at=stop_at)
        assert story.came == CONTENT[:stop_at]
        story.check_all_is_given_back()

    asyncio.run(main())
