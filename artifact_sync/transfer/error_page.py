"""Recognises object stores' error documents and maps errors to retry verdicts. Pure.

Decides by status and code, never by the message. Answers may be hostile: the code is extracted by
a bounded expression (no XML parser) and is safe to show.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from pathlib import PurePosixPath

from artifact_sync.domain.errors import (
    BadResponse,
    DownloadError,
    ErrorPage,
    LinkGone,
    LinkLapsed,
    RangeMismatch,
    RefusedResponse,
    Throttled,
)

_MOST = 4096
"""Bytes of a body that are examined; a store's document has its code in the first hundreds."""

_DOCUMENT = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*+"
    rb"(?:<\?xml[^<>]{0,200}\?>)?"
    rb"(?>\s|<!--.*?-->)*+"
    rb"<Error(?:\s[^<>]{0,300})?>"
    rb".*?<Code>\s*+(?P<code>[A-Za-z][A-Za-z0-9_.-]{0,63})\s*+</Code>",
    re.DOTALL,
)

_XML_SUFFIX = (
    r"(?i)\.(?:xml|xsd|xslt?|svg|rss|atom|wsdl|x?html?|xht|plist|nuspec|pom|resx|config|props"
    r"|targets|(?:cs|fs|vb|vcx)proj|trx)"
)

_CODES: dict[type[DownloadError], str] = {
    LinkLapsed: "AccessDenied ExpiredToken InvalidToken RequestExpired ExpiredRequest"
    " RequestTimeTooSkewed SignatureDoesNotMatch InvalidAccessKeyId TokenRefreshRequired"
    " AuthenticationFailed AuthorizationQueryParametersError",
    LinkGone: "NoSuchKey NoSuchBucket NoSuchVersion BlobNotFound ContainerNotFound"
    " ResourceNotFound",
    Throttled: "SlowDown TooManyRequests InternalError ServiceUnavailable RequestTimeout Throttling"
    " ThrottlingException RequestLimitExceeded ServerBusy OperationTimedOut",
}
_BY_CODE = {code: kind for kind, codes in _CODES.items() for code in codes.split()}

_BY_STATUS: dict[int, type[DownloadError]] = {
    HTTPStatus.UNAUTHORIZED: LinkLapsed,
    HTTPStatus.FORBIDDEN: LinkLapsed,
    HTTPStatus.NOT_FOUND: LinkGone,
    HTTPStatus.GONE: LinkGone,
    HTTPStatus.REQUEST_TIMEOUT: Throttled,
    HTTPStatus.TOO_EARLY: Throttled,
    HTTPStatus.TOO_MANY_REQUESTS: Throttled,
    HTTPStatus.PRECONDITION_FAILED: RangeMismatch,
    HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE: RangeMismatch,
}


def store_error(head: bytes, local_path: str) -> str | None:
    """The code of an error document in place of a file: ``NoSuchKey``.

    ``head``: the body's beginning, a kilobyte or all of it. None when it is no such document, or
    when the artifact is XML by its name: then an ``Error`` may well be what it holds.
    """
    code = _code(head)
    is_xml = re.fullmatch(_XML_SUFFIX, PurePosixPath(local_path).suffix)
    return code if code and not is_xml else None


def verdict_of_store_code(code: str) -> type[DownloadError]:
    """The error class of an object store's code."""
    return _BY_CODE.get(code, ErrorPage)


def failure_of_store_error(code: str) -> DownloadError:
    """The error of a 200 whose body is an error document with this code."""
    return verdict_of_store_code(code)(
        f"the file's server sent an error document ({code}) in place of the file"
    )


def failure_of_status(status: int, head: bytes, retry_after: float | None) -> DownloadError:
    """The error of an answer that is neither 200 nor 206.

    ``head``: the beginning of its body; ``retry_after``: seconds that it asks for.
    """
    code = _code(head)
    kind = _kind(status, code)
    message = f"the file's server answered {status}" + (f" ({code})" if code else "")
    return kind(message, retry_after=retry_after if kind is Throttled else None)


def _kind(status: int, code: str) -> type[DownloadError]:
    if status == HTTPStatus.BAD_REQUEST:
        kind = verdict_of_store_code(code)
        return kind if kind in {LinkLapsed, Throttled} else RefusedResponse
    by_class = {4: RefusedResponse, 5: Throttled}
    return _BY_STATUS.get(status) or by_class.get(status // 100, BadResponse)


def _code(head: bytes) -> str:
    document = _DOCUMENT.match(head[:_MOST])
    return document["code"].decode("ascii") if document else ""
