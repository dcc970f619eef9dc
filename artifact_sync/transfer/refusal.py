"""What an answer that is neither 200 nor 206 says of why: the beginning of its body is read."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from artifact_sync.domain.errors import DownloadError
from artifact_sync.runtime.backoff import parse_retry_after
from artifact_sync.transfer.error_page import failure_of_status

if TYPE_CHECKING:
    from datetime import datetime

    from artifact_sync.domain.ports import Opened

_HEAD = 4096
"""Bytes of an error's body that are read for the store's error code."""

_HEAD_PATIENCE = 5.0
"""Seconds in which an error's body must have come."""


async def refusal(opened: Opened, now: datetime) -> DownloadError:
    """The error that an answer other than 200 and 206 stands for."""
    head = bytearray()
    # what the status says holds, even when the body behind it is cut or drips
    with suppress(DownloadError, TimeoutError):
        async with asyncio.timeout(_HEAD_PATIENCE):
            async for chunk in opened.chunks:
                head += chunk
                if len(head) >= _HEAD:
                    break
    after = parse_retry_after(opened.headers.get("retry-after", ""), now)
    return failure_of_status(opened.status, bytes(head[:_HEAD]), after)
