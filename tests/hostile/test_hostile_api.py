"""An API that refuses or sends elsewhere: what can be had comes, and the token goes nowhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from behaviours import (
    Visit,
    api_error,
    honest,
    in_turn,
    redirect,
    stall,
    status,
)
from hostile_server import HostileServer, Request, Wire
from hostile_service import TOKEN, File, Service

if TYPE_CHECKING:
    from collections.abc import Callable

    from trial import Trial

CONTENT = b"built at night"


@pytest.mark.parametrize("code", [401, 403])
def test_credentials_refused_on_everything(trial: Trial, code: int) -> None:
    trial.service.file(CONTENT)
    trial.service.api_behaviour["*"] = api_error(code)
    outcome = trial.sync()
    assert (outcome.exit_code, outcome.reasons) == (3, ["credentials"])
    assert len(trial.service.api.requests) == 1
    assert "req-0451" in outcome.failures[0]["message"]
    assert trial.has_nothing()


@pytest.mark.parametrize(
    ("code", "reason", "exit_code"),
    [(401, "credentials", 3), (403, "credentials", 3), (404, "not_found", 1)],
)
def test_one_refused_repository_among_good_ones(
    trial: Trial, code: int, reason: str, exit_code: int
) -> None:
    for repo in ("good", "bad", "fine"):
        trial.service.run({"app.bin": CONTENT}, repo=f"org/{repo}")
    trial.service.api_behaviour[trial.service.runs_path("org/bad")] = api_error(code)
    outcome = trial.sync("org/good", "org/bad", "org/fine")
    assert (outcome.exit_code, outcome.counts) == (exit_code, (2, 2, 0, 1))
    assert [(f["repo"], f["reason"]) for f in outcome.failures] == [("org/bad", reason)]
    assert trial.manifest(repo="org/good").exists()
    assert trial.manifest(repo="org/fine").exists()


def test_one_refused_run_among_good_ones(trial: Trial) -> None:
    for slug in ("1", "2", "3"):
        trial.service.run({"app.bin": CONTENT}, slug)
    trial.service.api_behaviour[trial.service.runs_path(run="2")] = api_error(403)
    outcome = trial.sync()
    assert (outcome.exit_code, outcome.counts) == (3, (2, 2, 0, 1))
    assert [(f["run"], f["reason"]) for f in outcome.failures] == [("2", "credentials")]
    assert trial.has(CONTENT, run="1")
    assert trial.has(CONTENT, run="3")


def test_a_repository_that_does_not_exist(trial: Trial) -> None:
    outcome = trial.sync("org/nowhere")
    assert (outcome.exit_code, outcome.reasons) == (1, ["not_found"])


def test_a_service_that_nobody_listens_at_is_unreachable(trial: Trial) -> None:
    trial.service.api.close()
    outcome = trial.sync()
    assert (outcome.exit_code, outcome.reasons) == (4, ["unreachable"])


def test_a_service_that_says_nothing_is_unreachable(trial: Trial) -> None:
    trial.env |= {"DOWNLOAD__TIMEOUT": "1s", "DOWNLOAD__ATTEMPTS": "2"}
    trial.service.api_behaviour["*"] = stall()
    outcome = trial.sync()
    assert (outcome.exit_code, outcome.reasons) == (4, ["unreachable"])


def test_a_service_that_is_always_down_is_unreachable(trial: Trial) -> None:
    trial.service.api_behaviour["*"] = status(503, b"<html>nginx</html>")
    outcome = trial.sync()
    assert (outcome.exit_code, outcome.reasons) == (4, ["unreachable"])
    assert len(trial.service.api.requests) == 3


def test_down_then_fine(trial: Trial) -> None:
    repos = {f"org/r{code}": code for code in (429, 500, 502, 503, 504)}
    for repo, code in repos.items():
        trial.service.run({"app.bin": CONTENT}, repo=repo)
        for run in ("", "1"):
            path = trial.service.runs_path(repo, run)
            trial.service.api_behaviour[path] = in_turn(api_error(code), honest)
    assert trial.sync(*repos).counts == (5, 5, 0, 0)


def test_retry_after_of_the_api_is_waited_for(trial: Trial) -> None:
    trial.service.file(CONTENT)
    busy = status(429, Retry_After="1")
    trial.service.api_behaviour[trial.service.runs_path()] = in_turn(busy, honest)
    assert trial.sync().exit_code == 0
    first, second, *_ = trial.service.api.requests
    assert second.monotonic - first.monotonic >= 1


def test_an_error_that_echoes_the_token_is_not_repeated(trial: Trial) -> None:
    echo = api_error(403, f"Bearer {TOKEN} \x1b[31mis\x07 no good at http://x/?sig=LINKSECRET")
    trial.service.api_behaviour["*"] = echo
    outcome = trial.sync("-v")
    assert (outcome.exit_code, outcome.reasons) == (3, ["credentials"])


def _stranger(seen: list[Request]) -> Callable[[Request, Wire], None]:
    def answer(request: Request, wire: Wire) -> None:
        seen.append(request)
        honest(Visit(request, wire, 1, b'{"runs": []}'))

    return answer


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_redirect_of_the_api_never_takes_the_token_to_another_host(
    trial: Trial, host: str
) -> None:
    trial.service.file(CONTENT)
    seen: list[Request] = []
    with HostileServer(_stranger(seen)) as stranger:
        target = f"http://{host}:{stranger.port}/repos/org/repo/cicd/runs"
        trial.service.api_behaviour["*"] = redirect(target)
        outcome = trial.sync()
    assert (outcome.exit_code, outcome.reasons) == (1, ["bad_answer"])
    assert all("TOKENSECRET" not in repr(request) for request in seen)


def test_a_redirect_within_the_api_is_followed(trial: Trial) -> None:
    trial.service.file(CONTENT)
    path = trial.service.runs_path()
    trial.service.api_behaviour[path] = in_turn(redirect(path + "?page_size=100"), honest)
    assert trial.sync().exit_code == 0


def test_a_redirect_loop_of_the_api_ends(trial: Trial) -> None:
    trial.service.api_behaviour["*"] = lambda visit: redirect(visit.request.target)(visit)
    outcome = trial.sync()
    assert (outcome.exit_code, outcome.reasons) == (1, ["bad_answer"])
    assert len(trial.service.api.requests) < 50


def test_a_redirect_of_the_api_from_https_to_http_is_refused(
    secure_trial: Trial, secure_service: Service
) -> None:
    """The origin behind TLS plays the API here."""
    seen: list[Request] = []
    with HostileServer(_stranger(seen)) as plain:
        guard = File(behaviour=redirect(f"{plain.origin}/repos/org/repo/cicd/runs"))
        secure_service.lead("/repos/org/repo/cicd/runs?page_size=100", guard)
        secure_trial.env["SOURCE__BASE_URL"] = secure_service.origin.origin
        process = secure_trial.start()
        stdout, stderr = process.communicate(timeout=30)
    outcome = secure_trial.outcome(process.returncode, stdout, stderr)
    assert (outcome.exit_code, outcome.reasons) == (1, ["bad_answer"])
    assert len(guard.visits) == 1
    assert seen == []
    assert "TOKENSECRET" not in stdout + stderr
