from __future__ import annotations

import re
import tomllib
from importlib.resources import files
from pathlib import Path

import jsonschema
import msgspec
import pytest

from artifact_sync import config
from artifact_sync.config.keys import ALL, SECTIONS
from artifact_sync.config.render import as_toml, json_schema
from artifact_sync.domain.settings import Config, HookSettings, RepoKeepSettings, RepoSettings
from artifact_sync.mirror.layout import layout_problems

EXAMPLE = Path(__file__).parents[3] / "config.example.toml"
COMMENTED_KEY = re.compile(r"^# (?=\w+ = |\[\[)", re.MULTILINE)
COMMENTED_ALTERNATIVE = re.compile(r"^# # (?=\w+ = )", re.MULTILINE)
REPLACED = re.compile(r"^# (?=(?:interval|command) = )", re.MULTILINE)


def uncommented() -> str:
    """The example with its commented keys switched on."""
    return COMMENTED_KEY.sub("", EXAMPLE.read_text(encoding="utf-8"))


def with_alternatives() -> str:
    """The same with ``cron`` in place of ``interval``, and ``url`` in place of ``command``."""
    text = REPLACED.sub("# off: ", EXAMPLE.read_text(encoding="utf-8"))
    return COMMENTED_KEY.sub("", COMMENTED_ALTERNATIVE.sub("", text))


def test_the_package_ships_the_example() -> None:
    shipped = files("artifact_sync.config").joinpath("example.toml").read_bytes()
    assert shipped == EXAMPLE.read_bytes()


def test_the_example_holds_the_defaults() -> None:
    loaded = config.load(EXAMPLE, {}, layout_problems).config
    assert msgspec.structs.replace(loaded, path=None) == Config()


def test_the_example_writes_every_key_that_has_a_default_and_comments_out_the_others() -> None:
    written = tomllib.loads(EXAMPLE.read_text(encoding="utf-8"))
    for name, section in SECTIONS.items():
        assert written[name].keys() == section.keys.keys() - section.optional, name
    switched_on = tomllib.loads(uncommented())
    for name, section in SECTIONS.items():
        assert switched_on[name].keys() == section.keys.keys()
    alternatives = {"cron", "time_zone"}
    assert switched_on["repo"][0].keys() == ALL["repo"].keys.keys() - alternatives
    assert switched_on["hook"][0].keys() == ALL["hook"].keys.keys() - {"url", "secret_file"}
    switched_on = tomllib.loads(with_alternatives())
    assert switched_on["repo"][0].keys() == ALL["repo"].keys.keys() - {"interval"}
    assert switched_on["hook"][0].keys() == ALL["hook"].keys.keys() - {"command"}


def test_the_example_is_right_in_its_commented_keys_too(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(uncommented(), encoding="utf-8")
    loaded = config.load(path, {"HOME": "/home/ann"}, layout_problems).config
    keep = RepoKeepSettings(last=20, last_success=5, max_size=20 * 2**30)
    assert loaded.repo == (
        RepoSettings(name="org/repo", since=2_592_000.0, interval=300.0, keep=keep),
    )
    command = ("/usr/local/bin/tell-me", "--briefly")
    assert loaded.hook == (HookSettings(on=("run.complete",), name="tell-me", command=command),)
    path.write_text(with_alternatives(), encoding="utf-8")
    loaded = config.load(path, {"HOME": "/home/ann"}, layout_problems).config
    [repo], [hook] = loaded.repo, loaded.hook
    assert (hook.command, hook.url) == (None, "https://hooks.example.org/artifacts")
    assert (repo.interval, repo.cron) == (None, "*/10 7-19 * * MON-FRI")
    assert repo.time_zone == "Europe/Berlin"


def test_the_schema_accepts_the_example() -> None:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    for text in (EXAMPLE.read_text(encoding="utf-8"), uncommented(), with_alternatives()):
        jsonschema.validate(tomllib.loads(text), schema, jsonschema.Draft202012Validator)


@pytest.mark.parametrize(
    "text",
    [
        "[sources]",
        "[source]\nproxxy = 'x'",
        "[download]\njobs = 0",
        "[download]\njobs = '4'",
        "[download]\ntimeout = 'soon'",
        "[mirror]\nmin_free = '1G'",
        "[mirror]\ndurability = 'ful'",
        "[[repo]]\ninclude = []",
        "[[repo]]\nname = 'o/a'\nevents = ['pushh']",
        "[[hook]]\ncommand = ['x']",
        "[[hook]]\non = ['run.done']\ncommand = ['x']",
        "[[hook]]\non = ['pruned']\ncommand = 'x y'",
        "[[hook]]\non = ['pruned']\ncommand = []",
        "[[hook]]\non = ['pruned']\ncommand = ['x']\ntimeout = 0",
    ],
)
def test_the_schema_refuses_what_loading_refuses(text: str) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(tomllib.loads(text), json_schema(), jsonschema.Draft202012Validator)


def test_the_schema_says_what_each_key_is_for() -> None:
    source = json_schema()["properties"]["source"]
    assert source["description"] == "``[source]``: the service and how to reach it."
    assert source["properties"]["rate_limit"] == {
        "type": "number",
        "exclusiveMinimum": 0,
        "maximum": 1e6,
        "default": 25.0,
        "description": "Requests to the API per second, over all repositories.",
    }


def test_what_is_shown_reads_back_the_same(tmp_path: Path) -> None:
    first = tmp_path / "config.toml"
    first.write_text(
        '[mirror]\nroot = "a \\"b\\" ${V} ключ"\nmin_free = 1536\n[download]\ntimeout = 0.25\n'
        '[[repo]]\nname = "o/a"\nsince = 90\ninclude = ["$${x}", "\\u0001", "*.zip"]\n',
        encoding="utf-8",
    )
    loaded = config.load(first, {"V": "$5 #"})
    second = tmp_path / "shown.toml"
    second.write_text(as_toml(loaded, "not set\nreally"), encoding="utf-8")
    again = config.load(second, {}).config
    assert msgspec.structs.replace(again, path=first) == loaded.config


def test_what_is_shown_says_where_it_comes_from_and_hides_passwords(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('[ledger]\nurl = "postgresql://u:hidden@h/d"\n[[repo]]\nname = "o/a"\n')
    environ = {
        "ARTIFACT_SYNC_SOURCE__PROXY": "http://u:hidden@p:1",
        "ARTIFACT_SYNC_REPO__SINCE": "7d",
    }
    shown = as_toml(config.load(path, environ), "not set")
    assert "hidden" not in shown
    assert f'url = "postgresql://u:***@h/d"  # {path}:2' in shown
    assert 'proxy = "http://u:***@p:1"  # ARTIFACT_SYNC_SOURCE__PROXY' in shown
    assert f'name = "o/a"  # {path}:4' in shown
    assert 'since = "7d"  # ARTIFACT_SYNC_REPO__SINCE' in shown
    assert "jobs = 8  # default" in shown
    assert "# root: not set" in shown
