from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from forked_program import UTF8, call_program

from artifact_sync.cli import COMMANDS

EXAMPLE = Path(__file__).parents[2] / "config.example.toml"
posix = pytest.mark.skipif(os.name != "posix", reason="needs POSIX modes, pipes or devices")


class Home:
    """A user with an empty home folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / ".config" / "artifact-sync" / "config.toml"
        self.environ = {
            "HOME": str(folder),
            "XDG_CONFIG_HOME": str(folder / ".config"),
            "XDG_CONFIG_DIRS": str(folder / "etc"),
            "PATH": os.environ["PATH"],
        }

    def run(self, *arguments: object, **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "artifact_sync", *map(str, arguments)],
            env={**self.environ, **environ},
            cwd=self.folder,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=60,
            check=False,
        )

    def write(self, text: str, name: str = "mine.toml") -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_lists_every_command_and_imports_none(home: Home, option: str) -> None:
    done = home.run(option)
    assert done.returncode == 0
    assert all(
        f"  {name} " in done.stdout and text in done.stdout for name, text in COMMANDS.items()
    )
    assert "artifact-sync sync ORG/REPO --root ~/artifacts" in done.stdout
    loaded = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "artifact_sync", option],
        capture_output=True, text=True, check=True, timeout=60,
    ).stderr  # fmt: skip
    modules = {line.rpartition("|")[2].strip() for line in loaded.splitlines()}
    heavy = {"structlog", "msgspec", "sqlite3", "httpx", "asyncio", "tqdm", "platformdirs"}
    assert not modules & (heavy | {"artifact_sync.cli.commands.config", "importlib.metadata"})


def test_version_is_the_packages(home: Home) -> None:
    done = home.run("--version")
    assert (done.returncode, done.stdout) == (0, "artifact-sync 0.1.0\n")


def test_an_unknown_command_is_a_usage_error_with_a_hint(home: Home) -> None:
    done = home.run("comfig")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith("Error: no such command 'comfig'; did you mean config?\n")


@posix
def test_init_writes_the_example_for_its_owner_only_and_never_over_another(home: Home) -> None:
    done = home.run("config", "init")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == f"wrote {home.config}"
    assert home.config.read_bytes() == EXAMPLE.read_bytes()
    assert stat.S_IMODE(home.config.stat().st_mode) == 0o600
    home.config.write_text("mine")
    again = home.run("config", "init")
    assert (again.returncode, again.stdout) == (2, "")
    assert "is there already; --force replaces it" in again.stderr
    assert home.config.read_text() == "mine"
    assert home.run("config", "init", "--force").returncode == 0
    assert home.config.read_bytes() == EXAMPLE.read_bytes()
    assert stat.S_IMODE(home.config.stat().st_mode) == 0o600
    assert os.listdir(home.config.parent) == ["config.toml"]  # noqa: PTH208 - names only


def test_init_writes_where_it_is_told(home: Home) -> None:
    assert home.run("config", "init", "--path", "a/b.toml").returncode == 0
    assert home.run("config", "init", ARTIFACT_SYNC_CONFIG="~/c.toml").returncode == 0
    assert home.run("config", "init", "--config", "d.toml").returncode == 0
    assert [(home.folder / name).is_file() for name in ("a/b.toml", "c.toml", "d.toml")] == [
        True
    ] * 3


def test_what_init_wrote_is_what_is_read_and_is_fine(home: Home) -> None:
    home.run("config", "init")
    done = home.run("config", "check", SOURCECRAFT_TOKEN="pv1_hidden")
    assert (done.returncode, done.stdout) == (0, f"ok: {home.config}\n")
    assert [line.split("warning: ")[1] for line in done.stderr.splitlines()] == [
        "mirror.root is not set: sync needs --root see=troubleshooting/configuration#no-mirror",
        "there is no [[repo]]: sync needs ORG/REPO see=troubleshooting/configuration#no-repository",
    ]
    assert home.run("config", "check", "-q").stderr == ""


def test_check_warns_of_keep_that_does_nothing(home: Home) -> None:
    own = 'keep = { last = 2, max_share = "0%" }'
    repo = f'[[repo]]\nname = "a/b"\n{own}\n[[repo]]\nname = "a/c"\nkeep = {{ last = 2 }}\n'
    path = home.write(f'[keep]\nschedule = "0 3 * * *"\n{repo}')
    warned = json.loads(home.run("config", "check", "--config", path, "--json").stdout)["warnings"]
    assert [it for it in warned if it.startswith("keep")] == [
        "keep: schedule does nothing without a rule or max_size",
        "keep of a/b: max_share is 0%, so nothing goes without prune --yes",
    ]


def test_the_option_goes_before_the_variable_the_users_file_and_the_sites(home: Home) -> None:
    places = {}
    for jobs, name in enumerate(
        ["option.toml", "variable.toml", ".config/artifact-sync/config.toml",
         "etc/artifact-sync/config.toml"], 1,
    ):  # fmt: skip
        places[jobs] = home.write(f"[download]\njobs = {jobs}\n", name)
    environ = {"ARTIFACT_SYNC_CONFIG": str(places[2])}

    def jobs_in_force(*arguments: object, **environ: str) -> int:
        shown = tomllib.loads(home.run("config", "show", *arguments, **environ).stdout)
        jobs: int = shown["download"]["jobs"]
        return jobs

    assert jobs_in_force("--config", places[1], **environ) == 1
    assert jobs_in_force(**environ) == 2
    assert jobs_in_force() == 3
    places[3].unlink()
    assert jobs_in_force() == 4
    places[4].unlink()
    assert jobs_in_force() == 8


def test_config_may_stand_before_the_command(home: Home) -> None:
    path = home.write("[download]\njobs = 5\n")
    done = home.run("--config", path, "config", "show")
    assert f"jobs = 5  # {path}:2" in done.stdout


@pytest.mark.parametrize("how", ["option", "variable"])
def test_a_named_file_that_is_missing_is_a_usage_error(home: Home, how: str) -> None:
    named = ("--config", "no.toml") if how == "option" else ()
    environ = {"ARTIFACT_SYNC_CONFIG": "no.toml"} if how == "variable" else {}
    done = home.run("config", "check", *named, **environ)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        "no.toml: there is no such file; artifact-sync config init writes one",
        "see docs: troubleshooting/configuration#no-file",
    ]


def test_check_tells_every_problem_and_ends_with_2(home: Home) -> None:
    path = home.write('[download]\njobs = 0\n[mirror]\nlayout = "{nope}"\nrot = "x"\n')
    done = home.run("config", "check", "--config", path)
    assert (done.returncode, done.stdout) == (2, "")
    *lines, of_values, of_keys = done.stderr.splitlines()
    assert of_values == "see docs: troubleshooting/configuration#value"
    assert of_keys == "see docs: troubleshooting/configuration#unknown-key"
    assert lines[0] == f"{path}:2: download.jobs: expected a whole number from 1 to 256, got 0"
    assert any(line.startswith(f"{path}:4: mirror.layout: ") for line in lines)
    assert lines[-1] == f"{path}:5: mirror.rot: unknown key; did you mean root?"
    as_json = home.run("config", "check", "--config", path, "--json")
    assert (as_json.returncode, as_json.stderr) == (2, "")
    answer = json.loads(as_json.stdout)
    assert (answer["ok"], answer["file"], answer["problems"]) == (False, str(path), lines)


@posix
def test_check_reads_the_token_without_showing_it(home: Home) -> None:
    token = home.write("pv1_hidden", "token")
    token.chmod(0o644)
    path = home.write(
        '[source]\ntoken_file = "token"\n[mirror]\nroot = "r"\n[[repo]]\nname = "o/a"'
    )
    refused = home.run("config", "check", "--config", path)
    assert refused.returncode == 2
    assert f"(mode 0644); chmod 600 {token}\n" in refused.stderr
    token.chmod(0o600)
    done = home.run("config", "check", "--config", path, "-v")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"ok: {path}\n", "")


def test_show_masks_secrets_and_says_where_the_token_is(home: Home) -> None:
    done = home.run(
        "config", "show",
        SOURCECRAFT_TOKEN="pv1_hidden",
        ARTIFACT_SYNC_LEDGER__URL="postgresql://u:hidden@h/d",
    )  # fmt: skip
    assert done.returncode == 0
    assert "hidden" not in done.stdout + done.stderr
    assert "# token: set, from $SOURCECRAFT_TOKEN" in done.stdout
    assert tomllib.loads(done.stdout)["ledger"]["url"] == "postgresql://u:***@h/d"


def test_schema_is_one_json_object(home: Home) -> None:
    done = home.run("config", "schema")
    assert json.loads(done.stdout)["properties"].keys() == {
        "source", "mirror", "ledger", "keep", "verify", "download", "extract", "daemon", "web",
        "repo", "hook",
    }  # fmt: skip


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_and_how_to_install_it(home: Home, shell: str) -> None:
    done = home.run("completion", shell)
    assert done.returncode == 0
    assert done.stdout.startswith(f"# To install: artifact-sync completion {shell} >")
    assert "_ARTIFACT_SYNC_COMPLETE" in done.stdout


@pytest.mark.skipif(shutil.which("zsh") is None, reason="there is no zsh")
def test_a_fresh_zsh_takes_the_script(home: Home) -> None:
    """Guards against: a script for shells that somebody has set up already."""
    script = home.write(home.run("completion", "zsh").stdout, ".zshrc")
    done = subprocess.run(
        ["zsh", "-f", "-c", f"source {script} && print $_comps[artifact-sync]"],
        env=home.environ, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "_artifact_sync_completion\n"


@pytest.mark.parametrize("width", ["40", "80"])
def test_no_sentence_of_the_help_is_cut(home: Home, width: str) -> None:
    """Guards against: lines of help that end in an ellipsis."""
    environ = home.environ | UTF8 | {"COLUMNS": width}
    names = ((), *((name,) for name in COMMANDS), *(("config", it) for it in ("init", "show")))
    for name in names:
        told = call_program([*name, "--help"], home.folder, environ).out
        assert "Usage: artifact-sync" in told
        assert "..." not in told.replace("]...", "")


def test_commands_complete_without_being_imported(home: Home) -> None:
    done = home.run(_ARTIFACT_SYNC_COMPLETE="bash_complete", COMP_WORDS="x s", COMP_CWORD="1")
    assert done.stdout.splitlines() == [
        "plain,sync",
        "plain,status",
        "plain,show",
        "plain,simulate",
    ]


@posix
def test_a_reader_that_leaves_is_no_error_worth_a_word(home: Home) -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "artifact_sync", "config", "schema"],
        stdout=write, stderr=subprocess.PIPE, env=home.environ, timeout=60, check=False,
    )  # fmt: skip
    os.close(write)
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_behind_stdout_is_told(home: Home) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "artifact_sync", "config", "schema"],
            stdout=full, stderr=subprocess.PIPE, env=home.environ, timeout=60, check=False,
        )  # fmt: skip
    assert done.returncode == 6
    said, pointer = done.stderr.splitlines()
    assert said == b"artifact-sync: cannot write the output: No space left on device"
    assert pointer == b"see docs: troubleshooting/disk#output"
