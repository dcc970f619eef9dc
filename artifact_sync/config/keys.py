"""Every key of the configuration and the type of its value."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from artifact_sync.config import bandwidth_limit, urls, value_types
from artifact_sync.domain import settings
from artifact_sync.domain.globs import glob_problem
from artifact_sync.domain.hooks import HookEvent
from artifact_sync.domain.model import EVENTS, FINISHED, UNFINISHED, RepoName
from artifact_sync.runtime.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from artifact_sync.config.value_types import ExpansionScope, ValueType

SHORTEST_INTERVAL = 1.0
LONGEST_INTERVAL = 366 * 86_400.0

LONGEST_EVERY = 10 * LONGEST_INTERVAL
"""Ten years: who wants less has no need of it."""

LONGEST_TIMEOUT = 3600.0
_HOOK_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}"

_TOKENS = frozenset({"token", "api_token", "password"})
_SECRETS = frozenset({"secret", "secrets", "webhook_secret", "webhook_secrets", "hook_secret"})

_UNFINISHED = MappingProxyType(
    dict.fromkeys(UNFINISHED, "is not a finished status, and only finished runs are mirrored")
)


class Section(Struct, frozen=True):
    """A table of the configuration: its keys and the settings that it fills."""

    settings: type[msgspec.Struct]
    keys: Mapping[str, ValueType]

    @property
    def defaults(self) -> Mapping[str, object]:
        """Keys that may be left out, and their defaults; None: no value."""
        fields = msgspec.structs.fields(self.settings)
        return {field.name: field.default for field in fields if not field.required}

    @property
    def optional(self) -> frozenset[str]:
        """Keys that may have no value."""
        return frozenset(key for key, default in self.defaults.items() if default is None)


_URL = (
    r"(?i)(?:(?:https?|ssh|git)://)?(?:[^/@]*@)?(?:[\w-]+\.)*sourcecraft\.(?:dev|tech)"
    r"(?::\d+/|[:/])(?:(?<=\.tech/)repos/)?([^?#]+).*"
)
_RUN = r"[^/]+/[^/]+/(?:.*/)?runs/([0-9]+)(?:/.*)?"

_SLUG = r"[A-Za-z0-9_-][A-Za-z0-9._-]*"


def repo_name(text: str) -> str:
    """Read ``org/repo`` or ``org/*``, also from a pasted URL. ``ValueError`` for anything else."""
    msg = f"expected ORG/REPO or ORG/*, got {value_types.toml_text(text)}"
    name = _pasted(text)
    try:
        org, repo = RepoName.parse(name)
    except ValueError:
        raise ValueError(msg + _organisation_hint(name)) from None
    odd = {"*", "?", "[", "]"} & set(org + ("" if repo == "*" else repo))
    if odd or {org, repo} & {".", ".."} or not name.isprintable():
        raise ValueError(msg)
    return name


def pasted_run(text: str) -> str | None:
    """The run whose page has this URL; None: it is another text."""
    url = re.fullmatch(_URL, text.strip())
    run = re.fullmatch(_RUN, url[1]) if url else None
    return run[1] if run else None


def _organisation_hint(name: str) -> str:
    """``acme`` or its page: what stands for all of its repositories."""
    return f'; write "{name}/*" for all of its repositories' if re.fullmatch(_SLUG, name) else ""


def _pasted(text: str) -> str:
    """``org/repo`` of a page or of what ``git clone`` takes, at the service's own hosts."""
    if match := re.fullmatch(_URL, text.strip()):
        return "/".join(match[1].split("/")[:2]).removesuffix(".git")
    return text.removesuffix("/")


def _cron(text: str) -> str:
    from artifact_sync.domain.cron import check_cron  # noqa: PLC0415 - zones and cron are slow to import

    check_cron(text)
    return text


def _time_zone(text: str) -> str:
    from artifact_sync.domain.cron import time_zone  # noqa: PLC0415 - likewise

    time_zone(text)
    return text


def _check_interval(seconds: float) -> None:
    if seconds < SHORTEST_INTERVAL:
        raise ValueError("expected an interval of at least 1s, to be polite to the service")
    if seconds > LONGEST_INTERVAL:
        raise ValueError(f"expected an interval of at most {format_duration(LONGEST_INTERVAL)}")


def _check_every(seconds: float) -> None:
    if not SHORTEST_INTERVAL <= seconds <= LONGEST_EVERY:
        longest = format_duration(LONGEST_EVERY)
        raise ValueError(f'expected a duration from 1s to {longest}, or "off"')


def _check_timeout(seconds: float) -> None:
    if not 1 <= seconds <= LONGEST_TIMEOUT:
        raise ValueError(f"expected a duration from 1s to {format_duration(LONGEST_TIMEOUT)}")


def _hook_name(text: str) -> str:
    if not re.fullmatch(_HOOK_NAME, text):
        raise ValueError(
            "expected a name of letters, digits, dots, dashes and underscores, up to 40"
        )
    return text


def _glob(text: str) -> str:
    if problem := glob_problem(text):
        raise ValueError(problem)
    return text


def _argument(text: str) -> str:
    if "\0" in text:
        raise ValueError("an argument of a program cannot hold the character NUL")
    return text


_GLOBS = value_types.many(value_types.text(_glob, "glob"))
_INTERVAL = value_types.duration(
    _check_interval, minimum=SHORTEST_INTERVAL, maximum=LONGEST_INTERVAL
)
_HOOK_URL = replace(value_types.text(urls.hook_url, "URL", format="uri"), show=urls.hidden)
_TIME_ZONE = value_types.text(_time_zone, "IANA time zone")

_COUNT = value_types.integer(1, 1_000_000)

REPO_KEEP = Section(
    settings.RepoKeepSettings,
    {
        "last": _COUNT,
        "last_success": _COUNT,
        "hourly": _COUNT,
        "daily": _COUNT,
        "weekly": _COUNT,
        "monthly": _COUNT,
        "yearly": _COUNT,
        "within": value_types.duration(),
        "max_size": value_types.byte_size(1),
        "max_share": value_types.share(),
        "schedule": value_types.text(_cron, "cron expression"),
        "displaced": value_types.duration(),
    },
)
"""The value of ``keep`` in ``[[repo]]``."""


def _repo_keep(value: Mapping[str, object], scope: ExpansionScope) -> settings.RepoKeepSettings:
    """Read ``keep`` of a repository. Each argument of ``ValueError`` is a problem."""
    values, problems = {}, []
    for key, content in value.items():
        if key not in REPO_KEEP.keys:
            problems.append(f"{key}: {_no_keep_key(key)}")
            continue
        try:
            values[key] = REPO_KEEP.keys[key].read(content, scope)
        except ValueError as error:
            problems += [f"{key}: {problem}" for problem in error.args]
    if problems:
        raise ValueError(*problems)
    return settings.RepoKeepSettings(**values)


def _no_keep_key(key: str) -> str:
    hint = value_types.did_you_mean(key, REPO_KEEP.keys)
    return f"unknown key; {hint or 'known: ' + ', '.join(REPO_KEEP.keys)}"


def _keep_table(keep: settings.RepoKeepSettings) -> dict[str, object]:
    """What is set of ``keep``, as TOML has it."""
    defaults = REPO_KEEP.defaults
    held = {key: getattr(keep, key) for key in REPO_KEEP.keys}
    return {key: REPO_KEEP.keys[key].write(it) for key, it in held.items() if it != defaults[key]}


def _root(value: str, scope: ExpansionScope) -> Path | settings.ObjectUrl:
    if urls.is_object_url(value):
        return urls.object_url(value)
    return value_types.checked_path(value, scope)


SECTIONS: Mapping[str, Section] = MappingProxyType(
    {
        "source": Section(
            settings.SourceSettings,
            {
                "base_url": value_types.text(urls.base_url, "URL", format="uri"),
                "token_file": value_types.path(),
                "ca_bundle": value_types.path(),
                "proxy": value_types.text(urls.proxy, "URL"),
                "rate_limit": value_types.rate(),
                "retention": value_types.duration(),
            },
        ),
        "mirror": Section(
            settings.MirrorSettings,
            {
                "root": value_types.scoped_text(_root, str, "path or URL"),
                "endpoint": value_types.text(urls.endpoint, "URL", format="uri"),
                "credentials_file": value_types.path(),
                "staging": value_types.path(),
                "layout": value_types.text(name="layout"),
                "min_free": value_types.byte_size(),
                "durability": value_types.choice(("full", "fast")),
                "watch": value_types.choice(("off", "report", "restore")),
                "must_be_mounted": value_types.truth(),
                "dedupe": value_types.choice(("off", "reflink", "hardlink")),
                "dedupe_before_download": value_types.truth(),
                "sign_command": value_types.many(value_types.text(_argument)),
                "verify_command": value_types.many(value_types.text(_argument)),
            },
        ),
        "ledger": Section(
            settings.LedgerSettings,
            {"url": value_types.scoped_text(urls.database_url, name="URL")},
        ),
        "keep": Section(
            settings.KeepSettings,
            REPO_KEEP.keys,
        ),
        "verify": Section(
            settings.VerifySettings,
            {
                "every": value_types.or_off(
                    value_types.duration(
                        _check_every, minimum=SHORTEST_INTERVAL, maximum=LONGEST_EVERY
                    )
                ),
                "rate": value_types.or_off(value_types.byte_size(bandwidth_limit.LEAST)),
            },
        ),
        "download": Section(
            settings.DownloadSettings,
            {
                "jobs": value_types.integer(1, 256),
                "timeout": value_types.duration(),
                "attempts": value_types.integer(1, 100),
                "ranges": value_types.integer(1, 8),
                "limit": bandwidth_limit.limit(),
            },
        ),
        "extract": Section(
            settings.ExtractSettings,
            {
                "max_entries": value_types.integer(1, 10_000_000),
                "max_bytes": value_types.byte_size(1),
                "max_ratio": value_types.integer(1, 1_000_000),
            },
        ),
        "daemon": Section(
            settings.DaemonSettings,
            {
                "interval": _INTERVAL,
                "time_zone": _TIME_ZONE,
                "grace": value_types.duration(lambda _: None, minimum=0),
                "lag_alert": value_types.duration(),
                "log_format": value_types.choice(("auto", "text", "json", "journal")),
            },
        ),
        "web": Section(
            settings.WebSettings,
            {
                "listen": value_types.or_number(
                    value_types.text(urls.listen, "HOST:PORT"), 0, urls.LAST_PORT
                ),
                "secret_files": value_types.many(value_types.path()),
                "body_limit": value_types.byte_size(2**10, 2**26),
            },
        ),
    }
)
"""Tables that occur once, by name."""

REPO = Section(
    settings.RepoSettings,
    {
        "name": value_types.text(repo_name, "ORG/REPO or ORG/*"),
        "workflows": _GLOBS,
        "include": _GLOBS,
        "exclude": _GLOBS,
        "run_statuses": value_types.many(value_types.choice(FINISHED, _UNFINISHED)),
        "events": value_types.many(value_types.choice(EVENTS)),
        "since": value_types.duration(),
        "logs": value_types.truth(),
        "extract": _GLOBS,
        "interval": _INTERVAL,
        "cron": value_types.text(_cron, "cron expression"),
        "time_zone": _TIME_ZONE,
        "keep": value_types.inline_table(_repo_keep, _keep_table, REPO_KEEP.keys),
    },
)
"""The table that may occur many times, ``[[repo]]``."""

HOOK = Section(
    settings.HookSettings,
    {
        "on": value_types.many(value_types.choice([it.value for it in HookEvent])),
        "name": value_types.text(_hook_name, "name"),
        "command": value_types.command_line(),
        "url": _HOOK_URL,
        "secret_file": value_types.path(),
        "timeout": value_types.duration(_check_timeout, minimum=1, maximum=LONGEST_TIMEOUT),
    },
)
"""The table that may occur many times, ``[[hook]]``."""

ALL: Mapping[str, Section] = MappingProxyType({**SECTIONS, "repo": REPO, "hook": HOOK})
"""Every table by name."""


def misplaced(key: str) -> str:
    """A hint for a key in the wrong table: where it belongs."""
    if key in _TOKENS:
        return "the token is never in the configuration: name its file with source.token_file"
    if key in _SECRETS:
        return (
            "a secret is never in the configuration: name a file of it in web.secret_files or"
            " hook.secret_file"
        )
    homes = [f"{name}.{key}" for name, section in ALL.items() if key in section.keys]
    return f"it belongs to {' or '.join(homes)}" if homes else ""
