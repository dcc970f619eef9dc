"""What the log says of the webhook's secret when the web begins to listen."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog
from daemon_kit import FakeClock
from web_trial import RecordingDaemon

from artifact_sync.app.web_listener import WebListener
from artifact_sync.domain.settings import WebSettings
from artifact_sync.web.context import WebContext
from artifact_sync.web.metrics import Metrics

if TYPE_CHECKING:
    from pathlib import Path


def said(settings: WebSettings) -> list[str]:
    clock = FakeClock()
    context = WebContext(RecordingDaemon(), Metrics(clock), clock, lambda: settings, {})

    async def listen() -> None:
        async with WebListener(context).listening():
            pass

    with structlog.testing.capture_logs() as logs:
        asyncio.run(listen())
    return [log["event"] for log in logs if log["event"] != "listening"]


def test_a_secret_that_cannot_be_read_is_told_at_once(tmp_path: Path) -> None:
    wrong = WebSettings(listen="127.0.0.1:0", secret_files=(tmp_path / "nope",))
    assert said(wrong) == ["calls of the webhook are refused until this is mended"]


def test_that_there_is_no_secret_is_told(tmp_path: Path) -> None:
    assert said(WebSettings(listen="127.0.0.1:0")) == [
        "no webhook secret: calls of the webhook are refused"
    ]
    secret = tmp_path / "secret"
    secret.touch(0o600)
    secret.write_text("a-secret\n")
    assert said(WebSettings(listen="127.0.0.1:0", secret_files=(secret,))) == []
    assert said(WebSettings()) == []
