"""Hooks that are addresses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from artifact_sync.domain.errors import ConfigError
from artifact_sync.domain.hooks import DeliveryResult
from artifact_sync.sync.hooks.message import body, headers, members

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from artifact_sync.domain.hooks import Delivery
    from artifact_sync.mirror.layout import Layout

    Post = Callable[[str, Mapping[str, str], bytes, float], Awaitable[DeliveryResult]]
    """Posts a body with headers to a URL, within so many seconds."""


class Address(Struct, frozen=True):
    """Posts each delivery, signed."""

    url: str
    read_secret: Callable[[], Awaitable[bytes | None]]
    """None: what is posted is not signed. ``ConfigError``."""
    layout: Layout
    post: Post

    async def send(self, delivery: Delivery, within: float) -> DeliveryResult:
        """Make one delivery; what has come of it."""
        said = members(delivery, self.layout)
        content = body(said)
        try:
            secret = await self.read_secret()
        except ConfigError as error:
            return DeliveryResult(str(error))
        return await self.post(self.url, headers(said, content, secret), content, within)
