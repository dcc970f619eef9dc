"""Reads the API token from a file, the environment or a systemd credential."""

from __future__ import annotations

from typing import TYPE_CHECKING

from artifact_sync.config.secret_file import BYTE_ORDER_MARK, existing_credential, read_secret
from artifact_sync.domain.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from artifact_sync.domain.settings import SourceSettings

VARIABLE = "SOURCECRAFT_TOKEN"
"""What SourceCraft's own tools and CI cubes use."""

CREDENTIAL = "sourcecraft-token"
"""The file's name below ``$CREDENTIALS_DIRECTORY`` (systemd's ``LoadCredential=``)."""

_LONGEST = 16_384  # bytes; a JWT of the service has under two thousand


class Token:
    """An API token. Printed, it shows its origin, never the secret."""

    __slots__ = ("origin", "value")

    def __init__(self, value: str, origin: str) -> None:
        self.value = value
        """The secret itself, for the ``Authorization`` header and for masking."""
        self.origin = origin

    def __repr__(self) -> str:
        return f"Token(from {self.origin})"

    def __reduce__(self) -> str:
        raise TypeError("a token is not to be copied out of the process")


def read_token(settings: SourceSettings, environ: Mapping[str, str]) -> Token | None:
    """Read ``token_file``, else ``$SOURCECRAFT_TOKEN``, else the systemd credential.

    None when there is none of them. ``ConfigError`` when the first of them that there is cannot be
    used: missing, empty, open to others, or not a token. The error never shows its content. An
    empty variable is taken for none: that is how scripts and CI unset one.
    """
    if settings.token_file is not None:
        return _from_file(settings.token_file, environ)
    if environ.get(VARIABLE, "").strip():
        return _checked(environ[VARIABLE].encode(errors="surrogateescape"), f"${VARIABLE}")
    path = existing_credential(CREDENTIAL, environ)
    return _from_file(path, environ) if path is not None else None


def given_token(text: str) -> Token:
    """Check a token from a caller. ``ConfigError``, without the text, when it is none."""
    return _checked(text.encode(errors="surrogateescape"), "token")


def _from_file(path: Path, environ: Mapping[str, str]) -> Token:
    remedy = "write the token into it, or correct source.token_file"
    raw = read_secret(path, environ, what="token file", remedy=remedy, most=_LONGEST + 1)
    return _checked(raw, f"token file {path}")


def _checked(raw: bytes, origin: str) -> Token:
    """Check a token; RFC 6750, 2.1 allows fewer characters."""
    stripped = raw.removeprefix(BYTE_ORDER_MARK).strip()
    if not stripped:
        raise ConfigError([f"{origin}: is empty; put a personal access token there"])
    if len(stripped) > _LONGEST:
        raise ConfigError([f"{origin}: is too long for a token; copy it once more"])
    if not all(0x21 <= byte <= 0x7E for byte in stripped):  # noqa: PLR2004 - visible ASCII
        hint = "only the token itself belongs there, without the word Bearer"
        problem = f"{origin}: holds spaces, control or non-ASCII characters; {hint}"
        raise ConfigError([problem])
    return Token(stripped.decode("ascii"), origin)
