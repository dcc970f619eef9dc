"""Arguments over configuration."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from artifact_sync.app.selection import Overrides, request_of
from artifact_sync.domain.errors import UsageError
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


def test_the_address_of_a_runs_page_means_that_run_alone() -> None:
    page = "https://sourcecraft.dev/acme/y/cicd/runs/41?tab=artifacts"
    request = request_of(CONFIG, Overrides(repos=(page,)), {})
    assert (request.runs, request.mode.insist) == (("41",), True)
    assert request_of(CONFIG, Overrides(repos=(page,), runs=("7",)), {}).runs == ("7",)
    assert (
        request_of(CONFIG, Overrides(repos=("https://sourcecraft.dev/acme/y/cicd",)), {}).runs == ()
    )
    with pytest.raises(UsageError, match="an address of run 41 means that run alone"):
        request_of(CONFIG, Overrides(repos=(page, "acme/x")), {})
