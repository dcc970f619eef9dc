from __future__ import annotations

import asyncio
import subprocess
import sys
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import structlog
from daemon_kit import Kit
from fake_daemon_api import wait_for
from web_trial import HOOK, FakeClock, RecordingDaemon, Trial, request, run_complete, signed, web

from artifact_sync.domain.errors import DiskError, UsageError
from artifact_sync.domain.settings import WebSettings
from artifact_sync.web.app import application
from artifact_sync.web.context import WebContext, WebLimits
from artifact_sync.web.metrics import Metrics
from artifact_sync.web.serve import opened
from artifact_sync.web.server import serving

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.types import Receive, Scope, Send


def client(trial: Trial) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=trial.origin)


def get(path: str, folder: Path, daemon: RecordingDaemon | None = None) -> httpx.Response:
    async def story() -> httpx.Response:
        async with web(folder, daemon=daemon) as trial, client(trial) as http:
            return await http.get(path)

    return asyncio.run(story())


def test_health_is_ok_while_the_loop_turns(tmp_path: Path) -> None:
    answer = get("/healthz", tmp_path, RecordingDaemon(reasons=("the root is gone",)))
    assert (answer.status_code, answer.text) == (200, "ok\n")


def test_readiness_is_200_without_reasons_and_503_with_them_a_line_each(tmp_path: Path) -> None:
    assert get("/readyz", tmp_path).status_code == 200
    reasons = ("no answer of the ledger", "acme/app says\n\x1b[31mready")
    answer = get("/readyz", tmp_path, RecordingDaemon(reasons=reasons))
    assert answer.status_code == 503
    assert answer.text == "no answer of the ledger\nacme/app says\\n\\x1b[31mready\n"


def test_what_is_lost_for_good_is_told_by_a_daemon_that_is_ready(tmp_path: Path) -> None:
    answer = get("/readyz", tmp_path, RecordingDaemon(notes=("1 mirrored file lost", "2 late")))
    assert (answer.status_code, answer.text) == (200, "ready\n1 mirrored file lost\n2 late\n")


def test_a_daemon_is_not_ready_while_its_ledger_cannot_be_used(tmp_path: Path) -> None:
    async def story() -> list[tuple[int, str]]:
        kit = Kit()
        kit.scheduler.tried.set()
        answers = []
        async with web(tmp_path, daemon=kit.status) as trial, client(trial) as http:
            for trouble in (None, DiskError("the ledger's server is gone"), TimeoutError(), None):
                kit.engine.ledger.trouble = trouble
                answer = await http.get("/readyz")
                answers.append((answer.status_code, answer.text))
        return answers

    ready = (200, "ready\n")
    gone, silent = (503, "the ledger's server is gone\n"), (503, "no answer of the ledger\n")
    assert asyncio.run(story()) == [ready, gone, silent, ready]


def test_the_status_is_the_daemons_as_json(tmp_path: Path) -> None:
    answer = get("/api/status", tmp_path)
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {"repositories": [], "daemon": {"pid": 1}}


def test_metrics_are_prometheus_text(tmp_path: Path) -> None:
    answer = get("/metrics", tmp_path)
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "\nartifact_sync_service_reachable 1.0\n" in answer.text


@pytest.mark.parametrize(
    "path", ["/", "/nope", "/metrics/", "/hooks/sourcecraft/", "/../etc", "//"]
)
def test_other_paths_are_not_found_and_nothing_is_redirected(tmp_path: Path, path: str) -> None:
    assert get(path, tmp_path).status_code == 404


def test_only_the_methods_that_make_sense_are_allowed(tmp_path: Path) -> None:
    async def story() -> list[int]:
        async with web(tmp_path) as trial, client(trial) as http:
            requests = [
                *(("GET", HOOK), ("PUT", HOOK), ("OPTIONS", HOOK), ("POST", "/metrics")),
                *(("DELETE", "/healthz"), ("HEAD", "/healthz"), ("HEAD", "/metrics")),
            ]
            return [(await http.request(*request)).status_code for request in requests]

    assert asyncio.run(story()) == [405, 405, 405, 405, 405, 200, 200]


def test_answers_are_not_kept_nor_guessed_at_and_do_not_name_the_server(tmp_path: Path) -> None:
    for path in ("/healthz", "/metrics", "/nope"):
        headers = get(path, tmp_path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert not {"server", "date", "set-cookie", "access-control-allow-origin"} & headers.keys()


def test_a_bug_answers_500_without_a_word_of_it_and_goes_to_the_log(tmp_path: Path) -> None:
    class Broken(RecordingDaemon):
        async def status(self) -> dict[str, Any]:
            raise RuntimeError("whsec-hidden")

    with structlog.testing.capture_logs() as logs:
        answer = get("/api/status", tmp_path, Broken())
    assert (answer.status_code, answer.text) == (500, "internal error; see the log\n")
    assert [it["event"] for it in logs] == ["an HTTP request failed in a way that is a bug"]


def test_a_bug_that_a_client_can_have_again_and_again_is_logged_once_a_minute(
    tmp_path: Path,
) -> None:
    """Guards against: any client filling the log with tracebacks."""

    class Broken(RecordingDaemon):
        async def unready(self) -> tuple[str, ...]:
            raise RuntimeError

    async def story() -> list[int]:
        async with web(tmp_path, daemon=Broken()) as trial, client(trial) as http:
            return [(await http.get("/readyz")).status_code for _ in range(20)]

    with structlog.testing.capture_logs() as logs:
        assert asyncio.run(story()) == [500] * 20
    assert len(logs) == 1


@dataclass
class SlowDaemon(RecordingDaemon):
    """Answers when it may, and counts how often it was asked."""

    asked: int = 0
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    error: Exception | None = None

    async def status(self) -> dict[str, Any]:
        self.asked += 1
        await self.go_on.wait()
        if self.error is not None:
            raise self.error
        return {"asked": self.asked}


def test_a_status_is_worked_out_once_for_all_who_ask_within_a_second(tmp_path: Path) -> None:
    async def story() -> list[int]:
        async with web(tmp_path, daemon=(daemon := SlowDaemon())) as trial, client(trial) as http:
            at_once = [asyncio.ensure_future(http.get("/api/status")) for _ in range(20)]
            await wait_for(lambda: daemon.asked == 1)
            daemon.go_on.set()
            answers = await asyncio.gather(*at_once)
            trial.clock.seconds += 0.9
            answers.append(await http.get("/api/status"))
            trial.clock.seconds += 0.2
            answers.append(await http.get("/api/status"))
            return [it.json()["asked"] for it in answers]

    assert asyncio.run(story()) == [1] * 21 + [2]


def test_a_status_that_does_not_come_is_503_in_words_and_keeps_nothing_else_waiting(
    tmp_path: Path,
) -> None:
    async def story() -> list[tuple[int, str]]:
        limits, daemon = WebLimits(answer=0.2), SlowDaemon()
        async with web(tmp_path, daemon=daemon, limits=limits) as trial, client(trial) as http:
            late = [await http.get("/api/status") for _ in range(2)]
            others = [await http.get(path) for path in ("/readyz", "/healthz")]
            assert daemon.asked == 1
            daemon.go_on.set()
            found = [*late, *others, await http.get("/api/status")]
            return [(it.status_code, it.text) for it in found]

    words = "no answer in time: the ledger or a disk is slow, or hangs; ask again later\n"
    assert asyncio.run(story()) == [
        *[(503, words)] * 2,
        (200, "ready\n"),
        (200, "ok\n"),
        (200, '{"asked": 1}\n'),
    ]


def test_a_readiness_that_does_not_come_is_503_in_words(tmp_path: Path) -> None:
    class Stuck(RecordingDaemon):
        async def unready(self) -> tuple[str, ...]:
            await asyncio.Event().wait()
            return ()

    async def story() -> httpx.Response:
        limits = WebLimits(answer=0.1)
        async with web(tmp_path, daemon=Stuck(), limits=limits) as trial, client(trial) as http:
            return await http.get("/readyz")

    answer = asyncio.run(story())
    assert (answer.status_code, answer.text[:17]) == (503, "no answer in time")


def test_a_ledger_that_cannot_be_read_is_503_in_words_and_asked_again(tmp_path: Path) -> None:
    async def story() -> list[tuple[int, str]]:
        daemon = SlowDaemon(error=DiskError("the ledger cannot\nbe read"))
        daemon.go_on.set()
        async with web(tmp_path, daemon=daemon) as trial, client(trial) as http:
            bad = await http.get("/api/status")
            daemon.error = None
            return [(it.status_code, it.text) for it in (bad, await http.get("/api/status"))]

    with structlog.testing.capture_logs() as logs:
        found = asyncio.run(story())
    assert found == [(503, "the ledger cannot\\nbe read\n"), (200, '{"asked": 2}\n')]
    assert logs == []


@dataclass
class Call:
    """What a call of the hook came to."""

    status: int
    json: Any
    woken: list[tuple[str, str | None]]
    log: list[str]


def post(folder: Path, body: bytes, *, secret: bytes | None = b"whsec-0123456789", **headers: str
         ) -> Call:  # fmt: skip
    async def story() -> Call:
        async with web(folder, secret=secret) as trial, client(trial) as http:
            fields = {"X-Src-Signature": signed(body)} | {
                name.replace("_", "-"): value for name, value in headers.items()
            }
            answer = await http.post(HOOK, content=body, headers=fields)
            return Call(answer.status_code, answer.json(), trial.daemon.woken, [])

    with structlog.testing.capture_logs() as logs:
        call = asyncio.run(story())
    return replace(call, log=[it["event"] for it in logs])


def test_a_run_that_has_ended_wakes_its_repository(tmp_path: Path) -> None:
    call = post(tmp_path, run_complete("7"))
    line = "a webhook says that a run has ended: it is looked at now"
    assert call == Call(202, {"accepted": True}, [("acme/app", "7")], [line])


def test_a_ping_is_answered_and_wakes_nobody(tmp_path: Path) -> None:
    call = post(tmp_path, b'{"header": {"type": "webhook.ping"}}')
    line = "the webhook was tested, and its secret is right"
    assert call == Call(200, {"ping": True}, [], [line])


def test_an_event_of_another_type_is_ignored_whatever_the_header_says(tmp_path: Path) -> None:
    body = run_complete().replace(b"run.complete", b"issue.opened")
    call = post(tmp_path, body, X_Src_Event="run.complete")
    assert call == Call(202, {"ignored": True, "why": "only run.complete is handled"}, [], call.log)
    # Guards against: a webhook of which nobody can say why it does nothing
    (line,) = call.log
    assert line.startswith("webhook calls of another type were ignored: only run.complete is ")


def test_a_repository_that_is_not_ours_is_404_and_in_the_log(tmp_path: Path) -> None:
    call = post(tmp_path, run_complete(repo="other"))
    assert (call.status, call.woken) == (404, [])
    assert call.log == [
        "a webhook names a repository that the configuration does not: add it, or remove the hook"
    ]


def test_without_a_secret_calls_are_refused_and_the_log_says_what_to_do(tmp_path: Path) -> None:
    call = post(tmp_path, run_complete(), secret=None)
    assert (call.status, call.woken) == (503, [])
    assert "name it in web.secret_files" in call.log[0]


def test_a_replaced_secret_counts_at_once(tmp_path: Path) -> None:
    async def story() -> list[int]:
        async with web(tmp_path) as trial, client(trial) as http:
            statuses = []
            for secret in (b"old", b"new"):
                body = run_complete(event=secret.decode())
                trial.secret_file.write_bytes(b"new\n")
                trial.clock.seconds += 1
                fields = {"X-Src-Signature": signed(body, secret)}
                statuses.append((await http.post(HOOK, content=body, headers=fields)).status_code)
            return statuses

    assert asyncio.run(story()) == [401, 202]


def test_a_repeat_is_accepted_and_wakes_nobody_again(tmp_path: Path) -> None:
    async def story() -> tuple[list[Any], list[tuple[str, str | None]], int]:
        async with web(tmp_path) as trial, client(trial) as http:
            said = []
            for body in (run_complete("7"), run_complete("7"), run_complete("8", event=None),
                         run_complete("8", event=None)):  # fmt: skip
                fields = {"X-Src-Signature": signed(body)}
                said.append((await http.post(HOOK, content=body, headers=fields)).json())
            return said, trial.daemon.woken, trial.counted("repeat")

    said, woken, repeats = asyncio.run(story())
    assert said == [{"accepted": True}, {"repeat": True}, {"accepted": True}, {"accepted": True}]
    assert woken == [("acme/app", "7"), ("acme/app", "8"), ("acme/app", "8")]
    assert repeats == 1


def test_an_event_that_could_not_be_used_is_no_repeat_when_it_comes_again(tmp_path: Path) -> None:
    async def story() -> list[int]:
        async with (
            web(tmp_path, daemon=RecordingDaemon(frozenset())) as trial,
            client(trial) as http,
        ):
            body = run_complete()
            fields = {"X-Src-Signature": signed(body)}
            first = await http.post(HOOK, content=body, headers=fields)
            trial.daemon.repos = frozenset({"acme/app"})  # a reload
            second = await http.post(HOOK, content=body, headers=fields)
            return [first.status_code, second.status_code]

    assert asyncio.run(story()) == [404, 202]


def test_an_unsigned_event_does_not_make_the_signed_one_a_repeat(tmp_path: Path) -> None:
    async def story() -> list[int]:
        async with web(tmp_path) as trial, client(trial) as http:
            body = run_complete()
            return [
                (await http.post(HOOK, content=body, headers={"X-Src-Signature": it})).status_code
                for it in ("0" * 64, signed(body))
            ]

    assert asyncio.run(story()) == [401, 202]


def test_an_address_that_others_can_reach_is_warned_of_once() -> None:
    async def story() -> str:
        app = application(context_of("0.0.0.0:0"))
        async with serving(lambda: WebSettings(listen="0.0.0.0:0"), app) as origin:
            return origin

    with structlog.testing.capture_logs() as logs:
        assert asyncio.run(story()).startswith("http://0.0.0.0:")
    (line,) = logs
    assert line["event"] == (
        "other machines can reach the web port: it has no TLS and no password; put a reverse proxy"
        " before it and listen on 127.0.0.1"
    )


def test_the_entry_answers_on_ipv6_and_closes_when_the_block_ends() -> None:
    async def story() -> None:
        async with opened(context_of("[::1]:0")) as origin, httpx.AsyncClient() as http:
            assert (await http.get(f"{origin}/healthz")).text == "ok\n"
        async with httpx.AsyncClient() as http:
            with pytest.raises(httpx.ConnectError):
                await http.get(f"{origin}/healthz")

    asyncio.run(story())


def test_a_client_that_holds_its_connection_does_not_hold_the_end_up(tmp_path: Path) -> None:
    async def story() -> float:
        loop = asyncio.get_running_loop()
        async with web(tmp_path) as trial:
            idle = await trial.raw(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            await idle.answer()
            slow = await trial.raw(request(b"x" * 100)[:-1])
            await asyncio.sleep(0.05)
            ending = loop.time()
        took = loop.time() - ending
        assert await idle.closed() == b""
        assert (await slow.closed())[9:12] == b"500"
        async with asyncio.timeout(2):
            while not slow.writer.transport.is_closing():  # nobody reads any more
                slow.writer.write(b"x")
                await asyncio.sleep(0.01)
        for connection in (idle, slow):
            await connection.__aexit__()
        return took

    assert asyncio.run(story()) < 3.0


def test_requests_that_outlive_their_connections_take_up_room() -> None:
    free, begun = asyncio.Event(), []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        del receive, send
        begun.append(scope["path"])
        await free.wait()

    async def abandon(port: int) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(0.02)
        writer.transport.abort()

    async def story() -> None:
        listen = WebSettings(listen="127.0.0.1:0")
        async with serving(lambda: listen, app, WebLimits(connections=4)) as origin:
            for _ in range(10):
                await abandon(int(origin.rsplit(":", 1)[1]))
            assert len(begun) < 8  # some come in before the first are at work
            free.set()
            async with httpx.AsyncClient() as http:
                assert (await http.get(origin)).status_code == 500  # this application says nothing

    asyncio.run(story())


def test_without_the_extra_the_word_says_what_to_install() -> None:
    program = """
import asyncio, sys
sys.modules[sys.argv[1]] = None
from artifact_sync.domain.errors import DiskError, UsageError
from artifact_sync.web.serve import opened
async def main():
    async with opened(None):
        pass
try:
    asyncio.run(main())
except UsageError as error:
    print(error)
"""
    for missing in ("starlette", "uvicorn", "prometheus_client"):
        ran = subprocess.run(
            [sys.executable, "-c", program, missing], capture_output=True, text=True, check=True
        )
        assert ran.stdout == (
            "web.listen needs Starlette, uvicorn and prometheus-client:"
            " pip install 'artifact-sync[web]'\n"
        )


def test_nothing_of_the_extra_is_loaded_before_it_is_needed() -> None:
    program = """
import sys
import artifact_sync.web.context, artifact_sync.web.metrics
print({"starlette", "uvicorn", "prometheus_client", "anyio"} & sys.modules.keys())
"""
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert ran.stdout == "set()\n"


def test_an_address_that_cannot_be_had_is_a_usage_error() -> None:
    async def story() -> None:
        async with opened(context_of("203.0.113.1:0")):
            pass

    with pytest.raises(UsageError, match="no such address"):
        asyncio.run(story())


def context_of(listen: str) -> WebContext:
    clock = FakeClock()
    settings = WebSettings(listen=listen)
    return WebContext(RecordingDaemon(), Metrics(clock), clock, lambda: settings, {})
