"""Completes repositories and runs in a shell, from configuration and ledger."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from artifact_sync.cli.session import Session, traced_configuration

if TYPE_CHECKING:
    from collections.abc import Sequence

    import click
    from click.shell_completion import CompletionItem

    from artifact_sync.domain.model import RepoName
    from artifact_sync.domain.settings import Config


def complete_repositories(
    ctx: click.Context, _: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Complete a repository that is mirrored or configured, once."""
    names: dict[str, None] = {}
    with contextlib.suppress(Exception):  # nothing is known then, and a shell wants no words
        config = _config(ctx)
        names |= dict.fromkeys(settings.name for settings in config.repo)
        names |= dict.fromkeys(map(str, _mirrored(config)))
    return _items([name for name in names if name not in ctx.params.get("repos", ())], incomplete)


def complete_runs(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete a run of the repositories before it, else of all; the newest first."""
    slugs: dict[str, None] = {}
    with contextlib.suppress(Exception):  # as above
        from artifact_sync.app.read_ledger import read_newest_runs  # noqa: PLC0415 - only here

        config, named = _config(ctx), ctx.params.get("repos") or _one(ctx)
        for repo in _mirrored(config):
            if not named or str(repo) in named:
                slugs |= dict.fromkeys(row.key.run for row in read_newest_runs(config, repo))
    return _items(list(slugs), incomplete)


def complete_named_runs(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Complete a run by its number, or as ``latest``."""
    from artifact_sync.domain.listing import NEWEST  # noqa: PLC0415 - only here

    return complete_runs(ctx, param, incomplete) + _items(NEWEST, incomplete)


def complete_places(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Complete a repository and, behind ``@``, a run of it."""
    repo, at, run = incomplete.partition("@")
    if not at:
        return complete_repositories(ctx, param, incomplete)
    ctx.params["repo"] = repo
    found = complete_named_runs(ctx, param, run)
    return _items([f"{repo}@{it.value}" for it in found], incomplete)


def _one(ctx: click.Context) -> tuple[str, ...]:
    """The repository of a command that takes one."""
    name = ctx.params.get("repo")
    return (name,) if name else ()


def _items(words: Sequence[str], incomplete: str) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem  # noqa: PLC0415 - only for completion

    return [CompletionItem(it) for it in words if it.startswith(incomplete) and it.isprintable()]


def _config(ctx: click.Context) -> Config:
    """The configuration that the words so far lead to."""
    from artifact_sync.app.selection import Overrides, with_overrides  # noqa: PLC0415 - only here

    known = ctx.ensure_object(Session)
    file = ctx.params.get("config_file") or known.config_file
    config = traced_configuration(file, known).config
    root = ctx.params.get("root")
    return with_overrides(config, Overrides(root=root)) if root else config


def _mirrored(config: Config) -> Sequence[RepoName]:
    from artifact_sync.app.read_ledger import read_totals  # noqa: PLC0415 - only here

    return [it.repo for it in read_totals(config)]
