"""What can be changed while the simulator answers, and how it starts and stops."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import signal
import threading
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from artifact_sync.domain.errors import UsageError
from artifact_sync.simulator import (
    Cube,
    Files,
    Repo,
    Scenario,
    ScenarioArtifact,
    ScenarioRun,
    Simulator,
    demo_scenario,
    running_in_thread,
)
from artifact_sync.simulator.content import content_chunks
from artifact_sync.simulator.faults import Stall

if TYPE_CHECKING:
    from pathlib import Path

LET_IN = {"authorization": "Bearer demo-token"}
ARTIFACTS = (
    ScenarioArtifact("x", size=100),
    ScenarioArtifact("x.sha256", sha256_of="x"),
    ScenarioArtifact("late", text="late", status="registered"),
)


def small(status: str = "processing", **files: Any) -> Simulator:
    runs = (ScenarioRun(status=status, cubes=(Cube(artifacts=ARTIFACTS),)),)
    return Simulator(Scenario(files=Files(**files), repos=(Repo("a/b", runs=runs),)))


def show(simulator: Simulator) -> dict[str, Any]:
    """The run as the API tells it, with its artifacts by path."""
    answer = httpx.get(f"{simulator.base_url}/repos/a/b/cicd/runs/1", headers=LET_IN)
    run: dict[str, Any] = answer.json()
    [cube] = run["workflows"][0]["tasks"][0]["cubes"]
    return run | {"artifacts": {one["local_path"]: one for one in cube["artifacts"]}}


def test_a_run_goes_on_and_is_dated_when_it_ends() -> None:
    with running_in_thread(small()) as running:
        assert "finished_at" not in show(running.simulator)["dates"]
        running.simulator.set_status("a/b", "1", "success")
        run = show(running.simulator)
    assert run["status"] == run["workflows"][0]["tasks"][0]["cubes"][0]["status"] == "success"
    assert run["dates"]["finished_at"] == run["dates"]["updated_at"]


def test_a_registered_artifact_becomes_success_and_has_a_file_then() -> None:
    with running_in_thread(small("success")) as running:
        before = show(running.simulator)["artifacts"]["late"]
        running.simulator.set_artifact_status("a/b", "1", "late", "success")
        after = show(running.simulator)["artifacts"]["late"]
        assert httpx.get(after["download_url"]).text == "late"
    assert before["status"] == "registered"
    assert "download_url" not in before
    assert "obtained_at" not in before["dates"]
    assert after["dates"]["obtained_at"] == after["dates"]["updated_at"]


def test_an_artifact_left_anew_has_other_bytes_dates_and_validators_and_its_digest_follows() -> (
    None
):
    with running_in_thread(small("success")) as running:
        simulator = running.simulator
        before, old = show(simulator)["artifacts"]["x"], simulator.file("a/b", "1", "x")
        simulator.change_content("a/b", "1", "x")
        after, new = show(simulator)["artifacts"]["x"], simulator.file("a/b", "1", "x")
        body = httpx.get(after["download_url"]).content
        line = httpx.get(simulator.link("a/b", "1", "x.sha256")).text
    assert before["dates"]["obtained_at"] < after["dates"]["obtained_at"]
    assert old.content.size == new.content.size == len(body)
    assert old.sha256 != new.sha256 == hashlib.sha256(body).digest()
    assert old.etag("parts") != new.etag("parts")
    assert line == f"{new.sha256.hex()}  x\n"
    simulator.set_content("a/b", "1", "x", b"mine")
    assert simulator.file("a/b", "1", "x").content.read(0, 9) == b"mine"


def test_a_file_that_vanished_stays_away_when_its_run_changes() -> None:
    simulator = small("success")
    simulator.remove_file("a/b", "1", "x")
    simulator.set_status("a/b", "1", "failed")
    with pytest.raises(KeyError):
        simulator.file("a/b", "1", "x")


def test_runs_are_made_and_forgotten() -> None:
    simulator = small()
    assert simulator.add_run("a/b", ScenarioRun(cubes=(Cube(artifacts=ARTIFACTS),))) == "2"
    assert simulator.add_run("a/b", ScenarioRun("7")) == "7"
    assert simulator.add_run("a/b", ScenarioRun(count=2)) == "9"
    assert simulator.file("a/b", "2", "x").content.size == 100
    simulator.remove_run("a/b", "9")
    assert list(simulator.repo("a/b").runs) == ["1", "2", "7", "8"]


def test_what_is_not_there_is_told() -> None:
    simulator = small()
    with pytest.raises(UsageError, match="no repository a/c"):
        simulator.add_run("a/c", ScenarioRun())
    with pytest.raises(UsageError, match="no run 9 in a/b"):
        simulator.set_status("a/b", "9", "success")
    with pytest.raises(UsageError, match="no artifact 'z' in run 1 of a/b"):
        simulator.link("a/b", "1", "z")


def test_exported_files_lie_where_the_links_of_another_server_lead(tmp_path: Path) -> None:
    simulator = small("success", style="plain", base_url="http://127.0.0.1:1/store")
    paths = simulator.export_files(tmp_path)
    assert len(paths) == 2  # what is registered has no file yet
    for name in ("x", "x.sha256"):
        key = simulator.link("a/b", "1", name).removeprefix("http://127.0.0.1:1/store/")
        stored = simulator.file("a/b", "1", name)
        assert (tmp_path / key).read_bytes() == b"".join(content_chunks(stored.content))
        assert (tmp_path / key).stat().st_mtime == stored.modified.timestamp()


def test_it_starts_again_with_the_same_bytes_and_dates() -> None:
    first, second = Simulator(demo_scenario()), Simulator()
    for simulator in (first, second):
        assert simulator.file("acme/rocket", "40", "./dist/app.tar.gz").content.size == 24 << 20
    one = first.file("acme/rocket", "40", "./docs/Руководство пользователя.pdf")
    two = second.file("acme/rocket", "40", "./docs/Руководство пользователя.pdf")
    assert (one.md5, one.modified) == (two.md5, two.modified)


def test_it_serves_many_at_once_on_the_callers_event_loop() -> None:
    async def main() -> set[int]:
        simulator = small("success")
        async with simulator.serve() as running, httpx.AsyncClient(timeout=60) as client:
            assert running.base_url != running.files_url
            assert running.token == "demo-token"
            links = [simulator.link("a/b", "1", "x") for _ in range(150)]
            answers = await asyncio.gather(*(client.get(link) for link in links))
        return {answer.status_code for answer in answers}

    assert asyncio.run(main(), debug=True) == {200}


def test_it_takes_no_signal_over_and_leaves_no_task_and_no_thread() -> None:
    async def main() -> tuple[object, int]:
        async with small().serve():
            handler = signal.getsignal(signal.SIGTERM)
        return handler, len(asyncio.all_tasks())

    assert asyncio.run(main()) == (signal.getsignal(signal.SIGTERM), 1)
    before = set(threading.enumerate())
    with running_in_thread(small()):
        assert set(threading.enumerate()) - before
    assert set(threading.enumerate()) - before == set()


def test_it_stops_at_once_though_an_answer_stalls(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> float:
        simulator = small("success")
        simulator.add_fault(Stall(after=0.5))
        loop = asyncio.get_running_loop()
        async with httpx.AsyncClient() as client:
            async with simulator.serve():
                request = client.build_request("GET", simulator.link("a/b", "1", "x"))
                answer = await client.send(request, stream=True)
                began = loop.time()
            took = loop.time() - began
            await answer.aclose()
        return took

    with caplog.at_level(logging.DEBUG):
        assert asyncio.run(main()) < 2
    assert [record for record in caplog.records if record.name.startswith("uvicorn")] == []


def test_a_port_that_is_taken_is_told() -> None:
    with running_in_thread(small()) as running:
        port = int(running.base_url.rpartition(":")[2])
        with (
            pytest.raises(UsageError, match=f"port {port} is in use"),
            running_in_thread(small(), api_port=port),
        ):
            pass
