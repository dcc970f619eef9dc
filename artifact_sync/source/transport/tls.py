"""Which certificate authorities every client trusts."""

from __future__ import annotations

import errno
import os
import re
import ssl
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from artifact_sync.domain.errors import ConfigError, system_limit
from artifact_sync.runtime.once import Once

if TYPE_CHECKING:
    from collections.abc import Mapping

    from artifact_sync.runtime.threads import AbandonableThreads

_HASHED = r"[0-9a-f]{8}\.[0-9]+"


class Trust(Struct, frozen=True):
    """Trusted authorities: a PEM file, or a folder as OpenSSL hashes it."""

    file: str | None
    folder: str | None
    named: str
    """The setting that names them, for messages."""

    @property
    def environment(self) -> Mapping[str, str | None]:
        """The variables of OpenSSL that mean the same; None: unset."""
        return {"SSL_CERT_FILE": self.file, "SSL_CERT_DIR": self.folder}

    def context(self) -> ssl.SSLContext:
        """Load them, in tens of milliseconds. ``ConfigError`` when they can't be read."""
        try:
            if self.folder is not None:
                _check_folders(self.folder)
            return ssl.create_default_context(cafile=self.file, capath=self.folder)
        except OSError as error:  # ssl.SSLError is one
            if system_limit(error):
                raise
            reason = error.strerror or "no certificate in it"
            hint = "give a PEM file" if self.folder is None else "give a folder of openssl rehash"
            raise ConfigError([f"{self.named} can't be used ({reason}): {hint}"]) from error


def trusted(ca_bundle: Path | None) -> Trust:
    """Choose ``ca_bundle`` alone, else ``SSL_CERT_FILE`` or ``SSL_CERT_DIR``, else certifi."""
    if ca_bundle is not None:
        return Trust(str(ca_bundle), None, f"source.ca_bundle {ca_bundle}")
    if file := os.environ.get("SSL_CERT_FILE"):
        return Trust(file, None, f"SSL_CERT_FILE {file}")
    if folder := os.environ.get("SSL_CERT_DIR"):
        return Trust(None, folder, f"SSL_CERT_DIR {folder}")
    import certifi  # noqa: PLC0415 - slow, and of no use without TLS

    return Trust(certifi.where(), None, "certifi's bundle")


def _check_folders(folders: str) -> None:
    """Check that one of some folders holds a certificate. ``OSError``.

    OpenSSL takes what is not there for no authority at all, and then trusts nobody.
    """
    problem = OSError(errno.ENOENT, "no certificate in it by the name that OpenSSL looks for")
    for folder in folders.split(os.pathsep):
        try:
            names = [path.name for path in Path(folder).iterdir()]
        except OSError as error:
            problem = error
        else:
            if any(re.fullmatch(_HASHED, name) for name in names):
                return
    raise problem


class TlsContext:
    """The context that all clients share, loaded on the first call. ``ConfigError``."""

    def __init__(self, ca_bundle: Path | None, threads: AbandonableThreads) -> None:
        self.by_setting = ca_bundle is not None
        self._ca_bundle = ca_bundle
        self._load = Once(lambda: threads(self.trust.context))

    @cached_property
    def trust(self) -> Trust:
        """Whose certificates are trusted."""
        return trusted(self._ca_bundle)

    async def __call__(self) -> ssl.SSLContext:
        """Load it, in a thread, unless that was done before."""
        return await self._load()


def trust_nobody() -> ssl.SSLContext:
    """Make a context that refuses every certificate, for a client without TLS."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
