"""Reads what decides a pass over a repository whose list is as it was."""

from __future__ import annotations

from typing import TYPE_CHECKING

from artifact_sync.domain.forget_rules import ForgetRules
from artifact_sync.domain.request import Standing
from artifact_sync.ledger.queries.forget_rules import forget_rules
from artifact_sync.ledger.queries.runs import digest_key, noted_digest, selected

if TYPE_CHECKING:
    from artifact_sync.domain.model import RunScope
    from artifact_sync.ledger.sql.connection import Connection


def standing(connection: Connection, scope: RunScope) -> Standing:
    """How a repository stands, from one state of the ledger. ``LedgerTooNew``."""
    connection.check_version()
    which = selected(connection, scope)
    row = connection.row("standing", list_key=digest_key(which["repo_id"]), **which)
    if row is None:
        raise ValueError("a count without a row")
    value, last_pass, rules, unsettled, pruning, unextracted, *counts = row
    noted = noted_digest(value or "")
    return Standing(
        noted[0] if noted is not None else "",
        forget_rules(connection, scope.repo) if rules else ForgetRules(),
        int(unsettled),
        int(pruning),
        int(unextracted),
        tuple(map(int, counts)),
        last_pass,
    )
