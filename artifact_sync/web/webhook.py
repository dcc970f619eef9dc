"""``POST /hooks/sourcecraft``: a signed event wakes the daemon. What it says, ``hook`` reads."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from hashlib import blake2b
from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect
from starlette.responses import Response

from artifact_sync.domain.http_headers import content_length
from artifact_sync.runtime.logs import get_logger
from artifact_sync.web import webhook_payload
from artifact_sync.web.log_throttle import LogThrottle
from artifact_sync.web.metrics import PassOutcome
from artifact_sync.web.webhook_secrets import (
    SIGNATURE_HEADER,
    WebhookSecrets,
    is_signature,
    is_signed,
    read_secrets,
)

if TYPE_CHECKING:
    from starlette.requests import Request

    from artifact_sync.web.context import WebContext

_log = get_logger(__name__)

_ANSWERS = {
    PassOutcome.ACCEPTED: (202, b'{"accepted": true}'),
    PassOutcome.REPEAT: (202, b'{"repeat": true}'),
    PassOutcome.PING: (200, b'{"ping": true}'),
    PassOutcome.IGNORED: (202, b'{"ignored": true}'),
    PassOutcome.UNKNOWN_REPOSITORY: (404, b'{"error": "this repository is not mirrored here"}'),
    PassOutcome.UNSIGNED: (401, b'{"error": "X-Src-Signature is missing or no signature"}'),
    PassOutcome.WRONG_SIGNATURE: (401, b'{"error": "the signature is wrong"}'),
    PassOutcome.MALFORMED: (400, b'{"error": "the body is no event"}'),
    PassOutcome.TOO_LARGE: (413, b'{"error": "the body is too large"}'),
    PassOutcome.SLOW: (408, b'{"error": "the body did not come in time"}'),
    PassOutcome.CUT: (400, b'{"error": "the body was cut short"}'),
    # Not 401: there is nothing wrong with the signature. It may be right later: 503 says that.
    PassOutcome.NO_SECRET: (503, b'{"error": "webhooks cannot be checked here now; see the log"}'),
}
_WORDS = {
    PassOutcome.NO_SECRET: (
        "webhook calls were refused: there is no secret to check them by; write the webhook's"
        " secret into a file and name it in web.secret_files, or give it as the credential"
        " webhook-secret"
    ),
    PassOutcome.UNSIGNED: (
        "webhook calls without a signature were refused: give the webhook a secret in SourceCraft,"
        " the same that web.secret_files holds"
    ),
    PassOutcome.WRONG_SIGNATURE: (
        "webhook calls with a wrong signature were refused: is the webhook's secret in SourceCraft"
        " the one that web.secret_files holds?"
    ),
    PassOutcome.MALFORMED: "signed webhook calls could not be understood",
    PassOutcome.UNKNOWN_REPOSITORY: (
        "a webhook names a repository that the configuration does not: add it, or remove the hook"
    ),
}
"""What the log says of them."""
_CLOSING = frozenset({PassOutcome.TOO_LARGE, PassOutcome.SLOW})
"""What leaves a body on its way that nobody will read."""


_MOST = 10_000
"""Events: some two megabytes when full."""

_LONGEST = 24 * 3600.0
"""Seconds. No time is signed that we could hold against an older one: it would cost one look."""


class Replays:
    """Remembers events by their ids. An event without one is never a repeat."""

    def __init__(self, most: int = _MOST, longest: float = _LONGEST) -> None:
        self._most = most
        self._longest = longest
        self._until: OrderedDict[bytes, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._until)

    def has(self, event: str | None, now: float) -> bool:
        """Whether an event has been remembered. ``now``: seconds on the monotonic clock."""
        return event is not None and self._until.get(_short(event), now) > now

    def remember(self, event: str | None, now: float) -> None:
        """Take an event for a repeat from now on; the oldest ones are forgotten for it."""
        if event is None:
            return
        self._forget_old(now)
        self._until[_short(event)] = now + self._longest
        self._until.move_to_end(_short(event))
        if len(self._until) > self._most:
            self._until.popitem(last=False)

    def _forget_old(self, now: float) -> None:
        while self._until and next(iter(self._until.values())) <= now:
            self._until.popitem(last=False)


def _short(event: str) -> bytes:
    """An id may be as long as a body; what is kept of it has 16 bytes."""
    return blake2b(event.encode("utf-8", "surrogatepass"), digest_size=16).digest()


class Webhook:
    """Takes events. Nothing unsigned is read, remembered, or said more than once a minute."""

    def __init__(self, front: WebContext) -> None:
        self._front = front
        self._replays = Replays()
        self._secrets = WebhookSecrets(
            lambda: read_secrets(front.settings(), front.environ), front.clock, front.chores
        )
        self._rarely = {outcome: LogThrottle() for outcome in PassOutcome}

    async def answer(self, request: Request) -> Response:
        """Take one event and say what became of it."""
        outcome = await self._outcome(request)
        self._front.metrics.webhook(outcome)
        status, body = _ANSWERS[outcome]
        headers = {"connection": "close"} if outcome in _CLOSING else None
        return Response(body, status, headers, "application/json")

    async def _outcome(self, request: Request) -> PassOutcome:
        limit = self._front.settings().body_limit
        announced = request.headers.get("content-length")
        if announced is not None and _exceeds(announced, limit):
            return PassOutcome.TOO_LARGE
        body = await self._body(request, limit)
        if isinstance(body, PassOutcome):
            return body
        return await self._check(request, body) or self._take(body, request)

    async def _check(self, request: Request, body: bytes) -> PassOutcome | None:
        """Why the body is not to be believed; None: it is signed."""
        known = await self._secrets.known(self._front.limits.answer)
        if not known.secrets:
            return self._say(PassOutcome.NO_SECRET, why=known.problem)
        signature = request.headers.get(SIGNATURE_HEADER, "")
        if not is_signature(signature):
            return self._say(PassOutcome.UNSIGNED)
        if not is_signed(signature, body, known.secrets):
            return self._say(PassOutcome.WRONG_SIGNATURE)
        return None

    async def _body(self, request: Request, limit: int) -> bytes | PassOutcome:
        """The whole body, or what has come in its way."""
        body = bytearray()
        try:
            async with asyncio.timeout(self._front.limits.body):
                async for chunk in request.stream():
                    body += chunk
                    if len(body) > limit:
                        return PassOutcome.TOO_LARGE
        except TimeoutError:
            return PassOutcome.SLOW
        except ClientDisconnect:
            return PassOutcome.CUT
        return bytes(body)

    def _take(self, body: bytes, request: Request) -> PassOutcome:
        """Act on a body that is signed."""
        try:
            event = webhook_payload.read_payload(body, request.headers.get("x-src-event", ""))
        except webhook_payload.Malformed as error:
            return self._say(PassOutcome.MALFORMED, why=str(error))
        match event:
            case webhook_payload.Ping():
                return PassOutcome.PING
            case webhook_payload.Unknown():
                return PassOutcome.IGNORED
            case webhook_payload.RunComplete():
                return self._wake(event)

    def _wake(self, event: webhook_payload.RunComplete) -> PassOutcome:
        """Wake the repository. Only what did is a repeat when it comes again."""
        now = self._front.clock.monotonic()
        if self._replays.has(event.id, now):
            return PassOutcome.REPEAT
        if not self._front.desk.wake(event.repo, event.run):
            return self._say(PassOutcome.UNKNOWN_REPOSITORY, repo=str(event.repo))
        self._replays.remember(event.id, now)
        return PassOutcome.ACCEPTED

    def _say(self, outcome: PassOutcome, **facts: str) -> PassOutcome:
        """Have it in the log, if it has not been there lately."""
        times = self._rarely[outcome].due(self._front.clock.monotonic())
        if times:
            _log.warning(_WORDS[outcome], times=times, **facts)
        return outcome


def _exceeds(announced: str, limit: int) -> bool:
    """Whether the length makes no sense or is too large."""
    length = content_length(announced)
    return length is None or length > limit
