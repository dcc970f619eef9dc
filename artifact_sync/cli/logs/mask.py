"""Masks tokens, passwords and links in text."""

from __future__ import annotations

import re

HIDDEN = "***"

_LINK = r"(?i)\b(https?|socks5h?)://(?:[^\s/?#\"'<>@]*@)?([^\s/?#\"'<>]*)([^\s\"'<>]*)"
_USERINFO = r"(?<=://)[^\s/?#\"'<>@]*@"
_BEARER = r"(?i)\b(bearer|basic)\s+[^\s\"',]+"
_CREDENTIAL = r"\bpv1_[A-Za-z0-9_.~+/=-]+|\beyJ[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*){1,4}"
_SIGNATURE = r"(?i)\b((?:x-amz|x-goog)-(?:signature|credential|security-token)=)[^\s&]+"
_SHORTEST = 4  # a shorter secret would blot out ordinary words


class Mask:
    """Hides secrets in text: known ones, and what looks like one."""

    def __init__(self) -> None:
        self._secrets: set[str] = set()

    def add(self, secret: str | None) -> None:
        """Hide this text from now on."""
        if secret and len(secret.strip()) >= _SHORTEST:
            self._secrets.add(secret.strip())

    def __call__(self, text: str) -> str:
        """Mask a text. A link keeps its scheme and host: ``https://host/…``."""
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, HIDDEN)
        text = re.sub(_LINK, _origin, text)
        text = re.sub(_USERINFO, f"{HIDDEN}@", text)
        text = re.sub(_BEARER, rf"\1 {HIDDEN}", text)
        return re.sub(_CREDENTIAL, HIDDEN, re.sub(_SIGNATURE, rf"\1{HIDDEN}", text))


def _origin(match: re.Match[str]) -> str:
    scheme, host, rest = match.groups()
    return f"{scheme}://{host}/…" if rest else f"{scheme}://{host}"
