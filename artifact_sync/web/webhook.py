"""``POST /hooks/sourcecraft``: a signed event wakes the daemon. What it says, ``hook`` reads."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect
from starlette.responses import Response

from artifact_sync.domain.http_headers import content_length
from artifact_sync.runtime.logs import get_logger
from artifact_sync.web import webhook_payload
from artifact_sync.web.log_throttle import Rarely
from artifact_sync.web.metrics import Outcome
from artifact_sync.web.replays import Replays
from artifact_sync.web.signature import HEADER, is_right, looks_right
from artifact_sync.web.webhook_secrets import Secrets, read_secrets

if TYPE_CHECKING:
    from starlette.requests import Request

    from artifact_sync.web.context import Front

_log = get_logger(__name__)

_ANSWERS = {
    Outcome.ACCEPTED: (202, b'{"accepted": true}'),
    Outcome.REPEAT: (202, b'{"repeat": true}'),
    Outcome.PING: (200, b'{"ping": true}'),
    Outcome.IGNORED: (202, b'{"ignored": true}'),
    Outcome.UNKNOWN_REPOSITORY: (404, b'{"error": "this repository is not mirrored here"}'),
    Outcome.UNSIGNED: (401, b'{"error": "X-Src-Signature is missing or no signature"}'),
    Outcome.WRONG_SIGNATURE: (401, b'{"error": "the signature is wrong"}'),
    Outcome.MALFORMED: (400, b'{"error": "the body is no event"}'),
    Outcome.TOO_LARGE: (413, b'{"error": "the body is too large"}'),
    Outcome.SLOW: (408, b'{"error": "the body did not come in time"}'),
    Outcome.CUT: (400, b'{"error": "the body was cut short"}'),
    # Not 401: there is nothing wrong with the signature. It may be right later: 503 says that.
    Outcome.NO_SECRET: (503, b'{"error": "webhooks cannot be checked here now; see the log"}'),
}
_WORDS = {
    Outcome.NO_SECRET: (
        "webhook calls were refused: there is no secret to check them by; write the webhook's"
        " secret into a file and name it in web.secret_files, or give it as the credential"
        " webhook-secret"
    ),
    Outcome.UNSIGNED: (
        "webhook calls without a signature were refused: give the webhook a secret in SourceCraft,"
        " the same that web.secret_files holds"
    ),
    Outcome.WRONG_SIGNATURE: (
        "webhook calls with a wrong signature were refused: is the webhook's secret in SourceCraft"
        " the one that web.secret_files holds?"
    ),
    Outcome.MALFORMED: "signed webhook calls could not be understood",
    Outcome.UNKNOWN_REPOSITORY: (
        "a webhook names a repository that the configuration does not: add it, or remove the hook"
    ),
}
"""What the log says of them."""
_CLOSING = frozenset({Outcome.TOO_LARGE, Outcome.SLOW})
"""What leaves a body on its way that nobody will read."""


class Webhook:
    """Takes events. Nothing unsigned is read, remembered, or said more than once a minute."""

    def __init__(self, front: Front) -> None:
        self._front = front
        self._replays = Replays()
        self._secrets = Secrets(
            lambda: read_secrets(front.settings(), front.environ), front.clock, front.chores
        )
        self._rarely = {outcome: Rarely() for outcome in Outcome}

    async def answer(self, request: Request) -> Response:
        """Take one event and say what became of it."""
        outcome = await self._outcome(request)
        self._front.metrics.webhook(outcome)
        status, body = _ANSWERS[outcome]
        headers = {"connection": "close"} if outcome in _CLOSING else None
        return Response(body, status, headers, "application/json")

    async def _outcome(self, request: Request) -> Outcome:
        limit = self._front.settings().body_limit
        announced = request.headers.get("content-length")
        if announced is not None and _exceeds(announced, limit):
            return Outcome.TOO_LARGE
        body = await self._body(request, limit)
        if isinstance(body, Outcome):
            return body
        return await self._check(request, body) or self._take(body, request)

    async def _check(self, request: Request, body: bytes) -> Outcome | None:
        """Why the body is not to be believed; None: it is signed."""
        known = await self._secrets.known(self._front.limits.answer)
        if not known.secrets:
            return self._say(Outcome.NO_SECRET, why=known.problem)
        signature = request.headers.get(HEADER, "")
        if not looks_right(signature):
            return self._say(Outcome.UNSIGNED)
        if not is_right(signature, body, known.secrets):
            return self._say(Outcome.WRONG_SIGNATURE)
        return None

    async def _body(self, request: Request, limit: int) -> bytes | Outcome:
        """The whole body, or what has come in its way."""
        body = bytearray()
        try:
            async with asyncio.timeout(self._front.limits.body):
                async for chunk in request.stream():
                    body += chunk
                    if len(body) > limit:
                        return Outcome.TOO_LARGE
        except TimeoutError:
            return Outcome.SLOW
        except ClientDisconnect:
            return Outcome.CUT
        return bytes(body)

    def _take(self, body: bytes, request: Request) -> Outcome:
        """Act on a body that is signed."""
        try:
            event = webhook_payload.read(body, request.headers.get("x-src-event", ""))
        except webhook_payload.Malformed as error:
            return self._say(Outcome.MALFORMED, why=str(error))
        match event:
            case webhook_payload.Ping():
                return Outcome.PING
            case webhook_payload.Unknown():
                return Outcome.IGNORED
            case webhook_payload.RunComplete():
                return self._wake(event)

    def _wake(self, event: webhook_payload.RunComplete) -> Outcome:
        """Wake the repository. Only what did is a repeat when it comes again."""
        now = self._front.clock.monotonic()
        if self._replays.has(event.id, now):
            return Outcome.REPEAT
        if not self._front.desk.wake(event.repo, event.run):
            return self._say(Outcome.UNKNOWN_REPOSITORY, repo=str(event.repo))
        self._replays.remember(event.id, now)
        return Outcome.ACCEPTED

    def _say(self, outcome: Outcome, **facts: str) -> Outcome:
        """Have it in the log, if it has not been there lately."""
        times = self._rarely[outcome].due(self._front.clock.monotonic())
        if times:
            _log.warning(_WORDS[outcome], times=times, **facts)
        return outcome


def _exceeds(announced: str, limit: int) -> bool:
    """Whether the length makes no sense or is too large."""
    length = content_length(announced)
    return length is None or length > limit
