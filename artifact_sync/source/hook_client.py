"""Posts what hooks are told. Has no token, follows no redirect, keeps no cookie."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import httpx

from artifact_sync.domain.hooks import DeliveryResult
from artifact_sync.runtime.backoff import http_date, parse_retry_after
from artifact_sync.source.transport.clients import Redirected, download_client
from artifact_sync.source.transport.errors import why

if TYPE_CHECKING:
    from collections.abc import Mapping

    from artifact_sync.source.transport.clients import TransportSettings
    from artifact_sync.source.transport.tls import TlsContext


class HookClient:
    """Connects when the first event is posted. ``aclose`` it."""

    def __init__(self, settings: TransportSettings, tls: TlsContext) -> None:
        self._settings = settings
        self._tls = tls
        self._client: httpx.AsyncClient | None = None

    async def post(
        self, url: str, headers: Mapping[str, str], content: bytes, within: float
    ) -> DeliveryResult:
        """Post a body; return what came of it, which never tells the URL."""
        host = urlsplit(url).hostname
        try:
            async with asyncio.timeout(within):
                answer = await self._answer(url, headers, content)
        except TimeoutError:
            problem = f"did not answer within {round(within, 1):g} s"
        except Redirected as error:
            problem = f"answered with a redirect ({error.status}), which is not followed"
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            problem = f"cannot be reached: {why(error)}"
        else:
            if answer.is_success:
                return DeliveryResult()
            return DeliveryResult(f"{host} answered {answer.status_code}", _retry_after(answer))
        return DeliveryResult(f"{host} {problem}")

    async def _answer(self, url: str, headers: Mapping[str, str], content: bytes) -> httpx.Response:
        """The answer without its body, which is not read."""
        if self._client is None:
            self._client = download_client(self._settings, await self._tls())
        request = self._client.build_request("POST", url, headers=headers, content=content)
        answer = await self._client.send(request, auth=_auth(url), stream=True)
        async with aclosing(answer):
            return answer

    async def aclose(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.aclose()


def _retry_after(answer: httpx.Response) -> float | None:
    """For how long a receiver with too much to do asks to be left alone."""
    if answer.status_code not in {429, 503}:
        return None
    now = http_date(answer.headers.get("date", "")) or datetime.now(UTC)
    return parse_retry_after(answer.headers.get("retry-after", ""), now)


def _auth(url: str) -> httpx.Auth:
    """The credentials that stand in the URL, or none."""
    parts = urlsplit(url)
    if parts.username is None:
        return httpx.Auth()
    return httpx.BasicAuth(unquote(parts.username), unquote(parts.password or ""))
