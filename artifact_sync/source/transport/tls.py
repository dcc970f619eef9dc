"""Which certificate authorities every client trusts."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from msgspec import Struct

from artifact_sync.domain.errors import ConfigError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping
    from pathlib import Path


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
        import ssl  # noqa: PLC0415 - slow, and of no use where all is in the clear

        try:
            return ssl.create_default_context(cafile=self.file, capath=self.folder)
        except OSError as error:  # ssl.SSLError is one
            reason = error.strerror or "no certificate in it"
            hint = "give a PEM file"
            raise ConfigError([f"{self.named} can't be used ({reason}): {hint}"]) from error


def trusted(ca_bundle: Path | None) -> Trust:
    """Choose ``ca_bundle`` alone, else ``SSL_CERT_FILE`` or ``SSL_CERT_DIR``, else certifi."""
    if ca_bundle is not None:
        return Trust(str(ca_bundle), None, f"source.ca_bundle {ca_bundle}")
    named = "SSL_CERT_FILE or SSL_CERT_DIR"
    if file := os.environ.get("SSL_CERT_FILE"):
        return Trust(file, None, named)
    if folder := os.environ.get("SSL_CERT_DIR"):
        return Trust(None, folder, named)
    import certifi  # noqa: PLC0415 - seldom needed where a bundle is named

    return Trust(certifi.where(), None, "certifi's bundle")
