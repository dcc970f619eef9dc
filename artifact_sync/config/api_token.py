"""Where the API's token comes from. Sending it is ``source``'s; nothing here ever shows it."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from artifact_sync.config.secret_file import read_regular
from artifact_sync.domain.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from artifact_sync.domain.settings import SourceSettings

VARIABLE = "SOURCECRAFT_TOKEN"
"""What SourceCraft's own tools and CI cubes use."""

CREDENTIAL = "sourcecraft-token"
"""The file's name below ``$CREDENTIALS_DIRECTORY`` (systemd's ``LoadCredential=``)."""

_LONGEST = 16_384  # bytes; a JWT of the service has under two thousand
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class Token:
    """A secret and where it was found. Shows the place, never the secret."""

    __slots__ = ("_value", "origin")

    def __init__(self, value: str, origin: str) -> None:
        self._value = value
        self.origin = origin

    @property
    def value(self) -> str:
        """The secret itself, for the ``Authorization`` header and for masking."""
        return self._value

    def __repr__(self) -> str:
        return f"Token(from {self.origin})"

    def __reduce__(self) -> str:
        msg = "a token is not to be copied out of the process"
        raise TypeError(msg)


def read_token(settings: SourceSettings, environ: Mapping[str, str]) -> Token | None:
    """The token of ``token_file``, else of ``$SOURCECRAFT_TOKEN``, else of the systemd credential.

    None when there is none of them. ``ConfigError`` when the first of them that there is cannot be
    used: missing, empty, open to others, or not a token. The error never shows its content. An
    empty variable is taken for none: that is how scripts and CI unset one.
    """
    if settings.token_file is not None:
        return _from_file(settings.token_file, environ)
    if environ.get(VARIABLE, "").strip():
        return _checked(environ[VARIABLE].encode(errors="surrogateescape"), f"${VARIABLE}")
    directory = environ.get("CREDENTIALS_DIRECTORY")
    credential = Path(directory) / CREDENTIAL if directory else None
    if credential is None or not os.path.lexists(credential):
        return None
    return _from_file(credential, environ)


def _from_file(path: Path, environ: Mapping[str, str]) -> Token:
    """The token in a file that only its owner may open, or that systemd guards."""
    try:
        raw, mode = read_regular(path, _LONGEST + 1)
    except OSError as error:
        hint = "write the token into it, or correct source.token_file"
        why = error.strerror or type(error).__name__
        raise ConfigError([f"token file {path}: cannot be read: {why}; {hint}"]) from None
    if os.name == "posix" and mode & _OTHERS and not _guarded(path, environ):
        problem = f"others can read or write it (mode {stat.S_IMODE(mode):04o})"
        raise ConfigError([f"token file {path}: {problem}; chmod 600 {quote(str(path))}"])
    return _checked(raw, f"token file {path}")


def _guarded(path: Path, environ: Mapping[str, str]) -> bool:
    """Whether the file is a systemd credential: those are guarded by ACLs, not by their mode."""
    directory = environ.get("CREDENTIALS_DIRECTORY")
    if not directory:
        return False
    with suppress(OSError):
        return path.resolve().is_relative_to(Path(directory).resolve())
    return False


def _checked(raw: bytes, origin: str) -> Token:
    """A token that can stand in a header (RFC 6750, 2.1 names fewer characters than we allow)."""
    stripped = raw.removeprefix(b"\xef\xbb\xbf").strip()
    if not stripped:
        raise ConfigError([f"{origin}: is empty; put a personal access token there"])
    if len(stripped) > _LONGEST:
        raise ConfigError([f"{origin}: is too long for a token"])
    if not all(0x21 <= byte <= 0x7E for byte in stripped):  # noqa: PLR2004 - visible ASCII
        hint = "only the token itself belongs there, without the word Bearer"
        problem = f"{origin}: holds spaces, control or non-ASCII characters; {hint}"
        raise ConfigError([problem])
    return Token(stripped.decode("ascii"), origin)
