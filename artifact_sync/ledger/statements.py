"""Every statement of the ledger's verbs, written with SQLAlchemy. What for, the verbs tell.

What a verb gives is a ``bindparam``; constants are literal, so that nothing else is left to bind.
``frozen`` is made of these: ``python -m artifact_sync.ledger.freeze`` after each change of one.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from sqlalchemy import Delete, Select, Update

from artifact_sync.ledger import artifact_statements, run_statements
from artifact_sync.ledger.written import Change

if TYPE_CHECKING:
    from collections.abc import Mapping

STATEMENTS: Mapping[str, Any] = MappingProxyType(
    {
        name: it
        for module in (run_statements, artifact_statements)
        for name, it in vars(module).items()
        if isinstance(it, Select | Update | Delete | Change) and not name.startswith("_")
    }
)
"""By the names that ``frozen`` has them by: what SQLAlchemy carries out, or a ``Change``."""
