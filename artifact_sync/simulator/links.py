"""Signs temporary links and checks them.

Three styles: presigned as an S3-compatible store's (query ``X-Amz-*``; a simpler signature than
AWS's own, since only the simulator checks it), nginx's ``secure_link`` (checked by nginx where one
stands in front), and plain ones that never expire.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from math import ceil
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qs

if TYPE_CHECKING:
    from artifact_sync.simulator.scenario import Files

_STAMP = "%Y%m%dT%H%M%SZ"


class LinkRefusal(NamedTuple):
    """Why a request for a file is refused, in an object store's words."""

    status: int
    code: str
    message: str


LAPSED = LinkRefusal(403, "AccessDenied", "Request has expired")
UNSIGNED = LinkRefusal(403, "AccessDenied", "Access Denied")
MISSIGNED = LinkRefusal(
    403,
    "SignatureDoesNotMatch",
    "The request signature we calculated does not match the signature you provided.",
)


@dataclass(frozen=True)
class Signer:
    """Makes links without a query, which never expire, and accepts them."""

    secret: str
    lifetime: float

    def query(self, path: str, now: float) -> str:
        """The query of a link to this URL path, signed at ``now`` (UNIX time)."""
        del path, now
        return ""

    def judge(self, method: str, path: str, query: str, now: float) -> LinkRefusal | None:
        """Why a request is refused; None: it is accepted."""
        del method, path, query, now
        return None


class S3Signer(Signer):
    """Presigned links of S3. Method, path, date and lifetime are signed."""

    def query(self, path: str, now: float) -> str:
        """A query with ``X-Amz-Date`` and ``X-Amz-Expires``."""
        stamp = _stamp(int(now))
        expires = str(max(1, ceil(self.lifetime)))
        return (
            "X-Amz-Algorithm=AWS4-HMAC-SHA256"
            f"&X-Amz-Credential=simulator%2F{stamp[:8]}%2Fru-central1%2Fs3%2Faws4_request"
            f"&X-Amz-Date={stamp}&X-Amz-Expires={expires}&X-Amz-SignedHeaders=host"
            f"&X-Amz-Signature={self._sign('GET', path, stamp, expires)}"
        )

    def judge(self, method: str, path: str, query: str, now: float) -> LinkRefusal | None:
        """Check the signature first: an expired date might be forged."""
        fields = {name: values[0] for name, values in parse_qs(query).items()}
        stamp, expires = fields.get("X-Amz-Date", ""), fields.get("X-Amz-Expires", "")
        signature = fields.get("X-Amz-Signature", "")
        if not (stamp and expires and signature):
            return UNSIGNED
        if not _same(signature, self._sign(method, path, stamp, expires)):
            return MISSIGNED
        made = datetime.strptime(stamp, _STAMP).replace(tzinfo=UTC).timestamp()
        return LAPSED if now >= made + int(expires) else None

    def _sign(self, *parts: str) -> str:
        message = "\n".join(parts).encode("utf-8", "surrogateescape")
        return hmac.digest(self.secret.encode(), message, "sha256").hex()


class NginxSigner(Signer):
    """Links for nginx's ``ngx_http_secure_link_module``.

    With ``secure_link $arg_md5,$arg_expires`` and
    ``secure_link_md5 "$secure_link_expires$uri SECRET"``.
    """

    def query(self, path: str, now: float) -> str:
        """A query as in the module's documentation."""
        expires = str(ceil(now + self.lifetime))
        return f"md5={self._sign(expires, path)}&expires={expires}"

    def judge(self, method: str, path: str, query: str, now: float) -> LinkRefusal | None:
        """Refuse as the documentation proposes: 403 for no match, 410 when expired."""
        del method  # not signed
        fields = {name: values[0] for name, values in parse_qs(query).items()}
        expires = fields.get("expires", "")
        if not _same(fields.get("md5", ""), self._sign(expires, path)) or not expires.isdigit():
            return UNSIGNED
        return LinkRefusal(410, "Gone", "The link is out of date") if now > int(expires) else None

    def _sign(self, expires: str, uri: str) -> str:
        message = f"{expires}{uri} {self.secret}".encode("utf-8", "surrogateescape")
        md5 = hashlib.md5(message, usedforsecurity=False).digest()
        return urlsafe_b64encode(md5).decode().rstrip("=")


def signer(files: Files) -> Signer:
    """The signer of a scenario."""
    kind = {"s3": S3Signer, "nginx": NginxSigner, "plain": Signer}[files.style]
    return kind(files.secret, files.lifetime)


@lru_cache(maxsize=8)  # a run may have ten thousand links, made in the same second
def _stamp(now: int) -> str:
    return datetime.fromtimestamp(now, UTC).strftime(_STAMP)


def _same(given: str, right: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), right.encode())
