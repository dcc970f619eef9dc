"""Opens a store by its URL: endpoint, time limits, retries, credentials."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from msgspec import Struct
from msgspec.structs import replace

from artifact_sync.domain.errors import UsageError
from artifact_sync.mirror.objects.bucket import PART, RETRIES, Bucket
from artifact_sync.mirror.objects.calls import PATIENCE
from artifact_sync.version import USER_AGENT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_ENDPOINTS = (
    *("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"),
    *("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT", "GOOGLE_BASE_URL"),
)
"""Variables by which obstore is told another address than the provider's."""

_MEMORY: dict[str, Any] = {}
"""Stores of this process, by URL."""


class StoreTerms(Struct, frozen=True):
    """How a store is spoken to. Seconds."""

    endpoint: str | None = None
    """Another one than the provider's; None: as the environment says."""
    credentials: Path | None = None
    """The file of credentials; None: as the environment says."""
    connect: float = 10.0
    silence: float = 60.0
    """Nothing is read for so long: a failure ..."""
    slowest: float = 32_000.0
    """... but while a part may still be on its way there, at so many bytes a second."""
    patience: float = 40.0
    """For how long a failing request is tried again."""
    pause: float = 0.2
    """Between two tries, at first."""
    leaving: float = PATIENCE
    """For how long a call goes on that nobody waits for any more."""


def open_bucket(url: str, terms: StoreTerms, environ: Mapping[str, str]) -> tuple[Bucket, str]:
    """Open a store; the bucket, and the prefix of the mirror in it. ``UsageError``.

    Nothing is asked of it yet.
    """
    place = urlsplit(url)
    path = place.path.strip("/")
    if place.scheme == "memory":
        return Bucket(_memory(place.netloc), url), path
    calm = replace(terms, silence=terms.silence + PART / terms.slowest)
    store, sending = (_remote(place.scheme, place.netloc, it, environ) for it in (terms, calm))
    retries = replace(RETRIES, base=2 * terms.pause)
    return Bucket(store, url, retries, sending, terms.leaving), path


def _memory(name: str) -> Any:
    from obstore.store import MemoryStore  # noqa: PLC0415 - for trials

    return _MEMORY.setdefault(name, MemoryStore())


def _remote(scheme: str, bucket: str, terms: StoreTerms, environ: Mapping[str, str]) -> Any:
    from obstore.exceptions import BaseError  # noqa: PLC0415 - likewise
    from obstore.store import from_url  # noqa: PLC0415 - likewise

    from artifact_sync.mirror.objects.credentials import credential_options  # noqa: PLC0415 - likewise

    options = dict(credential_options(scheme, terms.credentials, environ))
    if terms.endpoint is not None:
        options["base_url" if scheme == "gs" else "endpoint"] = terms.endpoint
    if scheme == "s3":
        options["checksum_algorithm"] = "sha256"
    try:
        return from_url(
            f"{scheme}://{bucket}",
            client_options=_client(terms, environ),
            retry_config={
                "max_retries": 5,
                "retry_timeout": timedelta(seconds=terms.patience),
                "backoff": {
                    "init_backoff": timedelta(seconds=terms.pause),
                    "max_backoff": timedelta(seconds=5),
                    "base": 2,
                },
            },
            **options,
        )
    except (BaseError, ValueError):
        raise UsageError(
            f"mirror.root: {scheme}://{bucket} cannot be opened: look at its address, and at the"
            " variables of the environment for it"
        ) from None


def _client(terms: StoreTerms, environ: Mapping[str, str]) -> Any:
    named = (terms.endpoint, *map(environ.get, _ENDPOINTS))
    endpoint = next(filter(None, named), "")
    return {
        "user_agent": USER_AGENT,
        "allow_http": endpoint.startswith("http://"),
        "connect_timeout": timedelta(seconds=terms.connect),
        "read_timeout": timedelta(seconds=terms.silence),
        "timeout": timedelta(hours=1),
    }
