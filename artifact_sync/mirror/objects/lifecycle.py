"""Asks S3 whether a bucket's rules remove abandoned uploads: one signed request."""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from artifact_sync.mirror.objects.credentials import aws_keys, credentials_file

if TYPE_CHECKING:
    from collections.abc import Mapping

    from artifact_sync.mirror.objects.open_bucket import StoreTerms

_ALGORITHM = "AWS4-HMAC-SHA256"
_EMPTY = hashlib.sha256(b"").hexdigest()
_TIMEOUT = 15.0
_MOST = 1 << 20
_OK, _ABSENT = 200, 404


def removes_abandoned_parts(url: str, terms: StoreTerms, environ: Mapping[str, str]) -> bool | None:
    """Whether a rule of the bucket does; None: it does not tell us. ``UsageError``."""
    place = urlsplit(url)
    keys = _keys(terms, environ)
    if place.scheme != "s3" or keys is None:
        return None
    region = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    named = (terms.endpoint, environ.get("AWS_ENDPOINT_URL_S3"), environ.get("AWS_ENDPOINT_URL"))
    endpoint = next(filter(None, named), f"https://s3.{region}.amazonaws.com")
    status, body = _asked(endpoint, f"/{quote(place.netloc)}", region, keys)
    if status == _ABSENT and b"NoSuchLifecycleConfiguration" in body:
        return False
    if status != _OK:
        return None
    rules = body.split(b"<Rule>")[1:]
    return any(
        b"<AbortIncompleteMultipartUpload>" in it and b"<Status>Enabled</Status>" in it
        for it in rules
    )


def _keys(terms: StoreTerms, environ: Mapping[str, str]) -> tuple[str, str, str] | None:
    file = credentials_file(terms.credentials, "s3", environ)
    if file is not None:
        held = aws_keys(environ.get("AWS_PROFILE", "default"), file)
        return held["access_key_id"], held["secret_access_key"], held["token"] or ""
    key, secret = environ.get("AWS_ACCESS_KEY_ID"), environ.get("AWS_SECRET_ACCESS_KEY")
    return (key, secret, environ.get("AWS_SESSION_TOKEN", "")) if key and secret else None


def _asked(endpoint: str, path: str, region: str, keys: tuple[str, str, str]) -> tuple[int, bytes]:
    """Status and body; 0: no answer."""
    place = urlsplit(endpoint)
    kind = HTTPConnection if place.scheme == "http" else HTTPSConnection
    connection = kind(place.netloc, timeout=_TIMEOUT)
    path = place.path.rstrip("/") + path
    try:
        headers = _signed(place.netloc, path, region, keys, datetime.now(UTC))
        connection.request("GET", f"{path}?lifecycle=", headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read(_MOST)
    except (OSError, HTTPException):
        return 0, b""
    finally:
        connection.close()


def _signed(
    host: str, path: str, region: str, keys: tuple[str, str, str], now: datetime
) -> Mapping[str, str]:
    """The headers of a GET of ``?lifecycle``, with AWS's signature, version 4."""
    key, secret, token = keys
    headers = {"host": host, "x-amz-content-sha256": _EMPTY, "x-amz-date": f"{now:%Y%m%dT%H%M%SZ}"}
    if token:
        headers["x-amz-security-token"] = token
    names = ";".join(headers)
    lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
    asked = f"GET\n{path}\nlifecycle=\n{lines}\n{names}\n{_EMPTY}"
    scope = f"{now:%Y%m%d}/{region}/s3/aws4_request"
    digest = hashlib.sha256(asked.encode()).hexdigest()
    signed = f"{_ALGORITHM}\n{headers['x-amz-date']}\n{scope}\n{digest}"
    derived = f"AWS4{secret}".encode()
    for part in (*scope.split("/"), signed):
        derived = hmac.digest(derived, part.encode(), "sha256")
    credential = f"Credential={key}/{scope}, SignedHeaders={names}, Signature={derived.hex()}"
    return {**headers, "authorization": f"{_ALGORITHM} {credential}"}
