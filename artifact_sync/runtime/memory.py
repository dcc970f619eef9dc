"""How much memory the process may have."""

from __future__ import annotations

import math


def address_space() -> float:
    """Bytes that this process may address (``ulimit -v``)."""
    try:
        import resource  # noqa: PLC0415 - Unix only
    except ImportError:
        return math.inf
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return math.inf if limit == resource.RLIM_INFINITY else limit
