"""``artifact-sync get``: copy mirrored files to a folder, or unpack them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from artifact_sync.cli.errors import result_of
from artifact_sync.cli.failed_answer import as_json_also_failed
from artifact_sync.cli.get_answer import GetAnswer, GotFile
from artifact_sync.cli.json_objects import FailureEntry, as_line
from artifact_sync.cli.ledger_completion import complete_places
from artifact_sync.cli.options import common, root
from artifact_sync.cli.session import configuration_beside_daemon, session
from artifact_sync.domain.errors import exit_code
from artifact_sync.runtime import event_loop
from artifact_sync.runtime.text import printable

if TYPE_CHECKING:
    from artifact_sync.app.getting import GetTerms, Got
    from artifact_sync.domain.model import Failure
    from artifact_sync.domain.settings import Config


@click.command(
    epilog="""\b
Examples:
  artifact-sync get acme/rocket@latest-success 'dist*' --to out
  artifact-sync get acme/rocket@42 playwright-report --to out --extract

\b
Exit codes: 0 all is there, 1 nothing fits, or something is in the way or is refused, 2 usage,
5 a file of the mirror is damaged, 6 disk full or refusing.""",
)
@click.argument("where", metavar="ORG/REPO[@RUN]", shell_complete=complete_places)
@click.argument("globs", metavar="[GLOB]...", nargs=-1)
@click.option(
    "--to", "target", metavar="DIR", required=True,
    help="Where to, outside the mirror; made if missing.",
    type=click.Path(file_okay=False, path_type=Path),
)  # fmt: skip
@click.option("--extract", is_flag=True, help="Unpack archives into NAME.d/, and copy the others.")
@click.option("--force", is_flag=True, help="Replace what is there and is another file.")
@root
@as_json_also_failed(GetAnswer)
@common
def command(
    *,
    config_file: Path | None,
    root: Path | None,
    as_json: bool,
    where: str,
    target: Path,
    **chosen: Any,
) -> int:
    """Copy mirrored files to a folder; each is verified while it is copied.

    RUN is a number, latest or latest-success; without it the newest complete run. GLOB is as in
    include; of several one must fit. Below DIR are the paths that the files have in their run's
    folder. Nothing half appears there, and no link there is followed. Works beside a running sync.
    """
    from artifact_sync.app.getting import GetTerms  # noqa: PLC0415 - keeps --help quick

    config = configuration_beside_daemon(config_file, root)
    terms = GetTerms(where=where, target=target.absolute(), **chosen)
    return _get(config, terms, as_json=as_json)


def _get(config: Config, terms: GetTerms, *, as_json: bool) -> int:
    from artifact_sync.app.getting import found_to_get  # noqa: PLC0415 - keeps --help quick

    getting = event_loop.run_plainly(found_to_get(config, terms))
    files: list[GotFile] = []
    failures: list[Failure] = []
    for got in getting.files():
        if got.failure is not None:
            failures.append(got.failure)
        else:
            files.append(_entry(got, terms.target))
            if not as_json:
                click.echo(printable(files[-1].path))
    code = exit_code(failure.reason for failure in failures)
    with result_of(code):
        if as_json:
            told = [FailureEntry.of(it) for it in failures]
            done = GetAnswer(complete=not told, exit_code=code, files=files, failures=told)
            click.echo(as_line(done))
        else:
            _tell(failures)
    return int(code)


def _entry(got: Got, target: Path) -> GotFile:
    key, path = got.row.key, str(target / got.place)
    return GotFile(
        repo=str(key.run_key.repo),
        run=key.run,
        local_path=key.local_path,
        path=path,
        action="kept" if got.action == "failed" else got.action,
        size=got.row.size,
        sha256=got.row.sha256,
    )


def _tell(failures: list[Failure]) -> None:
    for failure in failures:
        click.echo(printable(f"{failure.place}: {failure.message} [{failure.reason}]"), err=True)
    session().explain((failure.message, failure.reason) for failure in failures)
