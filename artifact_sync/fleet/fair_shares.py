"""Shares out a rate by leases that never add up to more. Pure.

Times are seconds of one clock, the server's. A process has its lease's ``rate`` until its end, and
then for a while a fixed ``share``, which is kept for it in case it cannot renew.
"""

from __future__ import annotations

from math import ceil, floor, inf
from typing import TYPE_CHECKING

from msgspec import Struct, field
from msgspec.structs import replace

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SHORTEST = 1.0
"""Seconds of a lease."""
_UNITS = 1.25
"""As many units as a lease is long at least, so that one can be taken."""
RESERVE = 15.0
"""Seconds for which a share is kept beyond the lease."""
_CRUMB = 1e-9


class RateLease(Struct, frozen=True):
    """What one process may take a second, and until when."""

    want: float = 0.0
    """What it could use a second."""
    rate: float = 0.0
    until: float = 0.0
    share: float = 0.0
    """What it may take from then on, at most ``rate``; as if one more process had come."""
    reserved: float = 0.0
    """The end of its share."""
    served: float = 0.0
    """When it was last given something."""

    def at(self, now: float) -> float:
        """What it may take a second at a moment."""
        if now < self.until:
            return self.rate
        return self.share if now < self.reserved else 0.0

    def claim(self, now: float) -> float:
        """What it wants at a moment.

        Who does not renew wants no more than its share.
        """
        return self.want if now < self.until else self.share

    def lesser(self, other: RateLease) -> RateLease:
        """What both allow, while nobody knows which of them holds."""
        return replace(
            self,
            rate=min(self.rate, other.rate),
            until=min(self.until, other.until),
            share=min(self.share, other.share, self.rate, other.rate),
            reserved=min(self.reserved, other.reserved),
        )

    def moved(self, seconds: float) -> RateLease:
        """The same by another clock, which is so far ahead."""
        return replace(self, until=self.until + seconds, reserved=self.reserved + seconds)


class LimitTerms(Struct, frozen=True):
    """How one limit is shared out."""

    limit: float
    """What all may take a second."""
    whole: bool = False
    """Whether what is taken are whole things, which would add up to one too many a process."""

    @property
    def unit(self) -> float:
        """What a rate is a multiple of, unless one process has the limit alone."""
        return self.limit / ceil(self.limit) if self.whole else 0.0

    @property
    def seconds(self) -> float:
        """How long a lease lasts."""
        return max(SHORTEST, _UNITS / self.unit) if self.unit else SHORTEST


class SharedRate(Struct, frozen=True):
    """All leases of one limit, by the names of processes."""

    leases: dict[str, RateLease] = field(default_factory=dict)
    ended: float = 0.0
    """When the latest of those that have gone has ended."""

    def renewed(self, name: str, want: float, terms: LimitTerms, now: float) -> SharedRate:
        """With a new lease for one process, which is ``leases[name]`` from then on."""
        present = self._swept(terms, now)
        others = {key: it for key, it in present.leases.items() if key != name}
        old = present.leases.get(name, RateLease())
        mine = replace(old, want=min(want, terms.limit), until=now + terms.seconds)
        free = terms.limit - sum(it.at(now) for it in others.values())
        rate = max(min(_fair(name, {**others, name: mine}, terms, now), free), 0.0)
        if others:
            rate = _whole(rate, terms.unit)
        lease = replace(
            mine,
            rate=rate,
            share=min(rate, _whole(terms.limit / (len(others) + 2), terms.unit)),
            reserved=mine.until + RESERVE,
            served=now if rate else old.served,
        )
        return SharedRate({**others, name: lease}, present.ended)

    def released(self, name: str, now: float) -> SharedRate:
        """Without the lease of a process that gives it back."""
        others = {key: it for key, it in self.leases.items() if key != name}
        return SharedRate(others, now if name in self.leases else self.ended)

    def unused(self, name: str, now: float) -> float:
        """Seconds for which nobody but this process can have taken anything."""
        if any(now < it.reserved for key, it in self.leases.items() if key != name):
            return 0.0
        return max(now - max([self.ended, *(it.reserved for it in self.leases.values())]), 0.0)

    def _swept(self, terms: LimitTerms, now: float) -> SharedRate:
        """Without leases that are over, or of a clock that has been set back since."""
        end = now + 2 * (terms.seconds + RESERVE)
        kept = {key: it for key, it in self.leases.items() if now < it.reserved <= end}
        gone = [it.reserved for key, it in self.leases.items() if key not in kept]
        return SharedRate(kept, min(max([self.ended, *gone]), now))


def _fair(name: str, leases: Mapping[str, RateLease], terms: LimitTerms, now: float) -> float:
    """What one process should have: what it wants, but no more than those who want more."""
    if len(leases) == 1:
        return terms.limit
    claims = {key: it.claim(now) for key, it in leases.items()}
    level = _level(sorted(claims.values()), terms.limit)
    rest = (terms.limit - sum(min(it, level) for it in claims.values())) / len(claims)
    rates = {key: min(it, level) + rest for key, it in claims.items()}
    return _rounded(name, rates, leases, terms.unit, now) if terms.unit else rates[name]


def _rounded(
    name: str,
    rates: Mapping[str, float],
    leases: Mapping[str, RateLease],
    unit: float,
    now: float,
) -> float:
    """A rate in whole units; what rounding leaves goes round.

    Who renews comes last, else somebody who has nothing would never have anything.
    """
    whole = {key: _whole(rate, unit) for key, rate in rates.items()}
    left = round((sum(rates.values()) - sum(whole.values())) / unit)
    served = {key: it.served for key, it in leases.items()}
    if leases[name].rate:
        served[name] = now
    short = [key for key, rate in rates.items() if rate > whole[key] + _CRUMB]
    turns = sorted(short, key=lambda key: (served[key], key))
    return whole[name] + (unit if name in turns[:left] else 0.0)


def _level(claims: Sequence[float], limit: float) -> float:
    """The level to which claims, in order, are met, so that together they are the limit."""
    left = limit
    for place, claim in enumerate(claims):
        even = left / (len(claims) - place)
        if claim > even:
            return even
        left -= claim
    return inf


def _whole(rate: float, unit: float) -> float:
    return floor(rate / unit + _CRUMB) * unit if unit else rate
