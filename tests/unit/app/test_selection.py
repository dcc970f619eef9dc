"""Arguments over configuration."""

from __future__ import annotations

from msgspec.structs import replace

from artifact_sync.app.selection import Overrides, request_of
from artifact_sync.domain.settings import Config, RepoSettings

STAR = RepoSettings(name="acme/*")
OWN = RepoSettings(name="acme/x", exclude=("*.iso",))
OTHER = RepoSettings(name="other/x")
CONFIG = replace(Config(), repo=(STAR, OWN, OTHER))


def repos(config: Config, *names: str, **flags: object) -> tuple[RepoSettings, ...]:
    return request_of(config, Overrides(repos=names, **flags), {}).repos  # type: ignore[arg-type]


def test_a_star_of_the_command_line_brings_the_own_entries_of_its_organisation() -> None:
    assert repos(CONFIG, "acme/*") == (STAR, OWN)
    assert repos(CONFIG, "acme/*", "acme/x") == (STAR, OWN)
    assert repos(replace(Config(), repo=(OWN, OTHER)), "acme/*") == (STAR, OWN)
    assert repos(CONFIG, "acme/y") == (replace(STAR, name="acme/y"),)


def test_flags_narrow_the_own_entries_of_a_star_too() -> None:
    assert repos(CONFIG, "acme/*", include=("*.txt",), since=60.0) == tuple(
        replace(it, include=("*.txt",), since=60.0) for it in (STAR, OWN)
    )
