"""README.md and the pages of docs are true: their commands work and print what is shown.

All blocks of a page are typed into one shell, in an empty home, before a service of its own.
``pages.py`` says how blocks are marked, ``shown.py`` what is compared. The service is the simulated
organisation of ``artifact-sync demo``, without its haste. ``8470`` and ``8480`` in a page stand for
ports that are free.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import tomllib
from contextlib import suppress
from pathlib import Path

import pytest
from forked_program import on_path
from pages import REPOSITORY, Block, Command, Page, commands, pages
from shown import matches
from user import SECRETS, TOKEN

from artifact_sync.config.load import load
from artifact_sync.domain.errors import ExitCode
from artifact_sync.mirror.layout import layout_problems
from artifact_sync.simulator import demo_text, parse_scenario, running_in_thread
from fleet_demo.servers import free_port

PAGES = pages()
SHELLS = [it for it in PAGES if it.tested("console", "sh")]
MARKS = re.compile(r"(tested|tested in a box: .+|tested by .+\.py|written as .+|not tested: .+)")
PORTS = ("8470", "8480")
EXAMPLE = (REPOSITORY / "config.example.toml").read_text(encoding="utf-8")

_OURS = re.compile(
    r"^\[(\[repo\]|source|mirror|ledger|download|daemon|web|keep|\[hook\])\]", re.MULTILINE
)
_SIMULATED = re.compile(r"^\[(\[repo\.run\]|\[fault\]|api|files)\]", re.MULTILINE)
_VARIABLE = re.compile(r"\$\{(\w+)\}")
_KEY = re.compile(r"^(?:# )*([a-z_]+) = ", re.MULTILINE)

posix = pytest.mark.skipif(sys.platform == "win32", reason="the commands are for a POSIX shell")


class Shell:
    """Types the commands of a page one after the other, and keeps what each of them prints."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._home = folder / "home"
        self._home.mkdir()
        self._ports = {port: str(free_port()) for port in PORTS}
        self._lines = ["_code=0"]
        self._typed: list[Command] = []

    def take(self, block: Block) -> None:
        """Type a block, or write it down as a file."""
        if block.mark.startswith("written as "):
            path = shlex.quote(block.mark.removeprefix("written as "))
            here = f"mkdir -p -- $(dirname {path})\ncat >{path} <<'THE END'\n{block.text}THE END"
            self._lines.append(self._with_free_ports(here))
        elif block.mark == "tested" and block.language == "console":
            for command in commands(block):
                self._type(command)
        elif block.mark == "tested" and block.language == "sh":
            self._type(Command(block.text, "…"))

    def _type(self, command: Command) -> None:
        """A command that fails ends the shell, unless the next one asks for its exit code."""
        file = shlex.quote(str(self._folder / str(len(self._typed))))
        asked = command.text == "echo $?"
        if not asked:
            self._lines.append("[ $_code = 0 ] || exit 0")
        typed = self._with_free_ports(command.text)
        self._lines.append(f"{{ (exit $_code)\n{typed}\n}} >{file}.out 2>{file}.err")
        self._lines.append(f"_code=$?; echo $_code >{file}.code")
        self._typed.append(command)

    def _with_free_ports(self, text: str) -> str:
        return re.sub("|".join(PORTS), lambda found: self._ports[found[0]], text)

    def run(self, environ: dict[str, str]) -> None:
        """Type it all. ``AssertionError`` names the first command that does not do as is shown."""
        said = self._folder / "said"
        with (
            said.open("wb") as file,
            subprocess.Popen(
                ["bash", "-c", "\n".join(self._lines)],
                cwd=self._home,
                env={**environ, "HOME": str(self._home)},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
            ) as bash,
        ):
            with suppress(subprocess.TimeoutExpired):
                bash.wait(timeout=90)
            with suppress(ProcessLookupError):  # what was left in the background
                os.killpg(bash.pid, signal.SIGKILL)
        for number, command in enumerate(self._typed):
            self._check(number, command, said.read_text(encoding="utf-8"))

    def _check(self, number: int, command: Command, said: str) -> None:
        out, err, code = (self._printed(number, kind) for kind in ("out", "err", "code"))
        everything = f"$ {command.text}\n{out}{err}{said}"
        assert code is not None, f"it never ended, or was never typed: {everything}"
        following = self._typed[number + 1 :][:1]
        asked = bool(following) and following[0].text == "echo $?"
        assert code == "0\n" or asked, f"exit code {code}{everything}"
        assert not SECRETS.search(everything), everything
        either = [out, f"{out}{err}", *([] if out else [err])]
        assert any(matches(command.shown, it or "") for it in either), (
            f"{everything}\n--- but the page shows\n{command.shown}"
        )

    def _printed(self, number: int, kind: str) -> str | None:
        path = self._folder / f"{number}.{kind}"
        if not path.exists():
            return None
        text = path.read_text(encoding="utf-8")
        for port, free in self._ports.items():
            text = text.replace(free, port)
        return text


@posix
@pytest.mark.parametrize("page", SHELLS, ids=lambda page: page.name)
def test_the_commands_of_a_page_work_and_print_what_is_shown(page: Page, tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    for block in page.blocks():
        shell.take(block)
    unhurried = re.sub(r"^(lifetime|bandwidth) = .*$", "", demo_text(), flags=re.MULTILINE)
    scenario = unhurried.replace('"demo-token"', f'"{TOKEN}"')
    with running_in_thread(parse_scenario(scenario, name="demo")) as service:
        environ = {
            "SOURCECRAFT_TOKEN": TOKEN,
            "ARTIFACT_SYNC_SOURCE__BASE_URL": service.base_url,
            "SSL_CERT_FILE": os.environ["SSL_CERT_FILE"],
            "PYTHONUTF8": "1",
            "LC_ALL": "C.UTF-8",
        }
        folders = [str(on_path(environ)), str(Path(sys.executable).parent), os.environ["PATH"]]
        shell.run({**environ, "PATH": os.pathsep.join(folders)})


def test_every_block_of_commands_says_how_it_is_tested() -> None:
    shells = {"console", "sh", "bash", "shell"}
    assert [
        f"{page.name}:{block.line}"
        for page in PAGES
        for block in page.blocks()
        if block.language in shells and not MARKS.fullmatch(block.mark)
    ] == []


def test_a_page_can_be_read_at_one_sitting() -> None:
    most = {"README.md": 900}
    found = {page.name: page.words for page in PAGES if not page.is_long}
    assert {name: words for name, words in found.items() if words > most.get(name, 1200)} == {}


CONFIGURATIONS = [
    pytest.param(block.text, id=f"{page.name}:{block.line}")
    for page in PAGES
    for block in page.blocks()
    if block.language == "toml"
]


@pytest.mark.parametrize("text", CONFIGURATIONS)
def test_every_configuration_of_a_page_can_be_loaded(text: str, tmp_path: Path) -> None:
    if _SIMULATED.search(text):
        parse_scenario(text, name="a page")
    elif _OURS.search(text):
        path = tmp_path / "page.toml"
        path.write_text(text, encoding="utf-8")
        environ = dict.fromkeys(_VARIABLE.findall(text), "value")
        load(path, {"HOME": str(tmp_path), **environ}, layout_problems)
    else:
        tomllib.loads(text)


def _reference() -> str:
    return "\n".join(it.text for it in PAGES if it.name == "README.md" or it.is_long)


def test_every_key_of_the_configuration_is_told() -> None:
    keys = set(_KEY.findall(EXAMPLE))
    assert {"base_url", "token_file", "layout", "url", "jobs", "name", "since"} <= keys
    text = _reference()
    assert {key for key in keys if not re.search(rf"\b{key}\b", text)} == set()


def test_every_exit_code_is_told() -> None:
    found = {int(code) for code in re.findall(r"^\| `?(\d+)`? \|", _reference(), re.MULTILINE)}
    assert {int(code) for code in ExitCode} <= found


def test_what_a_page_shows_is_compared_but_for_what_changes_from_day_to_day() -> None:
    printed = "name   5 B  12s ago  2026-11-29T03:16:09Z\nmore\nand more\nend: 3\n"
    assert matches("name  5 B  1s ago  2025-01-02T03:04:05Z\n…\nend: 3", printed)
    assert matches("name …\nmore\nand more\nend: 3", printed)
    assert not matches("name  6 B  1s ago  2025-01-02T03:04:05Z\n…\nend: 3", printed)
    assert not matches("name  5 B  1s ago  2025-01-02T03:04:05Z\nend: 3", printed)
    assert not matches("", printed)
