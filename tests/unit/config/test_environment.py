from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from artifact_sync import config
from artifact_sync.config.load import KNOWN
from artifact_sync.domain.errors import ConfigError
from artifact_sync.domain.settings import Config, RepoSettings

if TYPE_CHECKING:
    from pathlib import Path

FILE = """
[download]
jobs = 2
attempts = 3
[source]
proxy = "http://proxy.example:1"
[[repo]]
name = "org/a"
include = ["*.zip"]
[[repo]]
name = "org/b"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(FILE)
    return path


def refused(file: Path | None, environ: dict[str, str]) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        config.load(file, environ)
    return caught.value.problems


def test_every_key_has_an_override() -> None:
    keys = {
        (section, key)
        for section in (
            *("source", "mirror", "ledger", "keep", "verify", "download", "extract"),
            *("daemon", "web"),
        )
        for key in getattr(Config(), section).__struct_fields__
    } | {("repo", key) for key in RepoSettings.__struct_fields__}
    assert set(KNOWN.values()) == keys
    assert all(name == f"ARTIFACT_SYNC_{s}__{k}".upper() for name, (s, k) in KNOWN.items())


def test_what_kubernetes_tells_of_a_service_is_no_override(file: Path) -> None:
    told = {
        "ARTIFACT_SYNC_PORT": "tcp://10.0.0.1:80",
        "ARTIFACT_SYNC_PORT_80_TCP": "tcp://10.0.0.1:80",
        "ARTIFACT_SYNC_PORT_80_TCP_ADDR": "10.0.0.1",
        "ARTIFACT_SYNC_PORT_80_TCP_PORT": "80",
        "ARTIFACT_SYNC_PORT_80_TCP_PROTO": "tcp",
        "ARTIFACT_SYNC_SERVICE_HOST": "10.0.0.1",
        "ARTIFACT_SYNC_SERVICE_PORT": "80",
        "ARTIFACT_SYNC_SERVICE_PORT_HTTP": "80",
        "ARTIFACT_SYNC_WEB_PORT": "tcp://10.0.0.2:8480",
        "ARTIFACT_SYNC_WEB_SERVICE_HOST": "10.0.0.2",
    }
    assert config.load(file, told).config.download.jobs == 2
    assert (
        "ARTIFACT_SYNC_WEB_PORT: no such override"
        in refused(file, {"ARTIFACT_SYNC_WEB_PORT": "8480"})[0]
    )


def test_an_override_goes_before_the_file_and_leaves_the_other_keys(file: Path) -> None:
    environ = {
        "ARTIFACT_SYNC_DOWNLOAD__JOBS": "4",
        "ARTIFACT_SYNC_DOWNLOAD__TIMEOUT": "2m",
        "ARTIFACT_SYNC_SOURCE__RATE_LIMIT": "0.5",
        "ARTIFACT_SYNC_MIRROR__MIN_FREE": "1GB",
    }
    loaded = config.load(file, environ).config
    assert (loaded.download.jobs, loaded.download.attempts) == (4, 3)
    assert loaded.download.timeout == 120.0
    assert loaded.source.rate_limit == 0.5
    assert loaded.mirror.min_free == 1_000_000_000


def test_a_relative_path_in_an_override_begins_at_the_working_directory(
    file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    loaded = config.load(file, {"ARTIFACT_SYNC_MIRROR__ROOT": "files"}).config
    assert loaded.mirror.root == tmp_path / "elsewhere" / "files"


def test_an_empty_override_takes_away_what_needs_no_value(file: Path) -> None:
    assert config.load(file, {"ARTIFACT_SYNC_SOURCE__PROXY": ""}).config.source.proxy is None
    assert refused(file, {"ARTIFACT_SYNC_DOWNLOAD__JOBS": ""}) == (
        'ARTIFACT_SYNC_DOWNLOAD__JOBS: expected a whole number from 1 to 256, got ""',
    )


def test_a_list_of_repositories_replaces_the_files(file: Path) -> None:
    loaded = config.load(file, {"ARTIFACT_SYNC_REPO__NAME": "org/c, org/a,"}).config
    assert loaded.repo == (
        RepoSettings(name="org/c"),
        RepoSettings(name="org/a", include=("*.zip",)),
    )
    assert config.load(file, {"ARTIFACT_SYNC_REPO__NAME": ""}).config.repo == ()


def test_a_key_of_repositories_is_set_in_each(file: Path) -> None:
    environ = {"ARTIFACT_SYNC_REPO__SINCE": "1d", "ARTIFACT_SYNC_REPO__INCLUDE": "*.whl, *.gz"}
    loaded = config.load(file, environ).config
    assert [(repo.name, repo.since, repo.include) for repo in loaded.repo] == [
        ("org/a", 86_400.0, ("*.whl", "*.gz")),
        ("org/b", 86_400.0, ("*.whl", "*.gz")),
    ]
    assert config.repository("org/z", environ) == RepoSettings(
        name="org/z", since=86_400.0, include=("*.whl", "*.gz")
    )


def test_a_wrong_override_is_told_once_by_its_name_even_without_a_repository(file: Path) -> None:
    environ = {"ARTIFACT_SYNC_REPO__EVENTS": "push, pushh"}
    problem = 'ARTIFACT_SYNC_REPO__EVENTS: "pushh" is not known; did you mean push?'
    assert refused(file, environ) == (problem,)
    assert refused(None, environ) == (problem,)


def test_a_list_that_names_a_repository_twice_or_wrongly_is_told() -> None:
    assert refused(None, {"ARTIFACT_SYNC_REPO__NAME": "org/a,org/a,a.b/c/d"}) == (
        'ARTIFACT_SYNC_REPO__NAME: "org/a" is there already; name it once',
        'ARTIFACT_SYNC_REPO__NAME: expected ORG/REPO or ORG/*, got "a.b/c/d"',
    )


@pytest.mark.parametrize(
    ("variable", "hint"),
    [
        ("ARTIFACT_SYNC_DOWNLOAD__JOB", "did you mean ARTIFACT_SYNC_DOWNLOAD__JOBS?"),
        ("ARTIFACT_SYNC_DOWNLOAD_JOBS", "did you mean ARTIFACT_SYNC_DOWNLOAD__JOBS?"),
        ("ARTIFACT_SYNC_ROOT", "did you mean ARTIFACT_SYNC_MIRROR__ROOT?"),
        ("ARTIFACT_SYNC_TOKEN", "the token is read from SOURCECRAFT_TOKEN"),
    ],
)
def test_a_variable_that_is_no_override_is_told_without_its_value(variable: str, hint: str) -> None:
    assert refused(None, {variable: "hidden"}) == (f"{variable}: no such override; {hint}",)


def test_variables_of_the_tests_and_the_files_name_are_no_overrides() -> None:
    environ = {"ARTIFACT_SYNC_CONFIG": "x", "ARTIFACT_SYNC_TEST_CRASH": "1", "PATH": "/bin"}
    assert config.load(None, environ).config == Config()
