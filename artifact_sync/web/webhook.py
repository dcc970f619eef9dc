"""``POST /hooks/sourcecraft``: checks a signed event and wakes the daemon."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from hashlib import blake2b
from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect
from starlette.responses import Response

from artifact_sync.domain.http_headers import content_length
from artifact_sync.runtime.logs import get_logger
from artifact_sync.runtime.text import printable
from artifact_sync.web.log_throttle import LogThrottle
from artifact_sync.web.metrics import WebhookOutcome
from artifact_sync.web.webhook_payload import (
    EVENT_HEADER,
    PING,
    Malformed,
    RunComplete,
    read_payload,
)
from artifact_sync.web.webhook_secrets import (
    SIGNATURE_HEADER,
    WebhookSecrets,
    is_signature,
    is_signed,
    read_secrets,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from artifact_sync.web.context import WebContext

_log = get_logger(__name__)

ANSWERS: Mapping[WebhookOutcome, tuple[int, bytes]] = {
    WebhookOutcome.ACCEPTED: (202, b'{"accepted": true}'),
    WebhookOutcome.REPEAT: (202, b'{"repeat": true}'),
    WebhookOutcome.PING: (200, b'{"ping": true}'),
    WebhookOutcome.IGNORED: (202, b'{"ignored": true, "why": "only run.complete is handled"}'),
    WebhookOutcome.UNKNOWN_REPOSITORY: (404, b'{"error": "this repository is not mirrored here"}'),
    WebhookOutcome.UNSIGNED: (401, b'{"error": "X-Src-Signature is missing or no signature"}'),
    WebhookOutcome.WRONG_SIGNATURE: (401, b'{"error": "the signature is wrong"}'),
    WebhookOutcome.MALFORMED: (400, b'{"error": "the body is no event"}'),
    WebhookOutcome.TOO_LARGE: (413, b'{"error": "the body is too large"}'),
    WebhookOutcome.SLOW: (408, b'{"error": "the body did not come in time"}'),
    WebhookOutcome.CUT: (400, b'{"error": "the body was cut short"}'),
    # Not 401: there is nothing wrong with the signature. It may be right later: 503 says that.
    WebhookOutcome.NO_SECRET: (
        503,
        b'{"error": "webhooks cannot be checked here now; see the log"}',
    ),
}
"""Status and body of the answer to each outcome."""
_MESSAGES = {
    WebhookOutcome.NO_SECRET: (
        "webhook calls were refused: there is no secret to check them by; write the webhook's"
        " secret into a file and name it in web.secret_files, or give it as the credential"
        " webhook-secret"
    ),
    WebhookOutcome.UNSIGNED: (
        "webhook calls without a signature were refused: give the webhook a secret in SourceCraft,"
        " the same that web.secret_files holds"
    ),
    WebhookOutcome.WRONG_SIGNATURE: (
        "webhook calls with a wrong signature were refused: is the webhook's secret in SourceCraft"
        " the one that web.secret_files holds?"
    ),
    WebhookOutcome.MALFORMED: "signed webhook calls could not be understood",
    WebhookOutcome.IGNORED: (
        "webhook calls of another type were ignored: only run.complete is handled, and the webhook"
        " needs that event alone"
    ),
    WebhookOutcome.REPEAT: "webhook calls were ignored: these events were accepted before",
    WebhookOutcome.PING: "the webhook was tested, and its secret is right",
    WebhookOutcome.UNKNOWN_REPOSITORY: (
        "a webhook names a repository that the configuration does not: add it, or remove the hook"
    ),
}
"""Log messages for some of the outcomes."""
_HARMLESS = frozenset({WebhookOutcome.IGNORED, WebhookOutcome.REPEAT, WebhookOutcome.PING})
_CLOSING = frozenset({WebhookOutcome.TOO_LARGE, WebhookOutcome.SLOW})
"""Outcomes after which the rest of a body is not read."""


_LONGEST_TYPE = 100
"""Characters of an event's type in the log."""

_MOST = 10_000
"""Remembered events: some two megabytes."""

_LONGEST = 24 * 3600.0
"""Seconds. An older repeat costs one pass; no signed time would reveal it."""


class SeenEvents:
    """Remembers ids of events, a bounded number of them for a bounded time."""

    def __init__(self, most: int = _MOST, longest: float = _LONGEST) -> None:
        self._most = most
        self._longest = longest
        self._until: OrderedDict[bytes, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._until)

    def has(self, event: str | None, now: float) -> bool:
        """Whether an id is remembered; never for None. ``now`` is on the monotonic clock."""
        return event is not None and self._until.get(_digest(event), now) > now

    def remember(self, event: str | None, now: float) -> None:
        """Remember an id, in place of the oldest one if need be."""
        if event is None:
            return
        self._until[_digest(event)] = now + self._longest
        self._until.move_to_end(_digest(event))
        while len(self._until) > self._most or next(iter(self._until.values())) <= now:
            self._until.popitem(last=False)


def _digest(event: str) -> bytes:
    """A digest of an id, which may be as long as a body."""
    return blake2b(event.encode("utf-8", "surrogatepass"), digest_size=16).digest()


class Webhook:
    """Handles events. Unsigned ones are not decoded or remembered, and logged once a minute."""

    def __init__(self, context: WebContext) -> None:
        self._context = context
        self._seen = SeenEvents()
        self._secrets = WebhookSecrets(
            lambda: read_secrets(context.settings(), context.environ),
            context.clock,
            context.threads,
        )
        self._throttles = {outcome: LogThrottle() for outcome in WebhookOutcome}

    async def answer(self, request: Request) -> Response:
        """Handle one event and answer with the outcome."""
        outcome = await self._outcome(request)
        self._context.metrics.webhook(outcome)
        status, body = ANSWERS[outcome]
        headers = {"connection": "close"} if outcome in _CLOSING else None
        return Response(body, status, headers, "application/json")

    async def _outcome(self, request: Request) -> WebhookOutcome:
        limit = self._context.settings().body_limit
        announced = request.headers.get("content-length")
        if announced is not None and _exceeds(announced, limit):
            return WebhookOutcome.TOO_LARGE
        body = await self._body(request, limit)
        if isinstance(body, WebhookOutcome):
            return body
        return await self._check(request, body) or self._handle(body, request)

    async def _check(self, request: Request, body: bytes) -> WebhookOutcome | None:
        """Why the body is not accepted; None: it is signed."""
        known = await self._secrets.known(self._context.limits.answer)
        if not known.secrets:
            return self._log(WebhookOutcome.NO_SECRET, why=known.problem)
        signature = request.headers.get(SIGNATURE_HEADER, "")
        if not is_signature(signature):
            return self._log(WebhookOutcome.UNSIGNED)
        if not is_signed(signature, body, known.secrets):
            return self._log(WebhookOutcome.WRONG_SIGNATURE)
        return None

    async def _body(self, request: Request, limit: int) -> bytes | WebhookOutcome:
        """The whole body, or why there is none."""
        body = bytearray()
        try:
            async with asyncio.timeout(self._context.limits.body):
                async for chunk in request.stream():
                    body += chunk
                    if len(body) > limit:
                        return WebhookOutcome.TOO_LARGE
        except TimeoutError:
            return WebhookOutcome.SLOW
        except ClientDisconnect:
            return WebhookOutcome.CUT
        return bytes(body)

    def _handle(self, body: bytes, request: Request) -> WebhookOutcome:
        try:
            event = read_payload(body, request.headers.get(EVENT_HEADER, ""))
        except Malformed as error:
            return self._log(WebhookOutcome.MALFORMED, why=str(error))
        if isinstance(event, RunComplete):
            return self._wake(event)
        if event.kind == PING:
            return self._log(WebhookOutcome.PING)
        return self._log(WebhookOutcome.IGNORED, type=printable(event.kind[:_LONGEST_TYPE]))

    def _wake(self, event: RunComplete) -> WebhookOutcome:
        """Wake the repository. An event counts as a repeat only if its first call was accepted."""
        now = self._context.clock.monotonic()
        facts = {"repo": str(event.repo), **({"run": event.run} if event.run else {})}
        if self._seen.has(event.id, now):
            return self._log(WebhookOutcome.REPEAT, **facts)
        if not self._context.daemon.wake(event.repo, event.run):
            return self._log(WebhookOutcome.UNKNOWN_REPOSITORY, **facts)
        _log.info("a webhook says that a run has ended: it is looked at now", **facts)
        self._seen.remember(event.id, now)
        return WebhookOutcome.ACCEPTED

    def _log(self, outcome: WebhookOutcome, **facts: str) -> WebhookOutcome:
        """Log an outcome, unless it was logged within the last minute."""
        times = self._throttles[outcome].due(self._context.clock.monotonic())
        if times:
            log = _log.info if outcome in _HARMLESS else _log.warning
            log(_MESSAGES[outcome], times=times, **facts)
        return outcome


def _exceeds(announced: str, limit: int) -> bool:
    """Whether an announced length is invalid or too large."""
    length = content_length(announced)
    return length is None or length > limit
