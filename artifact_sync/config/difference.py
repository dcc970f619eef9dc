"""Compares two configurations: what takes effect now, what after a restart."""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import TYPE_CHECKING

import msgspec

from artifact_sync.config.keys import HOOK, REPO, SECTIONS
from artifact_sync.config.urls import masked
from artifact_sync.domain.hooks import hook_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from artifact_sync.config.keys import Section
    from artifact_sync.config.value_types import ValueType
    from artifact_sync.domain.settings import Config

RESTART: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "mirror": (
            "root",
            "endpoint",
            "credentials_file",
            "staging",
            "layout",
            "durability",
            "must_be_mounted",
            "dedupe",
            "sign_command",
            "verify_command",
        ),
        "ledger": ("url",),
        "daemon": ("log_format",),
    }
)
"""Keys that take effect at the daemon's start only, by section."""


class Changes(msgspec.Struct, frozen=True):
    """Everything that differs; false when nothing does.

    By key (``download.jobs``, ``repo ORG/REPO`` or ``repo ORG/REPO.cron``): ``8 → 4``, ``added`` or
    ``removed``, without passwords.
    """

    live: Mapping[str, str] = MappingProxyType({})
    """Takes effect now."""
    restart: Mapping[str, str] = MappingProxyType({})
    """Takes effect after a restart."""

    def __bool__(self) -> bool:
        return bool(self.live or self.restart)


def compare(old: Config, new: Config) -> Changes:
    """List the differences in the order of the settings.

    The file's path and the order of repositories do not count. A password that changes shows as a
    change between two texts that read the same.
    """
    fixed = {f"{section}.{key}" for section, keys in RESTART.items() for key in keys}
    found = dict([*_in_sections(old, new), *_in_repositories(old, new), *_in_hooks(old, new)])
    return Changes(
        {key: change for key, change in found.items() if key not in fixed},
        {key: change for key, change in found.items() if key in fixed},
    )


def kept(old: Config, new: Config) -> Config:
    """The new configuration, with old values where a change needs a restart."""
    sections = {
        section: msgspec.structs.replace(
            getattr(new, section), **{key: getattr(getattr(old, section), key) for key in keys}
        )
        for section, keys in RESTART.items()
    }
    return msgspec.structs.replace(new, **sections)


def _in_sections(old: Config, new: Config) -> Iterator[tuple[str, str]]:
    for name, section in SECTIONS.items():
        yield from _keys(section, f"{name}.", getattr(old, name), getattr(new, name))


def _in_repositories(old: Config, new: Config) -> Iterator[tuple[str, str]]:
    before, after = ({repo.name: repo for repo in config.repo} for config in (old, new))
    for name in {**before, **after}:
        if name not in after:
            yield f"repo {name}", "removed"
        elif name not in before:
            yield f"repo {name}", "added"
        else:
            yield from _keys(REPO, f"repo {name}.", before[name], after[name])


def _in_hooks(old: Config, new: Config) -> Iterator[tuple[str, str]]:
    before, after = ({hook_name(hook): hook for hook in config.hook} for config in (old, new))
    for name in {**before, **after}:
        if name not in after:
            yield f"hook {name}", "removed"
        elif name not in before:
            yield f"hook {name}", "added"
        else:
            yield from _keys(HOOK, f"hook {name}.", before[name], after[name])


def _keys(
    section: Section, prefix: str, old: msgspec.Struct, new: msgspec.Struct
) -> Iterator[tuple[str, str]]:
    for key, kind in section.keys.items():
        before, after = getattr(old, key), getattr(new, key)
        if before != after:
            yield f"{prefix}{key}", f"{_shown(kind, before)} → {_shown(kind, after)}"


def _shown(kind: ValueType, value: object) -> str:
    """Format a value as ``config show`` does: one line, no passwords."""
    if value is None:
        return "not set"
    written = kind.show(kind.write(value))
    if isinstance(written, str):
        written = masked(written)
    text = json.dumps(written, ensure_ascii=False)
    return text if text.isprintable() else json.dumps(written)
