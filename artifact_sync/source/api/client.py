"""Sends a GET to the API: rate limit, retries, redirects, deadline."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from hashlib import sha256
from typing import TYPE_CHECKING, Generic, TypeVar
from urllib.parse import quote

import httpx
from msgspec import Struct, field
from msgspec.structs import replace

from artifact_sync.domain.errors import (
    BadAnswer,
    GarbledAnswer,
    NotFound,
    ServiceError,
    Unreachable,
    Verdict,
)
from artifact_sync.domain.events import Retrying
from artifact_sync.domain.model import Redacted
from artifact_sync.runtime.backoff import RetryPolicy, delay, http_date, parse_retry_after
from artifact_sync.runtime.clock import ClockComparison
from artifact_sync.source.api.decode import parse, sendable
from artifact_sync.source.api.rate_limit import LocalTurns, RetryAfterHolds
from artifact_sync.source.api.refusals import HOLD_ALL, refusal_error
from artifact_sync.source.api.response_body import (
    BrokenCoding,
    ResponseBody,
    UnknownCoding,
    Unreadable,
)
from artifact_sync.source.transport.clients import MOST_REDIRECTS, Redirected, url_origin
from artifact_sync.source.transport.errors import TRUST_HINT, ProxyFailed, untrusted, why
from artifact_sync.source.transport.sanitize import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime
    from random import Random

    from artifact_sync.domain.events import Event, Observer
    from artifact_sync.domain.ports import Clock, RequestTurns
    from artifact_sync.source.api.response_body import Payload

Meaning = TypeVar("Meaning")

_SUBJECT = 3
"""Segments that name the subject: ``repos/org/repo``, ``orgs/org/repos``."""
_ERROR_BODY_LIMIT = 64 * 1024
_OFF_LOOP = 256 * 1024
"""Bytes from which a body is parsed in a thread; below, a thread would cost as much."""
_SHORTEST_DEADLINE = 120.0
_TIMEOUTS_TO_DEADLINE = 10
_HASTY_ATTEMPTS = 2
_HASTY_PATIENCE = 10.0


class ApiContext(Redacted, frozen=True):
    """Surroundings and limits of a client of the API."""

    SHOWN = ("rate", "retry", "body_limit", "deadline")

    clock: Clock
    rng: Random
    observer: Observer | None = None
    rate: float = 25.0
    """Requests a second, evenly spaced, over all callers; 0: no limit."""
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    body_limit: int = 256 * 1024 * 1024
    """Bytes of an answer after which it is given up on."""
    deadline: float | None = None
    """Seconds from the sending of a request to the last byte of its answer, however steadily that
    drips. None: ten times the client's timeout for a byte, and two minutes at least."""
    comparison: ClockComparison = field(default_factory=ClockComparison)
    """Is told the ``Date`` of each answer."""
    turns: RequestTurns | None = None
    """Over all processes on the mirror; None: this one alone, by ``rate``."""
    token: str = ""
    """The client's token: tells a missing from a refused one, and is kept out of messages."""

    @property
    def hasty(self) -> RetryPolicy:
        """The policy for requests that others wait for."""
        attempts = min(self.retry.attempts, _HASTY_ATTEMPTS)
        patience = min(self.retry.patience, _HASTY_PATIENCE)
        return replace(self.retry, attempts=attempts, patience=patience)

    def notify(self, event: Event) -> None:
        """Tell the observer, if there is one."""
        if self.observer is not None:
            self.observer.notify(event)


class Question(Struct, Generic[Meaning], frozen=True):
    """A GET request, and how to read its answer."""

    what: str
    """Its name in messages: ``run 7 of org/repo``. Safe to show."""
    segments: tuple[str, ...]
    """The path below ``base_url``, unencoded."""
    read: Callable[[Payload], Meaning]
    """Called in a thread when the answer is long. May raise ``Unreadable``."""
    retry: RetryPolicy
    parameters: Mapping[str, str] = field(default_factory=dict)
    limit: int | None = None
    """Bytes that the answer may have; None: as many as any."""
    known: str = ""
    """Digest of a known body: for the same one ``Unmodified`` is raised."""

    @property
    def subject(self) -> tuple[str, ...]:
        """The repository or organisation that is asked about."""
        return self.segments[:_SUBJECT]

    @property
    def path(self) -> str:
        """The path, its segments percent-encoded."""
        if not all(map(sendable, self.segments)):
            raise NotFound(f"{self.what}: a name that is empty or only dots can't be asked for")
        parts = (quote(part, safe="", errors="surrogatepass") for part in self.segments)
        return "/".join(["", *parts])


class Answer(Struct, Generic[Meaning], frozen=True):
    """A 2xx answer and when it began to arrive."""

    meaning: Meaning
    monotonic: float
    server_date: datetime | None
    """The service's clock at that moment, if known."""
    digest: str
    """SHA-256 of the body as it came, in hex."""


class Unmodified(Exception):
    """The body has the known digest, so it was not parsed."""


class _HopelesslyUnreachable(Unreachable):
    """No retry can help: a certificate is not trusted, or a proxy refuses us."""

    verdict = Verdict.PERMANENT


class _Arrival(Struct, frozen=True):
    body: bytearray
    monotonic: float
    server_date: datetime | None


class ApiClient:
    """Client of the API, for many tasks of one event loop.

    ``client`` is from ``transport.api_client``, and is not closed here.
    """

    def __init__(self, client: httpx.AsyncClient, context: ApiContext) -> None:
        self._client = client
        self._context = context
        self._turns = context.turns or LocalTurns(context.rate)
        self._holds = RetryAfterHolds()
        self._deadline = _deadline(context, client.timeout)

    async def get(self, question: Question[Meaning]) -> Answer[Meaning]:
        """Get an answer, with retries. Raises a ``ServiceError``."""
        failures = 0
        while True:
            try:
                return await self._try(question)
            except (Unreachable, GarbledAnswer) as error:
                failures += 1
                await self._pause(error, failures, question)

    async def _pause(
        self, error: Unreachable | GarbledAnswer, failures: int, question: Question[Meaning]
    ) -> None:
        """Wait for the next try, or raise the error when there is none."""
        if error.status in HOLD_ALL and error.retry_after is not None:
            now = self._context.clock.monotonic()
            self._holds.add(question.subject, error.retry_after, now)
            self._turns.hold("/".join(question.subject), self._holds.until(question.subject) - now)
            self._turns.hold("", self._holds.for_all - now)
        wait = delay(question.retry, failures, error.retry_after, self._context.rng)
        if wait is None or error.verdict is not Verdict.TRANSIENT:
            raise error
        self._context.notify(Retrying(question.what, wait, str(error)))
        await self._context.clock.sleep(wait)

    async def _wait_for_turn(self, question: Question[Meaning]) -> None:
        """Wait for the end of a ``Retry-After``, then for the rate limit."""
        await self._wait_for_holds(question)
        await self._turns.take()
        while await self._wait_for_holds(question):  # asked for while it waited for its turn
            await self._turns.take()

    async def _wait_for_holds(self, question: Question[Meaning]) -> bool:
        """Wait as long as the service has asked us or others to; whether it had."""
        waited = False
        while (rest := self._rest(question)) > 0:
            if rest > question.retry.patience:
                raise Unreachable(
                    f"{question.what}: the service asked not to be asked for another {rest:.0f} s",
                    retry_after=rest,
                )
            await self._context.clock.sleep(rest)
            waited = True
        return waited

    def _rest(self, question: Question[Meaning]) -> float:
        """Seconds for which the service does not want to be asked this."""
        own = self._holds.until(question.subject) - self._context.clock.monotonic()
        return max(own, self._turns.held("/".join(question.subject)))

    async def _try(self, question: Question[Meaning]) -> Answer[Meaning]:
        try:
            arrival = await self._follow(self._request(question), question)
        except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as error:
            raise self._unreachable(question.what, error) from error
        if len(arrival.body) < _OFF_LOOP:
            return _read(question, arrival)
        return await asyncio.to_thread(_read, question, arrival)

    def _request(self, question: Question[Meaning]) -> httpx.Request:
        parameters = dict(question.parameters) or None
        try:
            return self._client.build_request("GET", question.path, params=parameters)
        except httpx.InvalidURL:  # its text quotes the URL
            raise BadAnswer(
                f"{question.what}: a name or page token is too long to be asked for"
            ) from None

    async def _follow(self, request: httpx.Request, question: Question[Meaning]) -> _Arrival:
        """Send, and follow redirects within the origin, for which the token is meant."""
        for _ in range(MOST_REDIRECTS + 1):
            await self._wait_for_turn(question)
            try:
                return await self._exchange(request, question)
            except Redirected as redirect:
                url = _next(request.url, redirect, question.what)
                request = self._client.build_request("GET", url)
        raise BadAnswer(f"{question.what}: more than {MOST_REDIRECTS} redirects")

    async def _exchange(self, request: httpx.Request, question: Question[Meaning]) -> _Arrival:
        """Send, and read the whole answer within the deadline."""
        what = question.what
        try:
            async with asyncio.timeout(self._deadline) as limit:
                return await self._answer(request, question)
        except TimeoutError:
            if not limit.expired():  # the system's own, ETIMEDOUT
                raise
        raise Unreachable(f"{what}: the answer was not complete after {self._deadline:g} s")

    async def _answer(self, request: httpx.Request, question: Question[Meaning]) -> _Arrival:
        response = await self._client.send(request, stream=True)
        try:
            received, monotonic = self._context.clock.now(), self._context.clock.monotonic()
            if not response.is_success:
                raise await self._refusal(response, question.what)
            body = await self._body(response, question)
            date = http_date(response.headers.get("date", ""))
            self._context.comparison.note(received, date)
            return _Arrival(body, monotonic, date)
        finally:
            await response.aclose()

    async def _body(self, response: httpx.Response, question: Question[Meaning]) -> bytearray:
        what, limit = question.what, question.limit or self._context.body_limit
        try:
            body = ResponseBody(response.headers, limit)
            async for chunk in response.aiter_raw():
                body.take(chunk)
                if body.too_long:
                    raise BadAnswer(f"{what}: the answer is longer than {limit} bytes")
            body.end()
        except UnknownCoding:
            raise BadAnswer(
                f"{what}: the answer has a content coding that was not asked for"
            ) from None
        except (httpx.RemoteProtocolError, BrokenCoding) as error:
            raise GarbledAnswer(f"{what}: the answer was cut short or garbled") from error
        return body.content

    async def _refusal(self, response: httpx.Response, what: str) -> ServiceError:
        now = http_date(response.headers.get("date", "")) or self._context.clock.now()
        retry_after = parse_retry_after(response.headers.get("retry-after", ""), now)
        body = await self._error_body(response)
        if proxy := response.extensions.get("proxy"):
            what = f"{what} (through {proxy}, whose answer this may be)"
        return refusal_error(what, response.status_code, body, retry_after, self._context.token)

    async def _error_body(self, response: httpx.Response) -> bytearray:
        """Read the first part of an error's body, or what has come of it.

        It gets half the time of a whole answer, so that the status is not lost with it.
        """
        body = None
        with suppress(httpx.HTTPError, UnknownCoding, BrokenCoding, TimeoutError):
            async with asyncio.timeout(self._deadline and self._deadline / 2):
                body = ResponseBody(response.headers, _ERROR_BODY_LIMIT)
                async for chunk in response.aiter_raw():
                    body.take(chunk)
                    if body.too_long:
                        break
        return body.content if body else bytearray()

    def _unreachable(self, what: str, error: Exception) -> Unreachable:
        host = self._client.base_url.netloc.decode("ascii", "replace")
        if isinstance(error, ProxyFailed):
            kind = _HopelesslyUnreachable if error.final else Unreachable
            return kind(f"{what}: no answer from {host}: {why(error)}")
        kind, hint = Unreachable, "check the network, source.base_url and source.proxy"
        if untrusted(error):
            kind, hint = _HopelesslyUnreachable, TRUST_HINT
        return kind(f"{what}: no answer from {host}: {why(error)}: {hint}")


def _deadline(context: ApiContext, timeout: httpx.Timeout) -> float | None:
    """Seconds for a whole answer; None where the client has no timeout either."""
    if context.deadline is not None or timeout.read is None:
        return context.deadline
    return max(_TIMEOUTS_TO_DEADLINE * timeout.read, _SHORTEST_DEADLINE)


def _next(url: httpx.URL, redirect: Redirected, what: str) -> httpx.URL:
    """Resolve a redirect, if the token may go there."""
    try:
        target = url.join(redirect.location.decode("latin-1"))
    except (httpx.InvalidURL, ValueError):
        raise BadAnswer(f"{what}: a redirect to nowhere", status=redirect.status) from None
    if url_origin(target) == url_origin(url) and not target.userinfo:
        return target
    host = one_line(f"{target.host} ({target.scheme})", 100)
    raise BadAnswer(
        f"{what}: the service redirects to {host}, where the token must not go:"
        " put the right address into source.base_url",
        status=redirect.status,
    )


def _read(question: Question[Meaning], arrival: _Arrival) -> Answer[Meaning]:
    digest = sha256(arrival.body).hexdigest()
    if digest == question.known:
        raise Unmodified
    try:
        meaning = question.read(parse(arrival.body, question.what))
    except Unreadable as error:
        raise BadAnswer(f"{question.what}: the answer makes no sense: {error}") from None
    return Answer(meaning, arrival.monotonic, arrival.server_date, digest)
