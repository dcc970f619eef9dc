"""Webhook secrets: reading them, and checking signatures (HMAC-SHA256) by them."""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from artifact_sync.config.secret_file import BYTE_ORDER_MARK, existing_credential, read_secret
from artifact_sync.domain.errors import ConfigError
from artifact_sync.runtime.threads import AbandonableThreads
from artifact_sync.web.single_flight import SingleFlight, TimedOut

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from artifact_sync.domain.ports import Clock
    from artifact_sync.domain.settings import WebSettings

CREDENTIAL = "webhook-secret"
"""Name of the systemd credential (``LoadCredential=``)."""

SIGNATURE_HEADER = "X-Src-Signature"

_FRESH = 0.1
"""Seconds for which secrets are cached."""

_LONGEST = 65_536
"""Bytes of one file; a secret has some dozens."""

_SIGNATURE = re.compile(r"[0-9a-f]{64}")


def read_secrets(settings: WebSettings, environ: Mapping[str, str]) -> tuple[bytes, ...]:
    """The secrets of all ``secret_files``, or else of the systemd credential; may be empty.

    A file has one secret a line, so that a new one can be added before the old one is removed.
    ``ConfigError`` when a file is missing, empty or open to others. Blocking. Call it whenever
    secrets are needed, so that a replaced file counts at once.
    """
    given = existing_credential(CREDENTIAL, environ)
    files = settings.secret_files or ((given,) if given is not None else ())
    found: dict[bytes, None] = {}
    for path in files:
        found |= dict.fromkeys(_secrets_in(path, environ))
    return tuple(found)


def _secrets_in(path: Path, environ: Mapping[str, str]) -> list[bytes]:
    what = "webhook secret file"
    remedy = "write the webhook's secret into it, or correct web.secret_files"
    raw = read_secret(path, environ, what=what, remedy=remedy, most=_LONGEST + 1)
    if len(raw) > _LONGEST:
        raise ConfigError([f"{what} {path}: is too long for secrets, one a line"])
    lines = [line.strip() for line in raw.removeprefix(BYTE_ORDER_MARK).splitlines()]
    if not any(lines):
        raise ConfigError([f"{what} {path}: is empty; put the webhook's secret there, one a line"])
    return [line for line in lines if line]


def is_signature(text: str) -> bool:
    """Whether a text has the form of a signature: 64 lower-case hex digits."""
    return _SIGNATURE.fullmatch(text) is not None


def is_signed(signature: str, body: bytes, secrets: Iterable[bytes]) -> bool:
    """Whether one of the secrets has signed this raw body (HMAC-SHA256, RFC 2104).

    Takes the same time for each secret and however much of the signature is right.
    """
    given = signature.encode("ascii", "replace")
    signed = False
    for secret in secrets:
        expected = hmac.digest(secret, body, hashlib.sha256).hex().encode("ascii")
        signed |= hmac.compare_digest(expected, given)
    return signed


@dataclass(frozen=True, slots=True)
class KnownSecrets:
    """Secrets as they were last read."""

    secrets: tuple[bytes, ...] = field(default=(), repr=False)
    problem: str = "there is none"
    """Why there are no secrets."""


_TIMED_OUT = KnownSecrets(problem="they could not be read in time: a disk is slow, or hangs")


class WebhookSecrets:
    """Secrets read again for each event, but cached for a moment against floods."""

    def __init__(
        self,
        read: Callable[[], tuple[bytes, ...]],
        clock: Clock,
        threads: AbandonableThreads | None = None,
    ) -> None:
        in_thread = threads or AbandonableThreads()
        self._flight = SingleFlight(lambda: in_thread(_known, read), clock, _FRESH)

    async def known(self, seconds: float | None = None) -> KnownSecrets:
        """The secrets, or why there are none. Waits ``seconds`` for a disk."""
        try:
            return await self._flight.answer(seconds)
        except TimedOut:
            return _TIMED_OUT


def _known(read: Callable[[], tuple[bytes, ...]]) -> KnownSecrets:
    try:
        return KnownSecrets(read())
    except ConfigError as error:
        return KnownSecrets(problem=str(error))
