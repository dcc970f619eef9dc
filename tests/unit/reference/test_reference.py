"""docs/reference/ and docs/man/ are what the program makes of them, and true of it."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import click
import jsonschema
import msgspec
import pytest

from artifact_sync import cli
from artifact_sync.config.load import load
from artifact_sync.domain import errors
from artifact_sync.domain.errors import ExitCode, Reason
from artifact_sync.mirror.layout import layout_problems
from artifact_sync.runtime.docstrings import docstrings_in
from artifact_sync.web import metrics as counted
from artifact_sync.web.webhook_payload import RunComplete, read_payload
from reference import environment, json_objects, key_table, manual, metrics, web
from reference.pages import FOLDERS, generated, written_by_hand
from reference.program import Command, commands

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = Path(__file__).parents[3]
OUT_OF_DATE = "docs/reference/ or docs/man/ is out of date: run `make reference`"
COMMANDS = list(commands())
MANY = {
    "repo": '[[repo]]\nname = "org/repo"\n',
    "hook": '[[hook]]\non = ["pruned"]\n',
}
"""How tables begin that may occur many times."""

BESIDE = {
    **dict.fromkeys(("hook.on", "hook.name", "hook.timeout"), 'command = ["true"]\n'),
    "hook.secret_file": 'url = "https://h/x"\n',
    "repo.time_zone": 'cron = "0 * * * *"\n',
}
"""What a key's example needs."""
EXAMPLES = [line for command in COMMANDS for line in command.examples]


def test_what_is_committed_is_what_the_program_makes() -> None:
    made = generated()
    there = {
        name: path.read_text(encoding="utf-8")
        for folder in FOLDERS
        for path in (REPOSITORY / folder).rglob("*")
        if path.is_file() and not written_by_hand(name := path.relative_to(REPOSITORY).as_posix())
    }
    differing = sorted(it for it in made.keys() | there.keys() if made.get(it) != there.get(it))
    assert differing == [], OUT_OF_DATE


@pytest.mark.parametrize("command", COMMANDS, ids=lambda it: it.name)
def test_every_command_and_option_says_what_it_does(command: Command) -> None:
    assert command.summary
    assert [option.typed for option in command.options if not option.help] == []


@pytest.mark.parametrize("line", EXAMPLES)
def test_an_example_is_understood_by_the_program(line: str) -> None:
    words = shlex.split(line, comments=True)
    end = next((number for number, it in enumerate(words) if it in {"|", ">", ">>"}), len(words))
    assert words[0] == "artifact-sync"
    context = cli.group.make_context(words[0], words[1:end], resilient_parsing=False)
    assert list(_unfinished(context)) == []


def _unfinished(context: click.Context) -> Iterator[str]:
    """Parse the words behind a group as its command's; what is left over."""
    command, words = context.command, [*context._protected_args, *context.args]
    if isinstance(command, click.Group) and command.invoke_without_command and not words:
        return
    if not isinstance(command, click.Group):
        yield from words
        return
    name, inner, rest = command.resolve_command(context, words)
    assert inner is not None
    yield from _unfinished(inner.make_context(name, rest, parent=context))


@pytest.mark.parametrize("key", list(key_table.keys()), ids=lambda it: it.full_name)
def test_a_key_has_a_reason_and_an_example_that_can_be_loaded(
    key: key_table.Key, tmp_path: Path
) -> None:
    assert len(key.reason.split()) > 3
    head = MANY.get(key.section, f"[{key.section}]\n")
    text = "".join(
        it for it in head.splitlines(keepends=True) if not it.startswith(f"{key.name} =")
    )
    path = tmp_path / "config.toml"
    path.write_text(f"{text}{BESIDE.get(key.full_name, '')}{key.example}\n", encoding="utf-8")
    load(path, {"HOME": str(tmp_path)}, layout_problems)


def test_every_code_reason_and_answer_has_a_meaning() -> None:
    told = docstrings_in(errors) | docstrings_in(counted)
    members = [*ExitCode, *Reason, *counted.WebhookOutcome]
    assert [it for it in members if not told.get(f"{type(it).__name__}.{it.name}")] == []


def test_the_variables_are_those_that_the_source_reads() -> None:
    assert environment.read_in_source() == set(environment.READ)


@pytest.mark.parametrize("it", json_objects.OBJECTS, ids=lambda it: it.file)
def test_a_schema_is_one_and_its_example_is_valid(it: json_objects.JsonObject) -> None:
    schema = it.schema
    jsonschema.Draft202012Validator.check_schema(schema)
    for example in schema["examples"]:
        jsonschema.Draft202012Validator(schema).validate(example)
    members = [(name, text) for name, told in schema["$defs"].items() for text in _texts(told)]
    assert [name for name, text in members if not text] == []


def _texts(told: dict[str, object]) -> list[object]:
    properties = told.get("properties")
    if not isinstance(properties, dict):
        return []
    return [told["description"], *(it["description"] for it in properties.values())]


def test_the_example_of_a_webhook_is_understood() -> None:
    event = read_payload(msgspec.json.encode(web.BODY))
    assert isinstance(event, RunComplete)
    assert (str(event.repo), event.run, event.id) == ("acme/rocket", "42", "e1")


def test_every_metric_has_a_row_of_its_own() -> None:
    names = metrics.names()
    assert len(names) == len(set(names)) > 20
    assert all(name.startswith("artifact_sync_") for name in names)


@pytest.mark.skipif(shutil.which("man") is None, reason="needs man")
def test_the_manual_pages_have_no_warnings(tmp_path: Path) -> None:
    for name, text in manual.pages():
        (tmp_path / name).write_text(text, encoding="utf-8")
        done = subprocess.run(
            ["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", name],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, ""), name
