"""The first page of the reference."""

from __future__ import annotations

from reference.markdown import page as whole

_TEXT = """\
Everything here but the last page is made from the program, and a test fails when it is out of date.

- [Commands](commands.md): every command and option.
- [Configuration](configuration.md): every key with its type, default and reason.
- [Exit codes and reasons](exit-codes.md): what a command ends with, and why things fail.
- [JSON](json.md): what `--json` prints and what `run.json` holds, with JSON Schemas.
- [HTTP](http.md): health, readiness, metrics and status.
- [Webhook](webhook.md): headers, body and answers.
- [Metrics](metrics.md): for Prometheus.
- [Files on disk](files.md): what lies in a mirror.
- [Environment variables](environment.md): what is read from the environment.
- [From Python](python.md): the same pass in your own program."""


def page() -> str:
    """Make the page."""
    return whole("Reference", _TEXT)
