"""``artifact-sync demo``: a whole session against the simulator.

A pass, the mirror's tree, ``sha256sum -c``, a second pass.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import click

from artifact_sync.cli.commands.simulate import program, the_simulator
from artifact_sync.cli.options import root_option, unconfigured
from artifact_sync.cli.report_text import summary
from artifact_sync.cli.run_pass import PassDisplay, run_pass
from artifact_sync.config.api_token import Token
from artifact_sync.domain.errors import ExitCode
from artifact_sync.domain.request import PassRequest
from artifact_sync.domain.settings import (
    Config,
    DownloadSettings,
    MirrorSettings,
    RepoSettings,
    SourceSettings,
)
from artifact_sync.mirror.manifest import SUMS
from artifact_sync.runtime.event_loop import run_quickly
from artifact_sync.runtime.text import printable
from artifact_sync.runtime.units import counted
from artifact_sync.runtime.units import size_in_words as size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from artifact_sync.simulator import Running

_ORG = "acme"
_ROOT = Path("demo-mirror")
_CHECKERS = (("sha256sum", "-c", "--quiet"), ("shasum", "-a", "256", "-c"))


@click.command(
    epilog="""\b
Example:
  artifact-sync demo --root /tmp/demo-mirror

\b
It needs no account, no configuration and no network, but the extra "web":
pip install 'artifact-sync[web]'.""",
)
@root_option(f"Where to mirror to. Default: {_ROOT} in this folder.")
@unconfigured
def command(*, root: Path | None) -> int:
    """Mirror a small simulated organisation over real HTTP, and check the mirror.

    Links lapse after two seconds, one download is cut and one is told to come again. The mirror
    stays: look at it with the commands that are printed at the end.
    """
    where = root or _ROOT
    with the_simulator().running_in_thread() as running:
        _introduce(running, where)
        code = _pass(running, where)
        if code == ExitCode.COMPLETE:
            _tree(where)
            code = _check(where)
            _again(running, where)
    _farewell(where)
    return code


def _introduce(running: Running, where: Path) -> None:
    click.echo(f"A simulated SourceCraft answers on {running.base_url}, its files on another port.")
    click.echo("Its links lapse after 2 seconds, one download is cut, one is told to come again.")
    click.echo(f"Mirroring every repository of {_ORG} into {where}/")
    if where.exists():
        click.echo(f"({where} is there already: only what is missing comes. Remove it to see all.)")
    click.echo()


def _pass(running: Running, where: Path) -> int:
    config = Config(
        source=SourceSettings(base_url=running.base_url),
        mirror=MirrorSettings(root=where.absolute()),
        download=DownloadSettings(jobs=4),
        repo=(RepoSettings(name=f"{_ORG}/*"),),
    )
    token = Token(running.token, "the simulator")
    report = run_quickly(run_pass(config, PassRequest(config.repo), PassDisplay(), token))
    for line in summary(report):
        click.echo(line)
    return int(report.exit_code)


def _tree(where: Path) -> None:
    """Print the mirror's tree: newest runs in full, older ones in a line."""
    click.echo(f"\n{where}/")
    for repo in sorted(path for path in (where / _ORG).iterdir() if path.is_dir()):
        click.echo(f"  {_ORG}/{repo.name}/")
        runs = [path for path in repo.iterdir() if path.is_dir() and not path.is_symlink()]
        *older, newest = sorted(runs, key=lambda path: int(path.name))
        for run in older:
            click.echo(f"    {run.name}/  {_amount(run)}")
        click.echo(f"    {newest.name}/")
        for line in _branches(newest, "      "):
            click.echo(line)
        for link in sorted(path for path in repo.iterdir() if path.is_symlink()):
            click.echo(f"    {link.name} -> {printable(str(link.readlink()))}")


def _amount(run: Path) -> str:
    files = [path for path in run.rglob("*") if path.is_file()]
    return f"{counted(len(files), 'file')}, {size(sum(path.stat().st_size for path in files))}"


def _branches(folder: Path, indent: str) -> Iterator[str]:
    """Lines for a folder's content; a chain of single folders is one line."""
    for path in sorted(folder.iterdir(), key=lambda path: (path.is_file(), path.name)):
        if path.is_file():
            yield f"{indent}{printable(path.name)}  {size(path.stat().st_size)}"
        else:
            last = _chain(path)
            yield f"{indent}{printable(str(last.relative_to(folder)))}/"
            yield from _branches(last, indent + "  ")


def _chain(folder: Path) -> Path:
    """The last folder of a chain of folders that hold nothing else."""
    content = list(folder.iterdir())
    lone = len(content) == 1 and content[0].is_dir()
    return _chain(content[0]) if lone else folder


def _check(where: Path) -> int:
    """Check every manifest by a program of the system."""
    checker = next((it for it in _CHECKERS if shutil.which(it[0])), None)
    if checker is None:
        click.echo("\nThis system has no sha256sum; artifact-sync verify does the same.")
        return ExitCode.COMPLETE
    manifests = sorted(path for path in where.rglob(SUMS) if ".artifact-sync" not in path.parts)
    files = sum(len(path.read_bytes().splitlines()) for path in manifests)
    failed = [path for path in manifests if not _agrees(checker, path)]
    amount = f"{counted(len(manifests), 'run')}, {counted(files, 'file')}"
    click.echo(f"\n{' '.join(checker)} {SUMS} in {amount}: ", nl=False)
    click.echo(f"FAILED in {', '.join(map(str, failed))}" if failed else "all OK")
    return ExitCode.INTEGRITY if failed else ExitCode.COMPLETE


def _agrees(checker: tuple[str, ...], manifest: Path) -> bool:
    done = subprocess.run([*checker, SUMS], cwd=manifest.parent, capture_output=True, check=False)  # noqa: S603 - no remote text in it
    return done.returncode == 0


def _again(running: Running, where: Path) -> None:
    before = running.simulator.requests.api
    click.echo("\nOnce more, with nothing new:")
    _pass(running, where)
    requests = running.simulator.requests.api - before
    click.echo(f"That took {counted(requests, 'request')} to the API.")


def _farewell(where: Path) -> None:
    me, root = program(), shlex.quote(str(where))
    click.echo(
        f"""
Look at it:      {me} status --root {root}
                 {me} ls acme/rocket --root {root}
                 {me} verify --root {root}
Your repository: export SOURCECRAFT_TOKEN=…   (a personal access token)
                 {me} sync ORG/REPO --root ./mirror --since 7d"""
    )
