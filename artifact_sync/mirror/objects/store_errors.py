"""Translates the store's errors, none of whose text is shown: it may hold keys."""

from __future__ import annotations

import re
from types import MappingProxyType

from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    InvalidPathError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)

from artifact_sync.domain.errors import BucketAbsent, DiskError, NoSpace, StoreUnreachable

_RETRIED = re.compile(r"after [1-9][0-9]* retries")
"""It was tried again, for as long as is of use."""

_STATUS = re.compile(r"status code: ([0-9]{3})")
_CODE = re.compile(r"<Code>([A-Za-z0-9]{1,64})</Code>")
_FULL = frozenset({"QuotaExceeded", "XMinioStorageFull", "StorageFull", "InsufficientStorage"})
_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"})
_DAMAGED = frozenset({"BadDigest", "XAmzContentSHA256Mismatch", "InvalidDigest", "IncompleteBody"})
_LOST = frozenset({"NoSuchUpload", "InvalidPart"})
"""Somebody has removed the parts of an upload."""
_NO_LOCATION = "redirect without LOCATION"
"""What obstore says of a redirect that does not tell where to."""
_ELSEWHERE = "PermanentRedirect"
_AWAY = "is in another region or at another address: set AWS_REGION or mirror.endpoint"
_OURS = MappingProxyType(
    {
        _ELSEWHERE: _AWAY,
        "AuthorizationHeaderMalformed": _AWAY,
        "RequestTimeTooSkewed": "finds this machine's clock wrong: set it",
    }
)
"""What is wrong on our side, by the store's code."""
_DENIALS = (PermissionDeniedError, UnauthenticatedError)
_DENIED = frozenset({401, 403})
"""Of listings obstore tells no more than the status."""
_NO_SPACE = 507
_ASKS_TO_WAIT = frozenset({408, 409, 425, 429})
_FIRST_OF_SERVER = 500


class Conflict(Exception):
    """The object is not as the condition wants it."""


class Passing(Exception):
    """Trying again may help; else ``error`` is to be said."""

    def __init__(self, error: DiskError) -> None:
        self.error = error
        super().__init__(str(error))


def store_error_of(error: Exception, url: str, what: str, *, conditional: bool) -> Exception:
    """Translate an error of a call; one that is not the store's stays.

    ``Conflict``, ``Passing``, ``BucketAbsent``, ``NoSpace``, ``StoreUnreachable``, ``DiskError``;
    ``FileNotFoundError`` stays for an absent object. ``what``: a noun, without secrets.
    ``conditional``: the call has a condition, of which 409 and 412 speak.
    """
    if conditional and isinstance(error, (AlreadyExistsError, PreconditionError)):
        return Conflict()
    if isinstance(error, FileNotFoundError):
        code = _CODE.search(str(error))
        is_absent = code is None or code[1] not in _LOST | {"NoSuchBucket"}
        return error if is_absent else _translated(error, url, what)
    if isinstance(error, (BaseError, OSError, ValueError)):
        return _translated(error, url, what)
    return error


def _translated(error: Exception, url: str, what: str) -> Exception:
    text = str(error)
    found, coded = _STATUS.search(text), _CODE.search(text)
    status, code = int(found[1]) if found else 0, coded[1] if coded else ""
    said = " ".join(filter(None, [str(status) if status else "", code]))
    is_denied = isinstance(error, _DENIALS) or status in _DENIED or code in _EXPIRED
    if is_denied and code not in _FULL | _OURS.keys():  # some stores tell of their quota so
        return _denied(url, what, said, passing=code in _EXPIRED)
    if code == "NoSuchBucket":
        return BucketAbsent(url)
    if isinstance(error, (InvalidPathError, ValueError)):
        flaw = "has a key with //, /./ or a control character: remove it"
        return DiskError(f"{what}: an object there {flaw}")
    code = _ELSEWHERE if _NO_LOCATION in text else code
    told = _answered(status, code, said, f"{what}: the object store {url}")
    if isinstance(told, Passing) and _RETRIED.search(text):
        return told.error
    return told


def _answered(status: int, code: str, said: str, store: str) -> Exception:
    """What a status, 0 for none, and a code mean."""
    if code in _FULL or status == _NO_SPACE:
        return NoSpace(f"{store} is full or over quota ({said}): make room, and run it again")
    if code in _OURS:
        return DiskError(f"{store} {_OURS[code]}")
    is_refusal = 0 < status < _FIRST_OF_SERVER and status not in _ASKS_TO_WAIT
    if is_refusal and code not in _DAMAGED | _LOST:
        return DiskError(f"{store} refuses what was asked ({said})")
    why = f" ({said})" if said else ""
    error = StoreUnreachable(
        f"{store} does not answer as it should{why}: look at it, and run it again"
    )
    return error if status >= _FIRST_OF_SERVER else Passing(error)


def _denied(url: str, what: str, said: str, *, passing: bool) -> Exception:
    words = f"({said})" if said else "(no usable credentials)"
    error = DiskError(
        f"{what}: the object store {url} refuses these credentials {words}: check them, and their"
        " right to it"
    )
    return Passing(error) if passing else error
