"""Reads and writes the rules that say what was let go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from artifact_sync.domain.forget_rules import ForgetRule, ForgetRules, ForgetScope
from artifact_sync.ledger.queries.transaction import find_repo

if TYPE_CHECKING:
    from collections.abc import Mapping

    from artifact_sync.domain.model import RepoName
    from artifact_sync.ledger.queries.transaction import Transaction
    from artifact_sync.ledger.sql.connection import Connection


def forget_rules(connection: Connection, repo: RepoName) -> ForgetRules:
    """The rules of a repository, in their order."""
    return ForgetRules(list(_rules(connection, repo).values()))


def begin_forgetting(tx: Transaction, rule: ForgetRule) -> None:
    """Add a rule, which replaces those that it covers."""
    known = _rules(tx.connection, rule.scope.repo)
    _replace(tx, known, ForgetRules(list(known.values())).forgetting(rule))


def end_forgetting(tx: Transaction, scope: ForgetScope) -> None:
    """All that was known of a scope is forgotten."""
    rules = _rules(tx.connection, scope.repo)
    ids = [{"id": row_id} for row_id, rule in rules.items() if rule.scope == scope]
    tx.connection.write_many("end_forgetting", ids)
    tx.connection.write("forget_last_error", id=find_repo(tx.connection, scope.repo))


def remember(tx: Transaction, scope: ForgetScope) -> None:
    """Take back what was let go, and have its runs looked at."""
    known = _rules(tx.connection, scope.repo)
    _replace(tx, known, ForgetRules(list(known.values())).remembering(scope))
    repo_id = find_repo(tx.connection, scope.repo)
    if not scope.glob:
        tx.connection.write(
            "unprune" if scope.run else "unprune_all", repo_id=repo_id, run=scope.run
        )
    statement = "unsettle_named" if scope.run else "unsettle_left_out"
    tx.connection.write(statement, repo_id=repo_id, run=scope.run)


def _rules(connection: Connection, repo: RepoName) -> Mapping[int, ForgetRule]:
    """The rules by the ids of their rows, which are in their order."""
    found = connection.rows("forget_rules", repo_id=find_repo(connection, repo))
    return {
        row_id: ForgetRule(ForgetScope(repo, run, glob), forgets, deletes, done)
        for row_id, run, glob, forgets, deletes, done in found
    }


def _replace(tx: Transaction, known: Mapping[int, ForgetRule], new: ForgetRules) -> None:
    """Write what differs; rules that stay are the same objects, and come first."""
    staying = set(map(id, new.rules))
    gone = [{"id": row_id} for row_id, rule in known.items() if id(rule) not in staying]
    tx.connection.write_many("drop_forget_rule", gone)
    for rule in new.rules[len(known) - len(gone) :]:
        scope = rule.scope
        facts = {"forgets": rule.forgets, "deletes": rule.deletes, "done": rule.done}
        which = {"repo_id": tx.repo_id(scope.repo), "run": scope.run, "glob": scope.glob}
        tx.connection.insert("make_forget_rule", **which, **facts)
