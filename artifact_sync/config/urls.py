"""Checks URLs and listen addresses, and masks their passwords."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from artifact_sync.config.value_types import expected
from artifact_sync.domain.settings import ObjectUrl

if TYPE_CHECKING:
    from artifact_sync.config.value_types import ExpansionScope

LAST_PORT = 65_535
_LONGEST_NAME = 253
"""Characters of a host's name (RFC 1035, 2.3.4, without lengths and root)."""

_SQLITE = r"(?s)(sqlite(?:\+pysqlite)?:///)([^?]*)(\?.*)?"
_POSTGRESQL = r"(?s)postgresql(\+[a-z0-9_]+)?://[^/?#]*/[^/?#]+(\?.*)?"
_USERINFO = r"(?<=://)([^/?#\s]*):([^/?#\s]*)@"
_CONFIDENTIAL_OPTION = r"(?i)([?&](?:password|passwd|sslpassword|token)=)[^&#\s]*"
_NAME = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_PORT = r"[0-9]{1,5}"
_DRIVE = r"[A-Za-z]:[/\\]"
_SCHEME = r"[A-Za-z][A-Za-z0-9+.-]+:/"
OBJECT_SCHEMES = ("s3", "gs", "az", "memory")


def base_url(text: str) -> str:
    """Check the API's address; it is returned without a slash at its end.

    The token goes there, so plain http is for this machine only, and nothing but an origin and a
    path may stand in it. The text is not repeated in an error: it may hold a credential.
    """
    parts = _split(text, ("http", "https"))
    if parts.username is not None or parts.password is not None:
        raise ValueError(
            "a user or password does not belong in it; the token comes from token_file"
        )
    if parts.query or parts.fragment or text.endswith(("?", "#")):
        raise ValueError("expected an address without ? and #")
    if parts.scheme == "http" and not _loopback(parts.hostname or ""):
        raise ValueError("http to another machine would send the token in clear; write https://")
    return text.rstrip("/")


def hook_url(text: str) -> str:
    """Check a hook's address. It may be a secret, and is not repeated."""
    parts = _split(text, ("http", "https"))
    if parts.scheme == "http" and not _loopback(parts.hostname or ""):
        raise ValueError(
            "http to another machine can be read and changed on its way; write https://"
        )
    if parts.fragment or text.endswith("#"):
        raise ValueError("expected an address without #")
    return text


def hidden(text: object) -> str:
    """An address of which no more is shown than scheme and host."""
    parts = urlsplit(str(text))
    port = f":{parts.port}" if parts.port else ""
    bare = str(text) == f"{parts.scheme}://{parts.hostname}{port}"
    return f"{parts.scheme}://{parts.hostname}{port}{'' if bare else '/…'}"


def is_object_url(text: str) -> bool:
    """Whether it is the URL of something, and no path."""
    return re.match(_SCHEME, text) is not None


def object_url(text: str) -> ObjectUrl:
    """Check the address of a mirror in an object store.

    It is not repeated in an error: it may hold keys.
    """
    parts = _split(text, OBJECT_SCHEMES)
    if "@" in parts.netloc:
        raise ValueError(
            "credentials do not belong in it; they come from the environment ($AWS_ACCESS_KEY_ID,"
            " …), mirror.credentials_file or systemd's credential store-credentials"
        )
    if parts.query or parts.fragment or text.endswith(("?", "#")):
        raise ValueError("expected s3://BUCKET/PREFIX without ? and #")
    path = parts.path.strip("/")
    if any(it in {"", ".", ".."} for it in path.split("/")) and path:
        raise ValueError("expected a prefix without //, . and ..")
    return ObjectUrl(f"{parts.scheme}://{parts.netloc}/{path}".rstrip("/"))


def endpoint(text: str) -> str:
    """Check the address of an object store, which holds no credentials."""
    parts = _split(text, ("http", "https"))
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError("expected https://HOST:PORT without credentials, ? and #")
    return text.rstrip("/")


def proxy(text: str) -> str:
    """Check an HTTP proxy's address, which may hold credentials but no path."""
    parts = _split(text, ("http", "https"))
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError("expected http://HOST:PORT with nothing behind it")
    return text


def listen_address(text: str) -> tuple[str, int]:
    """Parse ``HOST:PORT``, ``[::1]:PORT``, ``:PORT`` or ``PORT``. ``ValueError``.

    Without a host it is 127.0.0.1, out of reach for other machines. Port 0 is any free one.
    """
    host, _, port = text.strip().rpartition(":")
    host = host or "127.0.0.1"
    if not re.fullmatch(_PORT, port) or int(port) > LAST_PORT or not _is_host(host):
        raise expected("HOST:PORT, [::1]:PORT or, for this machine only, :PORT", text)
    return host.strip("[]"), int(port)


def listen(text: str) -> str:
    """Normalise a listen address to ``HOST:PORT``."""
    host, port = listen_address(text)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def database_url(text: str, scope: ExpansionScope) -> str:
    """Check a URL of SQLite or PostgreSQL; make a file's path absolute."""
    if match := re.fullmatch(_SQLITE, text):
        return _sqlite(match, scope)
    if re.fullmatch(_POSTGRESQL, text):
        return text
    if text.startswith("postgres://"):
        raise ValueError("the scheme is spelt postgresql://")
    raise ValueError("expected sqlite:///FILE or postgresql://HOST/DATABASE")


def _sqlite(match: re.Match[str], scope: ExpansionScope) -> str:
    prefix, file, options = match[1], match[2], match[3] or ""
    if file in ("", ":memory:") or file.startswith("file:"):
        raise ValueError("the ledger must be a plain file: one in memory forgets everything")
    path = file if re.match(_DRIVE, file) else scope.path(file).as_posix()
    return f"{prefix}{path}{options}"


def masked(text: str) -> str:
    """Replace passwords in URLs by ``***``."""
    return re.sub(_CONFIDENTIAL_OPTION, r"\1***", re.sub(_USERINFO, r"\1:***@", text))


def _split(text: str, schemes: tuple[str, ...]) -> SplitResult:
    """Split a URL with one of these schemes, a host and a valid port."""
    if any(character.isspace() or not character.isprintable() for character in text):
        raise ValueError("an address cannot hold spaces or control characters")
    wanted = " or ".join(f"{scheme}://" for scheme in schemes)
    msg = f"expected an address that begins with {wanted} and names a host"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError(msg) from None
    if parts.scheme not in schemes or not parts.hostname or port == 0:
        raise ValueError(msg)
    return parts


def _is_host(text: str) -> bool:
    """Whether the text is a name, an IPv4 address or a bracketed IPv6 address."""
    if text.startswith("[") and text.endswith("]"):
        return isinstance(_address(text[1:-1]), ipaddress.IPv6Address)
    labels = text.split(".")
    if labels[-1].isdecimal():
        return isinstance(_address(text), ipaddress.IPv4Address)
    return len(text) <= _LONGEST_NAME and all(re.fullmatch(_NAME, label) for label in labels)


def _loopback(host: str) -> bool:
    """Whether a host is this machine, by its name (RFC 6761, 6.3) or address."""
    address = _address(host)
    if address is None:
        return host == "localhost" or host.endswith(".localhost")
    return address.is_loopback


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
