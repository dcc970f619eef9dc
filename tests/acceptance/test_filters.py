"""A filter that fits nothing is told, with the names that there are, until something fits it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from user import ARCHIVE, TOKEN, User, organisation

from artifact_sync.simulator import running_in_thread

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROCKET = "acme/rocket"
UNFIT = (
    f'workflows: "nigthly" has fitted no workflow with artifacts of {ROCKET} so far: there are'
    ' "ci", "docs"'
)


@pytest.fixture
def user(tmp_path: Path) -> Iterator[User]:
    with running_in_thread(organisation()) as running:
        yield User(tmp_path, running)


def configured(user: User, name: str = ROCKET, **filters: str) -> Path:
    file = user.folder / "mirror.toml"
    lines = [f'{key} = ["{glob}"]' for key, glob in filters.items()]
    repo = "\n".join(["[[repo]]", f'name = "{name}"', *lines])
    file.write_text(f'[mirror]\nroot = "{user.root}"\n{repo}\n')
    return file


def test_a_workflow_that_there_is_not_is_told_in_every_pass_and_by_status(user: User) -> None:
    """Guards against: a filter that fits nothing is silent success."""
    config = configured(user, workflows="nigthly")
    for _ in range(3):
        done = user.run("sync", "--config", config)
        assert (done.code, done.err.count(UNFIT)) == (0, 1), done.err
    assert UNFIT in user.run("sync", "--config", config, "-q").err
    assert UNFIT in user.run("status", "--config", config).out
    (status,) = user.run("status", "--config", config, "--json").answer["repositories"]
    assert status["unfit"] == [UNFIT]
    done = user.run("sync", "--config", configured(user, workflows="ci"))
    assert (done.code, "has fitted" in done.err) == (0, False)
    (status,) = user.run("status", "--config", config, "--json").answer["repositories"]
    assert "unfit" not in status


def test_a_path_that_no_artifact_has_is_told(user: User) -> None:
    """Guards against: a filter that fits nothing is silent success."""
    config = configured(user, workflows="ci", include="dist/app.zip")
    told = user.run("sync", "--config", config).err
    assert f'include: "dist/app.zip" has fitted no artifact of {ROCKET} so far: there are ' in told
    assert f'"{ARCHIVE.removeprefix("./")}"' in told
    assert "docs" not in told


def test_of_an_organisation_a_filter_is_told_once_and_only_where_it_fits_nowhere(
    user: User,
) -> None:
    """Guards against: a filter that fits nothing is silent success; and against its opposite."""
    config = configured(user, "acme/*", workflows="nigthly")
    for _ in range(2):
        err = user.run("sync", "--config", config).err
        assert err.count("workflows: 'nigthly' has fitted nothing in any repository of acme/*") == 1
    done = user.run("sync", "--config", configured(user, "acme/*", workflows="docs"))
    assert "has fitted" not in done.err


@pytest.mark.parametrize("option", ["include", "exclude", "workflow"])
def test_a_glob_that_is_none_is_an_error(user: User, option: str) -> None:
    """Guards against: a filter that fits nothing is silent success."""
    done = user.sync(ROCKET, f"--{option}", "[abc")
    assert (done.code, done.out) == (2, "")
    assert "the glob '[abc' has a [ that is never closed" in done.err
    key = "workflows" if option == "workflow" else option
    done = user.run("config", "check", "--config", configured(user, **{key: "[abc"}))
    assert done.code == 2
    assert "the glob '[abc' has a [ that is never closed" in done.err


def test_the_check_of_a_configuration_asks_the_service_where_that_is_wished(user: User) -> None:
    """Guards against: a filter that fits nothing is silent success."""
    check = ("config", "check", "--online", "--config")
    done = user.run(*check, configured(user, workflows="nigthly"))
    assert (done.code, done.err.count(UNFIT)) == (0, 1)
    told = user.run(*check, configured(user, workflows="nigthly"), "--json")
    assert '"warnings": []' not in told.out
    done = user.run(*check, configured(user, workflows="ci", include="*.tar.gz"))
    assert (done.code, done.err) == (0, "")
    done = user.run(*check, configured(user, "acme/rokcet", workflows="ci"))
    assert (done.code, "acme/rokcet" in done.err) == (1, True)
    done = user.run(*check, configured(user), SOURCECRAFT_TOKEN=TOKEN + "x")
    assert done.code == 3
    assert not user.root.exists()
