"""The keys of the daemon: what they are read as, and what is said of each mistake."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from artifact_sync import config
from artifact_sync.config.load import KNOWN
from artifact_sync.config.render import as_toml, json_schema
from artifact_sync.config.urls import listen_address
from artifact_sync.domain.errors import ConfigError
from artifact_sync.domain.settings import DaemonSettings, RepoSettings, WebSettings

MIB = 2**20
A_RATE = 'a rate such as 50MiB, or "off"'
A_LIMIT = 'a rate such as 50MiB, "off", or a timetable such as "08:00 5MiB, 23:00 off"'
A_TIME = "expected a time of the day from 00:00 to 23:59"
TOO_OFTEN = "expected an interval of at least 1s, to be polite to the service"
AN_ADDRESS = "expected HOST:PORT, [::1]:PORT or, for this machine only, :PORT"

WHOLE = """
[mirror]
watch = "restore"
must_be_mounted = true
[download]
limit = "08:00 5MiB, 23:00 off"
[daemon]
interval = "1s"
time_zone = "Europe/Berlin"
grace = 0
lag_alert = "90s"
log_format = "journal"
[web]
listen = "[::1]:8480"
secret_files = ["hooks/new", "~/old"]
body_limit = "64MiB"
[[repo]]
name = "org/a"
interval = "366d"
[[repo]]
name = "org/b"
cron = "30 2 * * MON-FRI"
time_zone = "Asia/Tokyo"
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "config.toml"
    path.write_text(text, encoding="utf-8")
    return path


def problems(folder: Path, text: str, environ: dict[str, str] | None = None) -> list[str]:
    """The problems of a file, with its name written FILE."""
    path = write(folder, text)
    with pytest.raises(ConfigError) as refused:
        config.load(path, environ or {})
    return [problem.replace(str(path), "FILE") for problem in refused.value.problems]


def accepted_by_schema(text: str) -> bool:
    validator = jsonschema.Draft202012Validator(json_schema())
    return bool(validator.is_valid(tomllib.loads(text)))


def test_every_key_of_the_daemon_is_read(tmp_path: Path) -> None:
    loaded = config.load(write(tmp_path, WHOLE), {"HOME": "/home/ann"}).config
    assert (loaded.mirror.watch, loaded.mirror.must_be_mounted) == ("restore", True)
    assert loaded.download.limit == ((0, None), (480, 5 * MIB), (1380, None))
    assert loaded.daemon == DaemonSettings(
        interval=1.0, time_zone="Europe/Berlin", grace=0.0, lag_alert=90.0, log_format="journal"
    )
    assert loaded.web == WebSettings(
        listen="[::1]:8480",
        secret_files=(tmp_path / "hooks" / "new", Path("/home/ann/old")),
        body_limit=64 * MIB,
    )
    assert loaded.repo == (
        RepoSettings(name="org/a", interval=31_622_400.0),
        RepoSettings(name="org/b", cron="30 2 * * MON-FRI", time_zone="Asia/Tokyo"),
    )
    assert accepted_by_schema(WHOLE)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "[mirror]\nwatch = 'restor'",
            'FILE:2: mirror.watch: "restor" is not known; did you mean restore?',
        ),
        ("[mirror]\nwatch = true", "FILE:2: mirror.watch: expected a string in quotes"),
        (
            "[mirror]\nmust_be_mounted = 'true'",
            'FILE:2: mirror.must_be_mounted: expected true or false, got "true"',
        ),
        (
            "[mirror]\nmust_be_mounted = 1",
            "FILE:2: mirror.must_be_mounted: expected true or false, got 1",
        ),
        ("[daemon]\ninterval = 0.5", f"FILE:2: daemon.interval: {TOO_OFTEN}, got 0.5"),
        ("[daemon]\ninterval = '0s'", f'FILE:2: daemon.interval: {TOO_OFTEN}, got "0s"'),
        (
            "[daemon]\ninterval = '367d'",
            'FILE:2: daemon.interval: expected an interval of at most 366d, got "367d"',
        ),
        (
            "[daemon]\ngrace = -1",
            "FILE:2: daemon.grace: expected a duration such as 30s, 5m, 2h, 7d or 1w, got -1",
        ),
        (
            "[daemon]\nlag_alert = 0",
            (
                "FILE:2: daemon.lag_alert: expected a duration above 0, such as 30s, 5m, 2h, 7d"
                " or 1w, got 0"
            ),
        ),
        (
            "[daemon]\nlog_format = 'xml'",
            (
                'FILE:2: daemon.log_format: "xml" is not known; expected one of auto, journal,'
                " json, text"
            ),
        ),
        (
            "[web]\nbody_limit = 1023",
            "FILE:2: web.body_limit: expected a size from 1KiB to 64MiB, got 1023",
        ),
        (
            "[web]\nbody_limit = '65MiB'",
            'FILE:2: web.body_limit: expected a size from 1KiB to 64MiB, got "65MiB"',
        ),
        (
            "[[repo]]\nname = 'o/a'\ninterval = '10ms'",
            f'FILE:3: repo.interval: {TOO_OFTEN}, got "10ms"',
        ),
        ("[daemon]\ncron = 'x'", "FILE:2: daemon.cron: unknown key; it belongs to repo.cron"),
    ],
)
def test_a_mistake_is_told_with_its_cure(tmp_path: Path, text: str, problem: str) -> None:
    assert problems(tmp_path, text) == [problem]
    in_units = re.search(r"'[0-9]+[A-Za-z]+'", text)
    assert in_units or not accepted_by_schema(text)  # the schema does not reckon in units


def test_a_cron_expression_and_a_time_zone_are_looked_at(tmp_path: Path) -> None:
    text = "[daemon]\ntime_zone = 'Mars/Base'\n[[repo]]\nname = 'o/a'\ncron = '0 25 * * *'"
    assert problems(tmp_path, text) == [
        (
            "FILE:2: daemon.time_zone: there is no time zone 'Mars/Base'; expected a name such as"
            " UTC or Europe/Berlin"
        ),
        "FILE:5: repo.cron: '25' is no hour (0-23) in a cron expression",
    ]


def test_interval_and_cron_do_not_go_together(tmp_path: Path) -> None:
    text = "[[repo]]\nname = 'o/a'\ncron = '0 2 * * *'\ninterval = '1h'"
    told = "does not go together with interval"
    assert problems(tmp_path, text) == [
        f"FILE:3: repo.cron: {told} (FILE:4); keep one of the two",
    ]
    [repo, _] = text.split("\ninterval")
    environ = {"ARTIFACT_SYNC_REPO__INTERVAL": "1h"}
    assert problems(tmp_path, repo, environ) == [
        f"FILE:3: repo.cron: {told} (ARTIFACT_SYNC_REPO__INTERVAL); keep one of the two",
    ]
    environ["ARTIFACT_SYNC_REPO__CRON"] = ""
    assert config.load(write(tmp_path, repo), environ).config.repo == (
        RepoSettings(name="o/a", interval=3600.0),
    )


def test_a_repositorys_time_zone_is_that_of_its_cron(tmp_path: Path) -> None:
    text = "[[repo]]\nname = 'o/a'\ntime_zone = 'UTC'\n"
    assert problems(tmp_path, text) == [
        (
            "FILE:3: repo.time_zone: is the time zone of cron, which this [[repo]] lacks;"
            " remove it, or set daemon.time_zone for all repositories"
        ),
    ]


def test_a_time_zone_for_every_cron_can_come_from_the_environment(tmp_path: Path) -> None:
    path = write(tmp_path, "[[repo]]\nname = 'o/a'\n[[repo]]\nname = 'o/b'\ncron = '0 2 * * *'\n")
    environ = {"ARTIFACT_SYNC_REPO__TIME_ZONE": "Asia/Tokyo"}
    assert [it.time_zone for it in config.load(path, environ).config.repo] == ["Asia/Tokyo"] * 2
    assert config.repository("o/c", environ).cron is None


@pytest.mark.parametrize(
    ("listen", "read"),
    [
        ("'0.0.0.0:80'", "0.0.0.0:80"),
        ("'[::]:80'", "[::]:80"),
        ("'[::1]:65535'", "[::1]:65535"),
        ("'ci.example.org:8480'", "ci.example.org:8480"),
        ("'build_host:1'", "build_host:1"),
        ("':8480'", "127.0.0.1:8480"),
        ("'8480'", "127.0.0.1:8480"),
        ("8480", "127.0.0.1:8480"),
        ("' :0 '", "127.0.0.1:0"),
    ],
)
def test_where_to_listen_is_this_machine_unless_a_host_is_named(
    tmp_path: Path, listen: str, read: str
) -> None:
    text = f"[web]\nlisten = {listen}"
    assert config.load(write(tmp_path, text), {}).config.web.listen == read
    assert accepted_by_schema(text)


def test_an_address_comes_apart_into_host_and_port() -> None:
    assert listen_address("[::1]:8480") == ("::1", 8480)
    assert listen_address("127.0.0.1:0") == ("127.0.0.1", 0)


@pytest.mark.parametrize(
    "listen",
    [
        "65536",
        ":",
        "host",
        "host:",
        "host:http",
        "host:-1",
        "::1:80",
        "[::1]",
        "[::1:80",
        "[nonsense]:80",
        "[1.2.3.4]:80",
        "1.2.3:80",
        "256.1.1.1:80",
        "http://host:80",
        "*:80",
        "a b:80",
        "-a:80",
        "a..b:80",
        "unix:/run/x.sock",
        f"{'a' * 64}:80",
    ],
)
def test_what_is_no_address_is_told(tmp_path: Path, listen: str) -> None:
    [problem] = problems(tmp_path, f"[web]\nlisten = '{listen}'")
    assert problem.startswith(f'FILE:2: web.listen: {AN_ADDRESS}, got "{listen[:60]}')


@pytest.mark.parametrize(
    ("limit", "timetable"),
    [
        ("'off'", ()),
        ("' OFF '", ()),
        ("'50MiB'", ((0, 50 * MIB),)),
        ("' 1.5 GiB '", ((0, 1536 * MIB),)),
        ("1024", ((0, 1024),)),
        (
            "'08:00 5MiB, 18:30 50MiB, 23:00 off'",
            ((0, None), (480, 5 * MIB), (1110, 50 * MIB), (1380, None)),
        ),
        (
            "'08:00,5MiB 18:30,50MiB 23:00,off'",
            ((0, None), (480, 5 * MIB), (1110, 50 * MIB), (1380, None)),
        ),
        ("'23:00 off, 8:00 5 MiB,'", ((0, None), (480, 5 * MIB), (1380, None))),
        ("'00:00 5MiB, 12:00 off'", ((0, 5 * MIB), (720, None))),
        ("'08:00 5MiB'", ((0, 5 * MIB),)),
        ("'08:00 off, 12:00 off'", ()),
        ("'06:00 1MiB, 12:00 1MiB, 18:00 2MiB'", ((0, 2 * MIB), (360, MIB), (1080, 2 * MIB))),
        ("{ '08:00' = '5MiB', '23:00' = 'off' }", ((0, None), (480, 5 * MIB), (1380, None))),
        (
            "{ '8:00' = 1048576, ' 23:00 ' = '${FAST}' }",
            ((0, 2 * MIB), (480, MIB), (1380, 2 * MIB)),
        ),
        ("'08:00 1MiB, 23:00 ${FAST}'", ((0, 2 * MIB), (480, MIB), (1380, 2 * MIB))),
    ],
)
def test_a_limit_is_a_rate_or_a_timetable_of_rates(
    tmp_path: Path, limit: str, timetable: Any
) -> None:
    text = f"[download]\nlimit = {limit}"
    assert config.load(write(tmp_path, text), {"FAST": "2MiB"}).config.download.limit == timetable
    assert accepted_by_schema(text)


@pytest.mark.parametrize(
    ("limit", "wrong"),
    [
        ("'fast'", [f'expected {A_LIMIT}, got "fast"']),
        ("''", [f'expected {A_LIMIT}, got ""']),
        ("true", [f"expected {A_LIMIT}, got true"]),
        ("1024.5", [f"expected {A_LIMIT}, got 1024.5"]),
        ("['50MiB']", [f"expected {A_LIMIT}, got a list"]),
        ("{}", [f"expected {A_LIMIT}, got a table"]),
        ("'5MiB 08:00'", [f'expected {A_LIMIT}, got "5MiB 08:00"']),
        ("'1023'", ['expected at least 1KiB a second, or "off", got "1023"']),
        ("0", ['expected at least 1KiB a second, or "off", got 0']),
        ("'08:00'", [f'"08:00": expected {A_RATE}, got ""']),
        ("'08:00 5MiB 6MiB'", [f'"08:00": expected {A_RATE}, got "5MiB 6MiB"']),
        ("'Mon-00:00,5MiB'", [f'"Mon-00:00": {A_TIME}']),
        (
            "'24:00 5MiB, 8:60 off, 9:00 x'",
            [f'"24:00": {A_TIME}', f'"8:60": {A_TIME}', f'"9:00": expected {A_RATE}, got "x"'],
        ),
        ("{ '08:00' = true }", [f'"08:00": expected {A_RATE}, got true']),
        ("{ noon = '5MiB' }", [f'"noon": {A_TIME}']),
    ],
)
def test_what_is_no_limit_is_told(tmp_path: Path, limit: str, wrong: list[str]) -> None:
    text = f"[download]\nlimit = {limit}"
    assert problems(tmp_path, text) == [f"FILE:2: download.limit: {it}" for it in wrong]
    assert limit == "'1023'" or not accepted_by_schema(text)


def test_a_time_that_stands_twice_is_told_however_it_is_written(tmp_path: Path) -> None:
    text = "[download]\nlimit = '8:00 5MiB, 08:00 6MiB'"
    assert problems(tmp_path, text) == [
        'FILE:2: download.limit: "08:00": is there already; write it once'
    ]


def test_a_timetable_may_be_a_table_with_a_header_of_its_own(tmp_path: Path) -> None:
    text = "[download]\njobs = 2\n[download.limit]\n'08:00' = '5MiB'\n'23:00' = 'of'\n"
    assert problems(tmp_path, text) == [
        f'FILE:3: download.limit: "23:00": expected {A_RATE}, got "of"'
    ]
    loaded = config.load(write(tmp_path, text.replace("'of'", "'off'")), {}).config
    assert loaded.download.limit == ((0, None), (480, 5 * MIB), (1380, None))


@pytest.mark.parametrize(
    "text",
    [
        "[web]\nsecret = 'hunter2'",
        "[web]\nsecrets = ['hunter2']",
        "[web]\nwebhook_secret = 'hunter2'",
        "webhook_secret = 'hunter2'",
    ],
)
def test_a_secret_in_the_file_is_refused_unseen_and_sent_to_a_file_of_its_own(
    tmp_path: Path, text: str
) -> None:
    [problem] = problems(tmp_path, text)
    assert "hunter2" not in problem
    assert problem.endswith(
        "; a secret is never in the configuration: name a file of it in web.secret_files or"
        " hook.secret_file"
    )


def test_a_secret_in_place_of_its_file_is_refused_unseen(tmp_path: Path) -> None:
    assert problems(tmp_path, "[web]\nsecret_files = 'hunter2'") == [
        'FILE:2: web.secret_files: expected a list such as ["a", "b"], got a string'
    ]
    with pytest.raises(ConfigError) as refused:
        config.load(None, {"ARTIFACT_SYNC_WEB__SECRET": "hunter2"})
    assert refused.value.problems == (
        (
            "ARTIFACT_SYNC_WEB__SECRET: no such override; a secret is never in the configuration:"
            " name a file of it in web.secret_files or"
            " hook.secret_file"
        ),
    )


def test_every_key_of_the_daemon_can_be_overridden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    environ = {
        "ARTIFACT_SYNC_MIRROR__WATCH": "report",
        "ARTIFACT_SYNC_MIRROR__MUST_BE_MOUNTED": "yes",
        "ARTIFACT_SYNC_DOWNLOAD__LIMIT": "08:00 5MiB, 23:00 off",
        "ARTIFACT_SYNC_DAEMON__INTERVAL": "1m",
        "ARTIFACT_SYNC_DAEMON__TIME_ZONE": "UTC",
        "ARTIFACT_SYNC_DAEMON__GRACE": "5s",
        "ARTIFACT_SYNC_DAEMON__LAG_ALERT": "2h",
        "ARTIFACT_SYNC_DAEMON__LOG_FORMAT": "json",
        "ARTIFACT_SYNC_WEB__LISTEN": "8480",
        "ARTIFACT_SYNC_WEB__SECRET_FILES": "new, /etc/old",
        "ARTIFACT_SYNC_WEB__BODY_LIMIT": "2KiB",
        "ARTIFACT_SYNC_REPO__INTERVAL": "10m",
        "ARTIFACT_SYNC_REPO__NAME": "org/a",
    }
    loaded = config.load(None, environ).config
    assert (loaded.mirror.watch, loaded.mirror.must_be_mounted) == ("report", True)
    assert loaded.download.limit == ((0, None), (480, 5 * MIB), (1380, None))
    assert loaded.daemon == DaemonSettings(
        interval=60.0, time_zone="UTC", grace=5.0, lag_alert=7200.0, log_format="json"
    )
    assert loaded.web == WebSettings(
        listen="127.0.0.1:8480", secret_files=(tmp_path / "new", Path("/etc/old")), body_limit=2048
    )
    assert loaded.repo == (RepoSettings(name="org/a", interval=600.0),)
    assert environ.keys() <= KNOWN.keys()


def test_a_cron_can_come_from_the_environment() -> None:
    environ = {"ARTIFACT_SYNC_REPO__CRON": "0 2 * * *", "ARTIFACT_SYNC_REPO__TIME_ZONE": "UTC"}
    assert config.repository("org/a", environ) == RepoSettings(
        name="org/a", cron="0 2 * * *", time_zone="UTC"
    )


@pytest.mark.parametrize(
    ("text", "truth"), [("true", True), ("YES", True), ("1", True), ("False", False), ("no", False),
                        ("0", False)]
)  # fmt: skip
def test_an_override_spells_yes_and_no_as_people_do(text: str, truth: bool) -> None:  # noqa: FBT001
    environ = {"ARTIFACT_SYNC_MIRROR__MUST_BE_MOUNTED": text}
    assert config.load(None, environ).config.mirror.must_be_mounted is truth


def test_an_override_that_is_neither_yes_nor_no_is_told() -> None:
    with pytest.raises(ConfigError) as refused:
        config.load(None, {"ARTIFACT_SYNC_MIRROR__MUST_BE_MOUNTED": "maybe"})
    assert refused.value.problems == (
        'ARTIFACT_SYNC_MIRROR__MUST_BE_MOUNTED: expected true or false, got "maybe"',
    )


def test_an_empty_override_takes_the_web_and_the_secrets_away(tmp_path: Path) -> None:
    environ = {"ARTIFACT_SYNC_WEB__LISTEN": "", "ARTIFACT_SYNC_WEB__SECRET_FILES": ""}
    web = config.load(write(tmp_path, WHOLE), environ | {"HOME": "/"}).config.web
    assert (web.listen, web.secret_files) == (None, ())


@pytest.mark.parametrize("text", ["", WHOLE, "[download]\nlimit = '1536'\n[web]\nlisten = 0"])
def test_what_is_shown_reads_back_the_same(tmp_path: Path, text: str) -> None:
    first = write(tmp_path, text)
    loaded = config.load(first, {"HOME": "/home/ann"})
    second = tmp_path / "shown.toml"
    second.write_text(as_toml(loaded, "not set"), encoding="utf-8")
    assert msgspec.structs.replace(config.load(second, {}).config, path=first) == loaded.config
    assert accepted_by_schema(second.read_text(encoding="utf-8"))


def test_what_is_shown_is_as_people_write_it(tmp_path: Path) -> None:
    path = write(tmp_path, WHOLE)
    shown = as_toml(config.load(path, {"HOME": "/home/ann"}), "not set")
    assert f'limit = "00:00 off, 08:00 5MiB, 23:00 off"  # {path}:6' in shown
    assert f"must_be_mounted = true  # {path}:4" in shown
    assert f'grace = "0s"  # {path}:10' in shown
    assert f'secret_files = ["{tmp_path}/hooks/new", "/home/ann/old"]  # {path}:15' in shown
    assert f'body_limit = "64MiB"  # {path}:16' in shown
    assert f'cron = "30 2 * * MON-FRI"  # {path}:22' in shown


def test_the_schema_has_the_defaults_as_they_would_be_written() -> None:
    properties = json_schema()["properties"]
    defaults = {
        f"{section}.{key}": schema["default"]
        for section in ("download", "daemon", "web")
        for key, schema in properties[section]["properties"].items()
        if "default" in schema
    }
    assert defaults == {
        "download.jobs": 8,
        "download.timeout": "1m",
        "download.attempts": 5,
        "download.ranges": 4,
        "download.limit": "off",
        "daemon.interval": "5m",
        "daemon.grace": "30s",
        "daemon.lag_alert": "1h",
        "daemon.log_format": "auto",
        "web.secret_files": [],
        "web.body_limit": "1MiB",
    }
