"""A webhook's signature: HMAC-SHA256 (RFC 2104) of the raw body, lower-case hex. Pure."""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

HEADER = "X-Src-Signature"

_FORM = re.compile(r"[0-9a-f]{64}")


def looks_right(signature: str) -> bool:
    """Whether it has the form of a signature; what has not is none."""
    return _FORM.fullmatch(signature) is not None


def is_right(signature: str, body: bytes, secrets: Iterable[bytes]) -> bool:
    """Whether one of the secrets has signed this body.

    Takes the same time whichever it was and however much of the signature is right.
    """
    given = signature.encode("ascii", "replace")  # what is not ASCII is wrong, too
    right = False
    for secret in secrets:
        expected = hmac.digest(secret, body, hashlib.sha256).hex().encode("ascii")
        right |= hmac.compare_digest(expected, given)
    return right
