"""Faults, and which requests they strike.

Faults are frozen structs, which ``reply`` and the two origins obey. Each says where it strikes
(``on`` and globs; what a request lacks is the empty string) and how often: always, the ``first`` N,
or ``every`` Nth matching request, counted over all of them or, with ``each``, for each artifact (or
API resource) by itself.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from email.utils import formatdate
from fnmatch import fnmatchcase
from math import ceil
from time import time
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from artifact_sync.runtime.units import parse_duration, parse_size

if TYPE_CHECKING:
    from collections.abc import Iterable

Fraction = Annotated[float, msgspec.Meta(ge=0, le=1)]
Seconds = Annotated[float, msgspec.Meta(ge=0, extra={"parse": parse_duration})]
Size = Annotated[int, msgspec.Meta(ge=0, extra={"parse": parse_size})]
Count = Annotated[int, msgspec.Meta(ge=1)]


class Fault(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"
):
    """Where and how often a fault strikes; subclasses say what it does."""

    on: Literal["file", "api"] = "file"
    endpoint: str = "*"
    """A glob over ``runs run workflow artifacts logs repos repo releases file``."""
    repo: str = "*"
    run: str = "*"
    cube: str = "*"
    path: str = "*"
    """A glob over ``local_path``. Of a request for a log it is the page's number; other requests to
    the API have none."""
    first: Count | None = None
    every: Count | None = None
    each: bool = False

    def matches(self, subject: Subject) -> bool:
        """Whether this applies to a request."""
        return self.on == subject.on and all(
            fnmatchcase(getattr(subject, name), getattr(self, name))
            for name in ("endpoint", "repo", "run", "cube", "path")
        )

    def strikes(self, nth: int) -> bool:
        """Whether this strikes the ``nth`` matching request (from 1)."""
        if self.first is not None and nth > self.first:
            return False
        return self.every is None or nth % self.every == 0


class StatusFault(Fault, frozen=True, kw_only=True, tag="status"):
    """Answer with an error in the origin's own form, XML or JSON."""

    status: Annotated[int, msgspec.Meta(ge=400, le=599)] = 503
    retry_after: Seconds | None = None
    retry_after_as: Literal["seconds", "date"] = "seconds"

    def headers(self) -> dict[str, str]:
        """``Retry-After``, if wanted, in either form (RFC 9110, 10.2.3)."""
        if self.retry_after is None:
            return {}
        if self.retry_after_as == "date":
            return {"retry-after": formatdate(time() + self.retry_after, usegmt=True)}
        return {"retry-after": str(ceil(self.retry_after))}


class CutFault(Fault, frozen=True, kw_only=True, tag="cut"):
    """Close the connection after this share of the body."""

    after: Fraction = 0.5


class Stall(Fault, frozen=True, kw_only=True, tag="stall"):
    """Send nothing for a while after this share of the body, then go on."""

    after: Fraction = 0.5
    seconds: Seconds = 3600.0


class Slow(Fault, frozen=True, kw_only=True, tag="slow"):
    """Send no more than so many bytes a second."""

    rate: Annotated[int, msgspec.Meta(ge=1, extra={"parse": parse_size})] = 1


class Delay(Fault, frozen=True, kw_only=True, tag="delay"):
    """Wait before answering."""

    seconds: Seconds = 1.0


class Flip(Fault, frozen=True, kw_only=True, tag="flip"):
    """Flip the lowest bit of one byte, at this share of the whole file."""

    at: Fraction = 0.5


class Truncate(Fault, frozen=True, kw_only=True, tag="truncate"):
    """Answer with the beginning of the body only, as if that were all."""

    after: Fraction = 0.5


class Lapse(Fault, frozen=True, kw_only=True, tag="lapse"):
    """Refuse the link as one that has lapsed."""


class IgnoreRange(Fault, frozen=True, kw_only=True, tag="ignore-range"):
    """Answer a request for a range with 200 and the whole file."""


class WrongRange(Fault, frozen=True, kw_only=True, tag="wrong-range"):
    """Answer a range request with 206 and another range or total."""

    shift: int = 1
    """How far behind the wanted offset the answer begins; negative: before it."""
    total: int = 0
    """What is added to the total that the answer tells."""


class ErrorPageFault(Fault, frozen=True, kw_only=True, tag="error-page"):
    """Answer 200 with an object store's XML error as the body."""

    code: str = "InternalError"


FileOnly = Flip | Lapse | IgnoreRange | WrongRange | ErrorPageFault
AnyFault = StatusFault | CutFault | Stall | Slow | Delay | Flip | Truncate | FileOnly


@dataclass(frozen=True, slots=True)
class Subject:
    """A request, as faults and counters see it."""

    on: Literal["file", "api"]
    endpoint: str
    repo: str = ""
    run: str = ""
    cube: str = ""
    path: str = ""


class FaultBox:
    """The faults in force and their counts. Safe from many threads."""

    def __init__(self, faults: Iterable[AnyFault] = ()) -> None:
        self._faults = tuple(faults)
        self._seen: Counter[tuple[int, Subject | None]] = Counter()

    def add(self, fault: AnyFault) -> None:
        """Put a fault in force, counted from now."""
        self._faults = (*self._faults, fault)

    def clear(self) -> None:
        """Remove all faults."""
        self._faults = ()
        self._seen.clear()

    def striking(self, subject: Subject) -> tuple[AnyFault, ...]:
        """Count a request, and return the faults that strike it."""
        struck = []
        for index, fault in enumerate(self._faults):
            if fault.matches(subject):
                counter = (index, subject if fault.each else None)
                self._seen[counter] += 1
                if fault.strikes(self._seen[counter]):
                    struck.append(fault)
        return tuple(struck)
