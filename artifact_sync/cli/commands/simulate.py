"""``artifact-sync simulate``: run the simulator.

It needs the extra ``web``, so it is imported when the command runs.
"""

from __future__ import annotations

import asyncio
import functools
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from artifact_sync.cli.interrupt import STOP_SIGNALS, on_signals
from artifact_sync.cli.options import unconfigured
from artifact_sync.domain.errors import UsageError
from artifact_sync.runtime.event_loop import run_plainly

if TYPE_CHECKING:
    from types import ModuleType

    from artifact_sync.simulator import Running, Simulator

_port = functools.partial(click.option, type=click.IntRange(0, 65535), default=0, metavar="PORT")
_NAME = "artifact-sync"
_EXTRA = ("starlette", "uvicorn")


@click.command(
    "simulate",
    epilog="""\b
Examples:
  artifact-sync simulate
  artifact-sync simulate --print-scenario > mine.toml
  artifact-sync simulate --port 8470 --scenario mine.toml""",
)
@_port("--port", help="Port of the API; 0: any that is free.")
@_port("--files-port", help="Port of the files; 0: any that is free.")
@click.option(
    "--scenario",
    "file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="What to simulate (TOML). Default: a small organisation, acme.",
)
@click.option("--print-scenario", is_flag=True, help="Print the scenario's TOML and end.")
@unconfigured
def command(*, port: int, files_port: int, file: Path | None, print_scenario: bool) -> None:
    """Simulate SourceCraft on this machine until Ctrl-C.

    Real HTTP, links that lapse, and faults on demand. Prints what to type in another terminal.
    """
    simulator = the_simulator()
    scenario = simulator.load_scenario(file) if file else simulator.demo_scenario()
    if print_scenario:
        click.echo(file.read_text(encoding="utf-8") if file else simulator.demo_text(), nl=False)
    else:
        run_plainly(_simulate(simulator.Simulator(scenario), port, files_port))


def the_simulator() -> ModuleType:
    """Import the simulator. ``UsageError`` when its dependencies are not installed."""
    try:
        from artifact_sync import simulator  # noqa: PLC0415 - needs the web extra
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _EXTRA:
            raise
        what = "the simulator needs Starlette and uvicorn: pip install 'artifact-sync[web]'"
        raise UsageError(what) from error
    return simulator


def program() -> str:
    """How to call this program from here, for commands that are to be typed."""
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        called = Path(sys.executable).with_name(_NAME)
    elif not called.is_file():
        return _NAME
    if not called.exists():
        return shlex.join([sys.executable, "-m", "artifact_sync"])
    found = shutil.which(called.name)
    if found and called.samefile(found):
        return called.name
    here = Path.cwd()
    return shlex.quote(str(called.relative_to(here) if called.is_relative_to(here) else called))


async def _simulate(simulator: Simulator, port: int, files_port: int) -> None:
    stop = asyncio.Event()
    on_signals(dict.fromkeys(STOP_SIGNALS, stop.set))  # the way to end it: exit code 0
    async with simulator.serve(api_port=port, files_port=files_port) as running:
        click.echo(_welcome(running))
        await stop.wait()


def _welcome(running: Running) -> str:
    scenario = running.simulator.scenario
    return f"""\
A simulated SourceCraft answers at {running.base_url}
Its files are at {running.files_url}
Repositories: {", ".join(repo.name for repo in scenario.repos) or "none"}
Token: {running.token or "none is let in"}

In another terminal:

  {_next_command(running)}

Ctrl-C ends it."""


def _next_command(running: Running) -> str:
    """The command that mirrors the first repository with artifacts."""
    repos = running.simulator.scenario.repos
    names = [repo.name for repo in repos if repo.runs and not repo.forbidden]
    token, repo = (shlex.quote(text) for text in (running.token, (names or ["ORG/REPO"])[0]))
    sync = f"{program()} sync {repo} --root ./mirror"
    url = running.base_url
    if sys.platform == "win32":
        set_token = f'$env:SOURCECRAFT_TOKEN="{running.token}"'
        return f'{set_token}; $env:ARTIFACT_SYNC_SOURCE__BASE_URL="{url}"; {sync}'
    return f"SOURCECRAFT_TOKEN={token} ARTIFACT_SYNC_SOURCE__BASE_URL={url} {sync}"
