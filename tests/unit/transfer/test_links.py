"""Fresh links: one request for everybody, renewed before they lapse and when they are refused."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from artifact_sync.domain.errors import LinkUnusable, Unreachable
from artifact_sync.domain.model import ArtifactKey, Link, RunKey
from artifact_sync.transfer.links import Links

if TYPE_CHECKING:
    from collections.abc import Collection, Coroutine, Mapping

KEYS = [ArtifactKey("org", "repo", "7", "w", "t", cube, "a.bin") for cube in ("c", "d")]
A, B = KEYS
RUN = A.run_key


class FakeClock:
    def __init__(self) -> None:
        self.time = 100.0

    def now(self) -> datetime:
        return datetime(2026, 11, 23, tzinfo=UTC)

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += seconds


class Server:
    """A source whose links are numbered by request and live ten seconds."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.requests = 0
        self.lacking: set[ArtifactKey] = set()

    async def links(
        self, key: RunKey, wanted: Collection[ArtifactKey]
    ) -> Mapping[ArtifactKey, Link]:
        assert key == RUN
        assert wanted
        self.requests += 1
        number = self.requests
        await asyncio.sleep(0)
        lapses = self._clock.time + 10
        return {it: Link(f"https://s/{number}", lapses) for it in KEYS if it not in self.lacking}


class Deaf:
    def notify(self, event: object) -> None:
        pass


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def server(clock: FakeClock) -> Server:
    return Server(clock)


@pytest.fixture
def links(server: Server, clock: FakeClock) -> Links:
    links = Links(server, clock, Deaf())  # type: ignore[arg-type]
    links.open(RUN, {}, KEYS)
    return links


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


def test_one_request_serves_everybody_who_waits(links: Links, server: Server) -> None:
    async def everybody() -> list[Link]:
        return await asyncio.gather(*(links.get(key) for key in KEYS * 10))

    assert {link.url for link in run(everybody())} == {"https://s/1"}
    assert server.requests == 1


def test_links_that_came_with_the_run_cost_no_request(server: Server, clock: FakeClock) -> None:
    links = Links(server, clock, Deaf())  # type: ignore[arg-type]
    links.open(RUN, {A: Link("https://s/first", 110.0)}, KEYS)
    assert run(links.get(A)).url == "https://s/first"
    assert server.requests == 0


def test_a_link_is_renewed_before_it_lapses(links: Links, server: Server, clock: FakeClock) -> None:
    run(links.get(A))
    clock.time += 7.4
    assert run(links.get(A)).url == "https://s/1"
    clock.time += 0.2  # within a quarter of its life
    assert run(links.get(A)).url == "https://s/2"
    assert server.requests == 2


def test_a_link_that_lives_long_keeps_a_margin_of_five_seconds(
    server: Server, clock: FakeClock
) -> None:
    links = Links(server, clock, Deaf())  # type: ignore[arg-type]
    links.open(RUN, {A: Link("https://s/long", 1100.0)}, KEYS)
    clock.time = 1094.9
    assert run(links.get(A)).url == "https://s/long"
    clock.time = 1095.1
    assert run(links.get(A)).url == "https://s/1"


def test_a_refused_link_is_replaced_and_everybody_refused_shares_the_request(
    links: Links, server: Server
) -> None:
    async def everybody() -> list[Link]:
        refused = await asyncio.gather(*map(links.get, KEYS))
        renewals = zip(KEYS, refused, strict=True)
        return await asyncio.gather(*(links.renew(key, link) for key, link in renewals))

    assert [link.url for link in run(everybody())] == ["https://s/2", "https://s/2"]
    assert server.requests == 2


def test_no_link_to_be_had_is_said_so(links: Links, server: Server) -> None:
    server.lacking.add(A)
    with pytest.raises(LinkUnusable, match="gives no link"):
        run(links.get(A))
    assert run(links.get(B)).url == "https://s/1"


def test_a_failed_request_leaves_the_way_free_for_the_next(links: Links, server: Server) -> None:
    async def story() -> str:
        answer, server.links = server.links, refusing  # type: ignore[method-assign]
        with pytest.raises(OSError, match="down"):
            await links.get(A)
        server.links = answer  # type: ignore[method-assign]
        return (await links.get(A)).url

    async def refusing(*_: object) -> Mapping[ArtifactKey, Link]:
        raise OSError("down")

    assert run(story()) == "https://s/1"


def test_no_repr_shows_a_link() -> None:
    link = Link("https://store.example:9000/secret?X-Amz-Signature=secret", 1.0)
    assert "secret" not in repr(link)
    assert link.host == "store.example:9000"


def test_a_failure_of_the_service_is_everybodys_answer_for_a_while(
    links: Links, server: Server, clock: FakeClock
) -> None:
    async def story() -> str:
        answer, server.links = server.links, refusing  # type: ignore[method-assign]
        failures = await asyncio.gather(*map(links.get, KEYS), return_exceptions=True)
        assert [type(failure) for failure in failures] == [Unreachable, Unreachable]
        server.links = answer  # type: ignore[method-assign]
        clock.time += 31
        return (await links.get(A)).url

    async def refusing(*_: object) -> Mapping[ArtifactKey, Link]:
        refused.append(1)
        raise Unreachable("down")

    refused: list[int] = []
    assert run(story()) == "https://s/1"
    assert refused == [1]


def test_plain_links_of_a_secure_service_are_noticed_once(server: Server, clock: FakeClock) -> None:
    noticed: list[object] = []

    class Watching:
        def notify(self, event: object) -> None:
            noticed.append(event)

    links = Links(server, clock, Watching(), warn=True)  # type: ignore[arg-type]
    for _ in range(2):
        links.open(RUN, {A: Link("http://s/1", 110.0)}, KEYS)
    assert len(noticed) == 1
    assert "plain http" in str(noticed[0])
