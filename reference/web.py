"""The pages of HTTP endpoints and of the webhook."""

from __future__ import annotations

import json

from artifact_sync.runtime.docstrings import docstrings_in
from artifact_sync.web import metrics
from artifact_sync.web.app import ENDPOINTS, WEBHOOK
from artifact_sync.web.context import WebLimits
from artifact_sync.web.metrics import WebhookOutcome
from artifact_sync.web.webhook import ANSWERS
from artifact_sync.web.webhook_payload import EVENT_HEADER, PING, RUN_COMPLETE, WebhookBody
from artifact_sync.web.webhook_secrets import CREDENTIAL, SIGNATURE_HEADER
from reference.markdown import block, code, from_docstring, table
from reference.markdown import page as whole

_LIMITS = WebLimits()

_HTTP = """\
With `web.listen` set, the daemon answers over HTTP. `artifact-sync[web]` must be installed. There
is no TLS and no login: let other machines come by a reverse proxy."""

_BOUNDS = f"""\
## Limits

- At most {_LIMITS.connections} connections at the same time; fewer where file descriptors are
  scarce. More have to wait.
- A request's head may take {_LIMITS.head:.0f} seconds and {_LIMITS.head_bytes:,} bytes, a
  webhook's body {_LIMITS.body:.0f} seconds and `web.body_limit`.
- An answer that needs the ledger or a disk is given within {_LIMITS.answer:.0f} seconds, `/readyz`
  within {2 * _LIMITS.answer:.0f}; else it is 503.
- A connection is closed after {_LIMITS.idle:.0f} seconds without a request.
- `/metrics` and `/api/status` are made at most once a second."""

_WEBHOOK = f"""\
`{WEBHOOK.method} {WEBHOOK.path}` is for a webhook of SourceCraft with the event `{RUN_COMPLETE}`.
It only makes things quicker: without one, a run is mirrored within the interval."""

_SECRET = f"""\
## Secret

The secret is a line of a file in `web.secret_files`, or of the systemd credential `{CREDENTIAL}`.
For a rotation give both, a line each. The files are read again when a call comes."""

_SIGNATURE = (
    "The HMAC-SHA256 of the raw body under the secret, as 64 lower-case hex digits. Must be there."
)
_EVENT = f"The event's type, such as `{RUN_COMPLETE}`. Read only where the body names none."

BODY = {
    "header": {"type": RUN_COMPLETE, "id": "e1"},
    "repository": {"slug": "rocket", "organization": {"slug": "acme"}},
    "run": {"slug": "42"},
}
"""An example of a body."""

_FIELDS = f"""\
Everything else in it is ignored.

- `header.type`: `{RUN_COMPLETE}` wakes the repository. `{PING}`, the service's test, is answered
  and changes nothing. Others are ignored.
- `header.id`: two calls with one id count once within a day. May be left out.
- `repository`: the slugs of the organisation and of the repository. Must be there.
- `run.slug`: the run's number. Without it the whole repository is looked at."""


def http_page() -> str:
    """Make the page of endpoints."""
    rows = [(code(it.method), code(it.path), it.answers) for it in ENDPOINTS]
    more = "The [webhook](webhook.md) and the [metrics](metrics.md) have pages of their own."
    return whole("HTTP", _HTTP, table(["method", "path", "answers"], rows), more, _BOUNDS)


def webhook_page() -> str:
    """Make the page of the webhook."""
    return whole(
        "Webhook",
        _WEBHOOK,
        _SECRET,
        "## Headers",
        table(
            ["header", "value"],
            [(code(SIGNATURE_HEADER), _SIGNATURE), (code(EVENT_HEADER), _EVENT)],
        ),
        "## Body",
        f"JSON, of which this is read ({', '.join(map(code, WebhookBody.__struct_fields__))}):",
        block(json.dumps(BODY, indent=2), "json"),
        _FIELDS,
        "## Answers",
        table(["status", "body", "outcome", "when"], [_answer(it) for it in WebhookOutcome]),
    )


def _answer(outcome: WebhookOutcome) -> tuple[str, str, str, str]:
    status, body = ANSWERS[outcome]
    told = docstrings_in(metrics)[f"WebhookOutcome.{outcome.name}"]
    return code(str(status)), code(body.decode()), code(outcome), from_docstring(told)
