"""``artifact-sync why``: what is known of one artifact, and what comes next."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from artifact_sync.cli.errors import result_of
from artifact_sync.cli.failed_answer import as_json_also_failed
from artifact_sync.cli.options import common, root
from artifact_sync.cli.session import configuration_beside_daemon
from artifact_sync.cli.why_answer import WhyAnswer
from artifact_sync.domain.errors import ExitCode
from artifact_sync.runtime import event_loop
from artifact_sync.runtime.text import printable
from artifact_sync.runtime.units import size_in_words as size

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from artifact_sync.app.explanation import Explanation

_LEFT_OUT = {
    "forget": "left out: it was let go (artifact-sync forget {value})",
    "run": "left out so far: its run has not finished, its status is {value}",
    "run_statuses": "left out: run_statuses has no {value}",
    "events": "left out: events has no {value}",
    "since": "left out by since: its run is from {value}",
    "workflows": "left out: workflows has nothing that fits {value}",
    "logs": "left out: logs = false",
    "include": "left out: include has nothing that fits {value}",
    "exclude": "left out: exclude has {value}",
}
_WANTED = {
    "include": "wanted: include has {value}",
    "workflows": "wanted: workflows has {value}",
    "logs": "wanted: logs = true",
    "": "wanted: no rule leaves it out",
}


@click.command(
    epilog="""\b
Examples:
  artifact-sync why acme/rocket/42/ci/build/build/dist/app.tar.gz
  artifact-sync why ~/artifacts/acme/rocket/latest/ci/build/build/dist/app.tar.gz
  artifact-sync why acme/rocket/42/ci/build/build/dist/app.tar.gz --json | jq .next

\b
Exit codes: 0 explained, 2 no such artifact is known.""",
)
@click.argument("artifact", metavar="ARTIFACT", type=click.Path())
@root
@as_json_also_failed(WhyAnswer)
@common
def command(*, config_file: Path | None, artifact: str, root: Path | None, as_json: bool) -> int:
    """Explain an artifact: the rule, every try, what vouches for it, what comes next.

    ARTIFACT is a path as ls prints it, or that of a file in the mirror. The rules are those of the
    configuration as it is now. It is read from the ledger, and works beside a running sync.
    """
    from artifact_sync.app.explanation import explanation_of  # noqa: PLC0415 - keeps --help quick
    from artifact_sync.cli.json_objects import as_line  # noqa: PLC0415 - likewise

    config = configuration_beside_daemon(config_file, root)
    found = event_loop.run_plainly(explanation_of(config, artifact))
    retention = config.source.retention
    with result_of(ExitCode.COMPLETE):
        if as_json:
            click.echo(as_line(WhyAnswer.of(found, retention)))
        else:
            click.echo("\n".join(_text(found, retention)))
    return ExitCode.COMPLETE


def _text(found: Explanation, retention: float) -> Iterator[str]:
    key = found.row.key
    name, run = printable(key.name), f"{key.run_key.repo} run {printable(key.run)}"
    yield f"{found.row.state.told}: {name} of {run}, {printable('/'.join(key[3:6]))}"
    for word, text in _facts(found, retention):
        yield f"  {word:<9} {printable(text)}".rstrip()


def _facts(found: Explanation, retention: float) -> Iterator[tuple[str, str]]:
    from artifact_sync.cli.artifact_text import fact_words  # noqa: PLC0415 - keeps --help quick

    row = found.row
    yield "path", row.path or "none: it has no file here"
    if row.size is not None:
        yield "size", size(row.size)
    yield "rule", _rule(found)
    yield from _tries(found)
    words = fact_words(row, retention, datetime.now(UTC))
    yield from ((word, text) for word, text in (("sha256", row.sha256), *words) if text)
    yield "run", _run(found)
    if found.planned is not None:
        verb = "stays" if found.planned.action == "keep" else "goes"
        yield "keep", f"its run {verb}: {', '.join(found.planned.why)}"
    for why in found.refused:
        yield "", why
    yield "next", found.comes


def _rule(found: Explanation) -> str:
    rule = found.rule
    words = (_WANTED if rule.wanted else _LEFT_OUT)[rule.key].format(value=rule.value)
    where = f"[[repo]] {found.entry}" if found.entry else "no [[repo]] names it"
    if rule.wanted is not found.row.wanted and rule.key != "forget":
        was = "wanted" if found.row.wanted else "left out"
        where += f"; at the last look it was {was}"
    return words if rule.key in {"forget", "run"} else f"{words} ({where})"


def _tries(found: Explanation) -> Iterator[tuple[str, str]]:
    from artifact_sync.cli.artifact_text import told_time  # noqa: PLC0415 - keeps --help quick

    row, came = found.row, found.row.mirrored_at
    tries = [(it.at, f"failed: {it.message} [{it.reason}]") for it in found.tries]
    if came is not None:
        by = ", ".join(row.evidence) or "nothing"
        tries.append((came, f"came; vouched for by {by} ({row.strength})"))
    if row.attempts > len(found.tries):
        yield "tries", f"{row.attempts} failed since it was last well; of the last ones:"
    for number, (at, words) in enumerate(sorted(tries)):
        yield "" if number else "tried", f"{told_time(at)}  {words}"
    if not tries:
        yield "tried", "never"


def _run(found: Explanation) -> str:
    from artifact_sync.cli.artifact_text import told_time  # noqa: PLC0415 - keeps --help quick

    run = found.run
    words = [
        run.status or "status not known",
        f"from {told_time(run.created_at) or 'no known time'}",
    ]
    if run.complete:
        words.append("complete here" if found.complete else "no longer complete here")
    words += [f"gone upstream since {told_time(run.gone_since)}"] if run.gone_since else []
    if found.pin is not None:
        words.append(f"pinned: {found.pin.reason}" if found.pin.reason else "pinned")
    return ", ".join(words)
