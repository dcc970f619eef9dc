"""What a hook is given: JSON, environment, signature. Pure."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import TYPE_CHECKING, Any

from artifact_sync.domain.model import RepoName, RunKey

if TYPE_CHECKING:
    from collections.abc import Mapping

    from artifact_sync.domain.hooks import Delivery
    from artifact_sync.mirror.layout import Layout

PREFIX = "ARTIFACT_SYNC_HOOK_"
"""Of the variables that tell a program what has happened."""

SIGNATURE_HEADER = "X-Artifact-Sync-Signature"
DELIVERY_HEADER = "X-Artifact-Sync-Delivery"
EVENT_HEADER = "X-Artifact-Sync-Event"

_INHERITED = frozenset(
    {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR"}
)
"""Variables of ours that a program gets, and all that begin with ``LC_``: none holds a secret."""

_LONGEST_VALUE = 32_768
"""Characters of a variable: a system takes 128 KiB."""


def members(delivery: Delivery, layout: Layout) -> dict[str, Any]:
    """The members of the event's JSON object, in order."""
    facts = dict(delivery.facts)
    repo, run = facts.pop("repo"), facts.pop("run")
    key = RunKey(RepoName(*repo.split("/", 1)), run)
    path = facts.pop("path", None) or layout.run_folder(key)
    return {
        "id": delivery.id,
        "event": delivery.event.value,
        "at": delivery.happened_at.isoformat(),
        "repo": repo,
        "run": run,
        "path": path,
        **facts,
    }


def body(said: Mapping[str, Any]) -> bytes:
    """The JSON object, in ASCII on one line."""
    return json.dumps(said).encode("ascii") + b"\n"


def headers(said: Mapping[str, Any], content: bytes, secret: bytes | None) -> dict[str, str]:
    """The headers of what is posted; ``secret`` None: it is not signed."""
    found = {
        "Content-Type": "application/json",
        DELIVERY_HEADER: said["id"],
        EVENT_HEADER: said["event"],
    }
    if secret is not None:
        digest = hmac.digest(secret, content, hashlib.sha256).hex()
        found[SIGNATURE_HEADER] = f"sha256={digest}"
    return found


def environment(said: Mapping[str, Any], environ: Mapping[str, str], root: str) -> dict[str, str]:
    """A program's environment: little of ours, and the event's facts."""
    ours = {
        name: value
        for name, value in environ.items()
        if name in _INHERITED or name.startswith("LC_")
    }
    facts = {f"{PREFIX}{name.upper()}": _plain(value) for name, value in said.items()}
    return {**ours, f"{PREFIX}ROOT": root, **facts}


def _plain(value: object) -> str:
    """A fact as a variable's value: null is empty, and no byte ends it."""
    text = "" if value is None else str(value)
    text = text.encode("utf-8", "replace").decode("utf-8").replace("\0", "�")
    return text[:_LONGEST_VALUE]
