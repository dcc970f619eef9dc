"""Posts what hooks are told. Has no token, follows no redirect, keeps no cookie."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import httpx

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
    ) -> str:
        """Post a body; return why it was not taken, or an empty text.

        That never tells the URL.
        """
        host = urlsplit(url).hostname
        try:
            async with asyncio.timeout(within):
                status = await self._status(url, headers, content)
        except TimeoutError:
            return f"{host} did not answer within {round(within, 1):g} s"
        except Redirected as error:
            return f"{host} answered with a redirect ({error.status}), which is not followed"
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            return f"{host} cannot be reached: {why(error)}"
        return "" if httpx.codes.is_success(status) else f"{host} answered {status}"

    async def _status(self, url: str, headers: Mapping[str, str], content: bytes) -> int:
        """The status of the answer, whose body is not read."""
        if self._client is None:
            self._client = download_client(self._settings, await self._tls())
        request = self._client.build_request("POST", url, headers=headers, content=content)
        answer = await self._client.send(request, auth=_auth(url), stream=True)
        async with aclosing(answer):
            return answer.status_code

    async def aclose(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.aclose()


def _auth(url: str) -> httpx.Auth:
    """The credentials that stand in the URL, or none."""
    parts = urlsplit(url)
    if parts.username is None:
        return httpx.Auth()
    return httpx.BasicAuth(unquote(parts.username), unquote(parts.password or ""))
