"""Names of repositories, as people type and paste them."""

from __future__ import annotations

import pytest

from artifact_sync.config import repository
from artifact_sync.domain.errors import ConfigError


@pytest.mark.parametrize(
    "text",
    [
        "acme/rocket",
        "acme/rocket/",
        "https://sourcecraft.dev/acme/rocket",
        "https://sourcecraft.dev/acme/rocket/",
        "https://sourcecraft.dev/acme/rocket/cicd/runs/41?tab=artifacts#top",
        "https://api.sourcecraft.tech/repos/acme/rocket/cicd/runs/41",
        "http://www.sourcecraft.dev/acme/rocket",
        "HTTPS://SourceCraft.dev/acme/rocket?x=1",
        "sourcecraft.dev/acme/rocket/browse",
        " https://sourcecraft.dev/acme/rocket\n",
        "https://git.sourcecraft.dev/acme/rocket.git",
        "https://somebody@git.sourcecraft.dev/acme/rocket.git",
        "ssh://ssh.sourcecraft.dev/acme/rocket.git",
        "ssh://git@ssh.sourcecraft.dev:22/acme/rocket.git",
        "git@ssh.sourcecraft.dev:acme/rocket.git",
    ],
)
def test_a_repository_is_understood_however_it_was_pasted(text: str) -> None:
    """Guards against: addresses that people have at hand and that are refused."""
    assert repository(text, {}).name == "acme/rocket"


def test_an_organisation_keeps_its_star() -> None:
    assert repository("acme/*", {}).name == "acme/*"
    assert repository("https://sourcecraft.dev/acme/*", {}).name == "acme/*"


@pytest.mark.parametrize(
    "text",
    [
        "acme",
        "acme/",
        "acme/rocket/run",
        "/acme/rocket",
        "acme//rocket",
        "https://sourcecraft.dev",
        "https://sourcecraft.dev/acme",
        "https://github.com/acme/rocket",
        "https://notsourcecraft.dev/acme/rocket",
        "https://sourcecraft.dev.example/acme/rocket",
        "https://example.org/sourcecraft.dev/acme/rocket",
        "https://sourcecraft.dev/../rocket",
    ],
)
def test_what_names_no_repository_here_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="expected ORG/REPO or ORG/"):
        repository(text, {})


@pytest.mark.parametrize("text", ["acme", "acme/", "https://sourcecraft.dev/acme"])
def test_an_organisation_alone_is_told_how_to_write_all_of_it(text: str) -> None:
    with pytest.raises(ConfigError, match='write "acme/\\*" for all of its repositories'):
        repository(text, {})
