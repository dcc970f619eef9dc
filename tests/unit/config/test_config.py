from __future__ import annotations

from pathlib import Path

import pytest

from artifact_sync import config
from artifact_sync.domain.errors import ConfigError, ExitCode
from artifact_sync.domain.settings import Config, RepoSettings

A_DURATION = "a duration such as 30s, 5m, 2h, 7d or 1w"
A_RATE = "a number above 0 and at most 1000000"
A_SIZE = "a size such as 512, 100MiB or 1GB"
JOBS = "a whole number from 1 to 256"


def write(folder: Path, text: str) -> Path:
    path = folder / "config.toml"
    path.write_text(text, encoding="utf-8")
    return path


def problems(folder: Path, text: str, environ: dict[str, str] | None = None) -> list[str]:
    """The problems of a file, with its name written FILE."""
    path = write(folder, text)
    with pytest.raises(ConfigError) as refused:
        config.load(path, environ or {})
    assert refused.value.exit_code is ExitCode.USAGE
    assert refused.value.path == path
    return [problem.replace(str(path), "FILE") for problem in refused.value.problems]


def test_without_a_file_everything_has_its_default() -> None:
    assert config.load(None, {}).config == Config()


def test_a_whole_file_is_read(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """
        [source]
        base_url = "https://ci.example/api/"
        token_file = "~/token"
        proxy = "http://u:p@proxy.example:3128"
        rate_limit = 3
        [mirror]
        root = "files"
        min_free = "100MiB"
        durability = "fast"
        [ledger]
        url = "sqlite:///ledger.db?timeout=3"
        [download]
        jobs = 256
        timeout = 0.5
        attempts = 1
        ranges = 8
        [[repo]]
        name = "org/*"
        [[repo]]
        name = "org/a"
        workflows = ["b*"]
        include = ["${KIND}/*", "$$x"]
        run_statuses = ["success", "rejected"]
        events = ["push"]
        since = "1w"
        """,
    )
    loaded = config.load(path, {"HOME": "/home/ann", "KIND": "dist"}).config
    assert loaded.path == path
    assert loaded.source.base_url == "https://ci.example/api"
    assert loaded.source.token_file == Path("/home/ann/token")
    assert loaded.source.proxy == "http://u:p@proxy.example:3128"
    assert loaded.source.rate_limit == 3.0
    assert loaded.mirror.root == tmp_path / "files"
    assert loaded.mirror.min_free == 104_857_600
    assert loaded.mirror.durability == "fast"
    assert loaded.ledger.url == f"sqlite:///{tmp_path}/ledger.db?timeout=3"
    assert (loaded.download.jobs, loaded.download.timeout, loaded.download.attempts) == (
        256,
        0.5,
        1,
    )
    assert loaded.download.ranges == 8
    assert loaded.repo == (
        RepoSettings(name="org/*"),
        RepoSettings(
            name="org/a",
            workflows=("b*",),
            include=("dist/*", "$x"),
            run_statuses=("success", "rejected"),
            events=("push",),
            since=604_800.0,
        ),
    )


def test_every_problem_is_told_at_once_by_line_and_key(tmp_path: Path) -> None:
    text = """\
[source]
rate_limit = 0
proxxy = "x"
[mirror]
root = "${NOPE}/x"
durability = "ful"
[download]
jobs = 257
attempts = true
ranges = 9
[[repo]]
name = "org/a"
run_statuses = ["cancelled", "processing"]
[[repo]]
name = "org/a"
events = ["pushh"]
[[repo]]
since = "0s"
"""
    unset = "the environment variable NOPE is not set; set it, or write $${ for a plain ${"
    known = "canceled, failed, rejected, skipped, success, timeout"
    finished = f"and only finished runs are mirrored; expected one of {known}"
    assert problems(tmp_path, text, {"ARTIFACT_SYNC_DOWNLOAD__TIMEOUT": "soon"}) == [
        f"FILE:2: source.rate_limit: expected {A_RATE}, got 0",
        "FILE:3: source.proxxy: unknown key; did you mean proxy?",
        f"FILE:5: mirror.root: {unset}",
        'FILE:6: mirror.durability: "ful" is not known; did you mean full?',
        f"FILE:8: download.jobs: expected {JOBS}, got 257",
        "FILE:9: download.attempts: expected a whole number from 1 to 100, got true",
        "FILE:10: download.ranges: expected a whole number from 1 to 8, got 9",
        'FILE:13: repo.run_statuses: "cancelled" is not known; did you mean canceled?',
        f'FILE:13: repo.run_statuses: "processing" is not a finished status, {finished}',
        'FILE:15: repo.name: "org/a" is there already; name it once',
        'FILE:16: repo.events: "pushh" is not known; did you mean push?',
        'FILE:17: repo.name: is missing; write name = "ORG/REPO"',
        'FILE:18: repo.since: expected a duration above 0, such as 30s, 5m, 2h, 7d or 1w, got "0s"',
        f'ARTIFACT_SYNC_DOWNLOAD__TIMEOUT: expected {A_DURATION}, got "soon"',
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("jobs = 3", "FILE:1: jobs: unknown section; it belongs to download.jobs"),
        ("[sources]", "FILE:1: sources: unknown section; did you mean source?"),
        ("[mirror]\njobs = 3", "FILE:2: mirror.jobs: unknown key; it belongs to download.jobs"),
        ("[repo]\nname = 'a/b'", "FILE:1: repo: write [[repo]], with two brackets"),
        ("source = 3", "FILE:1: source: expected a table of keys, got 3"),
        ("repo = [1]", "FILE:1: repo: expected a table of keys, got 1"),
        ("download.jobs = 0", f"FILE:1: download.jobs: expected {JOBS}, got 0"),
        ('[download]\n"jobs" = "4"', f'FILE:2: download.jobs: expected {JOBS}, got "4"'),
        ("[mirror]\nmin_free = 1.5", f"FILE:2: mirror.min_free: expected {A_SIZE}, got 1.5"),
        ("[mirror]\nlayout = 5", "FILE:2: mirror.layout: expected a string in quotes"),
        ('[mirror]\nroot = ""', "FILE:2: mirror.root: is empty; leave the key out instead"),
        ('[mirror]\nroot = "a\\u0000b"', "FILE:2: mirror.root: a path cannot hold a NUL character"),
        ("[source]\nrate_limit = nan", f"FILE:2: source.rate_limit: expected {A_RATE}, got nan"),
        (
            "[download]\ntimeout = true",
            f"FILE:2: download.timeout: expected {A_DURATION}, got true",
        ),
        ("[download]\ntimeout = inf", f"FILE:2: download.timeout: expected {A_DURATION}, got inf"),
    ],
)
def test_a_mistake_is_told_with_its_cure(tmp_path: Path, text: str, problem: str) -> None:
    assert problems(tmp_path, text) == [problem]


@pytest.mark.parametrize(
    "url",
    [
        "http://api.example",
        "ftp://api.example",
        "api.example",
        "https://",
        "https://u:hidden@api.example",
        "https://hidden@api.example",
        "https://api.example/?t=hidden",
        "https://api.example/#hidden",
        "https://api.example:99999",
        "https://api example",
        "https://[::1",
        "http://127.0.0.1.example.com",
    ],
)
def test_an_address_that_would_misuse_the_token_is_refused_unseen(tmp_path: Path, url: str) -> None:
    [problem] = problems(tmp_path, f'[source]\nbase_url = "{url}"')
    assert problem.startswith("FILE:2: source.base_url: ")
    assert "hidden" not in problem


@pytest.mark.parametrize(
    "url", ["http://localhost:8080", "http://127.0.0.1:1", "http://[::1]:80/api", "https://a.b/c"]
)
def test_plain_http_is_for_this_machine(tmp_path: Path, url: str) -> None:
    assert (
        config.load(write(tmp_path, f'[source]\nbase_url = "{url}"'), {}).config.source.base_url
        == url
    )


@pytest.mark.parametrize(
    "name",
    [
        "org",
        "org/",
        "/a",
        "a/b/c",
        "*/a",
        "o*/a",
        "org/a*",
        "org/..",
        "https://x/y",
        "o/a b",
        "o/\\u001b",
    ],
)
def test_a_name_that_is_no_repository_is_refused(tmp_path: Path, name: str) -> None:
    [problem] = problems(tmp_path, f'[[repo]]\nname = "{name}"')
    assert problem.startswith("FILE:2: repo.name: expected ORG/REPO or ORG/*, got ")


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "sqlite:///:memory:",
        "mysql://h/d",
        "postgres://u:hidden@h/d",
        "nonsense",
    ],
)
def test_a_ledger_that_would_not_last_is_refused_unseen(tmp_path: Path, url: str) -> None:
    [problem] = problems(tmp_path, f'[ledger]\nurl = "{url}"')
    assert problem.startswith("FILE:2: ledger.url: ")
    assert "hidden" not in problem


@pytest.mark.parametrize("proxy", ["socks5://h:1", "http://u:hidden@h:1/path", "h:3128"])
def test_a_proxy_must_be_one_for_http(tmp_path: Path, proxy: str) -> None:
    [problem] = problems(tmp_path, f'[source]\nproxy = "{proxy}"')
    assert "hidden" not in problem


@pytest.mark.parametrize("key", ["token", "token_file", "base_url", "password"])
def test_a_token_written_into_the_file_is_never_repeated(tmp_path: Path, key: str) -> None:
    [problem] = problems(tmp_path, f'[source]\n{key} = "pv1_hidden"')
    assert "hidden" not in problem


def test_a_layout_is_judged_by_the_mirrors_rules(tmp_path: Path) -> None:
    path = write(tmp_path, '[mirror]\nlayout = "{run}"')
    with pytest.raises(ConfigError) as refused:
        config.load(path, {}, lambda layout: [f"{layout} lacks much", "and more"])
    assert refused.value.problems == (
        f"{path}:2: mirror.layout: {{run}} lacks much",
        f"{path}:2: mirror.layout: and more",
    )


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (b"a = \n", ":1:5: not valid TOML: Invalid value"),
        (b"[source]\nbase_url = 'x'\nbase_url = 'y'\n", ":3:15: not valid TOML: Cannot overwrite"),
        (b'a = "\n', ":1:6: not valid TOML: Illegal character"),
        (b"a = [1,", ":1:8: not valid TOML: "),
        (b"x = 1\ny = '\xff'", ":2: is not UTF-8"),
        ("x = 1\n".encode("utf-16"), ": is UTF-16, as some editors save: save it as UTF-8"),
        (b"a = " + b"9" * 5_000, ": not valid TOML: a number is too long"),
        (b"a = " + b"[" * 100_000, ": not valid TOML: "),
    ],
)
def test_a_file_that_is_no_toml_is_told_with_line_and_column(
    tmp_path: Path, content: bytes, place: str
) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as refused:
        config.load(path, {})
    assert str(refused.value).startswith(f"{path}{place}")


def test_a_home_that_nobody_has_is_shown_without_control_characters() -> None:
    """Guards what a terminal is sent: every problem is one line that can be shown."""
    with pytest.raises(ConfigError) as refused:
        config.load(None, {"ARTIFACT_SYNC_SOURCE__TOKEN_FILE": "~\x1b[2J/token"})
    assert all(it.isprintable() for it in refused.value.problems)
    assert "no home folder is known for '~\\x1b[2J'" in str(refused.value)


def test_a_byte_order_mark_and_windows_line_ends_are_fine(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(b"\xef\xbb\xbf[download]\r\njobs = 3\r\n")
    assert config.load(path, {}).config.download.jobs == 3


def test_a_file_that_is_missing_is_told_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such file; artifact-sync config init"):
        config.load(tmp_path / "none.toml", {})
    with pytest.raises(ConfigError, match="cannot be read"):
        config.load(tmp_path, {})


def test_a_key_within_a_long_string_does_not_confuse_the_line_numbers(tmp_path: Path) -> None:
    text = '[mirror]\nlayout = """\n[download]\njobs = 1\n"""\n[download]\njobs = 0\n'
    assert problems(tmp_path, text)[0].startswith("FILE:7: download.jobs: ")


def test_the_named_file_is_the_one_there_or_not(tmp_path: Path) -> None:
    missing = tmp_path / "missing.toml"
    environ = {"ARTIFACT_SYNC_CONFIG": "~/x.toml", "HOME": str(tmp_path)}
    assert config.locate(missing, environ) == missing
    assert config.locate(None, environ) == tmp_path / "x.toml"


def test_a_dollar_that_begins_no_variable_stays(tmp_path: Path) -> None:
    path = write(tmp_path, '[[repo]]\nname = "o/a"\ninclude = ["$x", "a$", "$${V}"]')
    assert config.load(path, {}).config.repo[0].include == ("$x", "a$", "${V}")
