"""Reads the password of the ledger's database from a systemd credential."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote

from artifact_sync.config.secret_file import existing_credential, read_secret
from artifact_sync.domain.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

LEDGER_CREDENTIAL = "ledger-password"
"""The file's name below ``$CREDENTIALS_DIRECTORY`` (systemd's ``LoadCredential=``)."""

_LONGEST = 4096
_HAS_PASSWORD = r"[^:]+://([^/?@]*:[^/?]*@|[^?]*\?(.*&)?password=)"  # noqa: S105 - a pattern
_WHAT, _REMEDY = "the ledger's password file", "write the password into it"


def read_ledger_password(environ: Mapping[str, str]) -> str | None:
    """The first line of the credential; None: there is none. ``ConfigError``. Blocking."""
    path = existing_credential(LEDGER_CREDENTIAL, environ)
    if path is None:
        return None
    raw = read_secret(path, environ, what=_WHAT, remedy=_REMEDY, most=_LONGEST)
    password = raw.decode(errors="surrogateescape").partition("\n")[0].rstrip("\r")
    if not password:
        raise ConfigError([f"{_WHAT} {path}: is empty; {_REMEDY}"])
    return password


def with_password(url: str, environ: Mapping[str, str]) -> str:
    """A URL of PostgreSQL with the credential's password, unless it has one. ``ConfigError``."""
    if not url.startswith("postgresql") or re.match(_HAS_PASSWORD, url):
        return url
    password = read_ledger_password(environ)
    if password is None:
        return url
    given = quote(password, safe="", errors="surrogateescape")
    return f"{url}{'&' if '?' in url else '?'}password={given}"
