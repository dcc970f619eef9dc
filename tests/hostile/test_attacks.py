"""What an attacker with fresh eyes found: each was a wrong mirror or a false exit code 0 once."""

from __future__ import annotations

import hashlib
import os
import signal
from typing import TYPE_CHECKING

import pytest
from behaviours import (
    chunked,
    cut,
    etag_of,
    honest,
    in_turn,
    paced,
    stall,
    status,
    when_resumed,
)
from failing_calls import failing
from hostile_service import File
from trial import Trial, noise

if TYPE_CHECKING:
    from behaviours import Visit

LATER = "2026-11-22T00:00:00Z"


def digest_line(content: bytes, name: str = "x.bin") -> bytes:
    return f"{hashlib.sha256(content).hexdigest()}  {name}\n".encode()


def test_a_part_of_unknown_total_is_never_taken_for_the_end_of_the_file(trial: Trial) -> None:
    content = noise(1, 3_000_000)

    def short_part(visit: Visit) -> None:
        start = visit.start or 0
        visit.wire.head(
            206,
            [
                ("ETag", etag_of(visit.content)),
                ("Content-Range", f"bytes {start}-{start + 499_999}/*"),
                ("Content-Length", "500000"),
            ],
        )
        visit.wire.body(visit.content[start : start + 500_000])

    first = chunked(last=False, count=1_200_000)
    trial.service.file(content, in_turn(first, when_resumed(short_part)))
    assert trial.sync().exit_code == 0
    assert trial.has(content)


def test_a_part_without_the_validator_is_not_believed(trial: Trial) -> None:
    old, new = noise(1, 3_000_000), noise(2, 3_000_000)

    def other_file(visit: Visit) -> None:
        start = visit.start or 0
        length = str(len(new) - start)
        span = f"bytes {start}-{len(new) - 1}/{len(new)}"
        visit.wire.head(206, [("Content-Range", span), ("Content-Length", length)])
        visit.wire.body(new[start:])

    trial.service.file(old, in_turn(cut(1_500_000), when_resumed(other_file)))
    trial.sync()
    assert not trial.place().exists() or trial.has(old)


def test_slugs_that_hold_nul_never_share_a_staged_file(trial: Trial) -> None:
    one, other = noise(1, 6 << 20), noise(2, 6 << 20)
    first = File(one, paced(8 << 20), cube=("w", "t", "u\0v"))
    run = trial.service.run({"x.bin": first})
    run.files.append(("x.bin", File(other, paced(6 << 20), cube=("w", "t\0u", "v"))))
    assert trial.sync().counts == (2, 2, 0, 0)
    contents = sorted(path.read_bytes() for path in trial.root.glob("org/repo/1/**/x.bin"))
    assert contents == sorted([one, other])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_look_at_a_settled_run_is_made_up_for(
    trial: Trial, number: signal.Signals
) -> None:
    old, new = noise(1, 100_000), noise(3, 100_000)
    file = File(old)
    trial.service.run({"x.bin": file, "y.bin": noise(2, 5000)})
    assert trial.sync().exit_code == 0
    file.content, file.updated_at = new, LATER
    file.behaviour = stall(after=1000, seconds=30)
    trial.also_right.add(old)
    process = trial.start("--run", "1")
    while not file.visits[1:]:
        assert process.poll() is None
    trial.finish(process, number)
    file.behaviour = honest
    assert trial.sync().exit_code == 0
    assert trial.has(new, "x.bin")
    assert trial.manifest().exists()


def test_a_complete_run_that_gains_what_cannot_be_had_is_complete_no_more(trial: Trial) -> None:
    run = trial.service.run({"x.bin": noise(1, 1000)})
    assert trial.sync().exit_code == 0
    latest = trial.root / "org/repo/latest"
    assert str(latest.readlink()) == "1"
    run.files.append(("y.bin", File(b"evil", status(404))))
    run.updated_at = LATER
    assert trial.sync().reasons == ["gone"]
    assert not trial.manifest().exists()
    assert not os.path.lexists(latest)


def test_a_path_that_is_spelled_anew_takes_the_place_of_the_old_one(trial: Trial) -> None:
    run = trial.service.run({"./a.txt": b"old"})
    assert trial.sync().exit_code == 0
    run.files[:] = [("a.txt", File(b"new"))]
    run.updated_at = LATER
    assert trial.sync().exit_code == 0
    assert trial.has(b"new", "a.txt")
    assert trial.manifest().read_bytes().count(b"\n") == 1
    before = len(trial.service.api_targets)
    assert trial.sync().exit_code == 0
    assert len(trial.service.api_targets) == before + 1


def test_a_damaged_sidecar_that_cannot_be_had_again_condemns_nothing(trial: Trial) -> None:
    content = noise(1, 5000)
    file, sidecar = File(content), File(digest_line(content))
    trial.service.run({"x.bin": file, "x.bin.sha256": sidecar})
    assert trial.sync().exit_code == 0
    damaged = b"0" * 64 + b"  x.bin\n\n"
    trial.place("x.bin.sha256").write_bytes(damaged)
    trial.also_right.add(damaged)
    file.behaviour = sidecar.behaviour = status(404)
    outcome = trial.sync()
    assert outcome.reasons_by("local_path") == {"x.bin.sha256": "lost"}
    assert trial.place("x.bin").read_bytes() == content


def test_an_old_sidecar_does_not_condemn_a_new_file(trial: Trial) -> None:
    old, new = noise(1, 5000), noise(9, 5000)
    file, sidecar = File(old), File(digest_line(old))
    run = trial.service.run({"x.bin": file, "x.bin.sha256": sidecar})
    assert trial.sync().exit_code == 0
    file.content = new
    sidecar.behaviour = status(503)
    file.updated_at = sidecar.updated_at = run.updated_at = LATER
    assert trial.sync().reasons_by("local_path") == {"x.bin.sha256": "throttled"}
    assert trial.place("x.bin").read_bytes() == new


def test_a_sidecar_that_comes_later_and_denies_is_heard_and_the_file_kept_till_then(
    trial: Trial,
) -> None:
    content = noise(1, 5000)
    sidecar = File(b"0" * 64 + b"  x.bin\n", status="registered")
    trial.service.run({"x.bin": content, "x.bin.sha256": sidecar})
    assert trial.sync().exit_code == 0
    sidecar.status = "success"
    outcome = trial.sync()
    assert (outcome.exit_code, outcome.reasons) == (5, ["integrity"])
    assert trial.sync().exit_code == 5


def test_a_huge_sidecar_is_not_read(trial: Trial) -> None:
    sidecar = File(noise(2, 40 << 20))
    trial.service.run({"x.bin": noise(1, 5000), "x.bin.sha256": sidecar})
    outcome, peak = trial.measured()
    assert outcome.exit_code == 0
    assert peak < 120 << 20


def test_an_api_that_dies_in_mid_run_is_not_asked_once_an_artifact(trial: Trial) -> None:
    files = {f"f{number}": File(b"%d" % number, url=lambda _: None) for number in range(20)}
    trial.service.run(files)
    path = trial.service.runs_path(run="1")
    trial.service.api_behaviour[path] = in_turn(honest, status(500))
    assert trial.sync().reasons == ["unreachable"] * 20
    assert sum(request.path == path for request in trial.service.api.requests) == 1 + 3


def test_a_refusal_whose_body_is_cut_is_a_refusal_all_the_same(trial: Trial) -> None:
    def cut_refusal(visit: Visit) -> None:
        visit.wire.head(403, [("Content-Length", "500")])
        visit.wire.raw(b"<Error><Code>AccessDenied</Code>")
        visit.wire.end()

    content = noise(1, 1000)
    file = trial.service.file(content, in_turn(cut_refusal, honest))
    assert trial.sync().exit_code == 0
    assert trial.has(content)
    assert len({visit.target for visit in file.visits}) == 2


def test_somebodys_folder_in_staging_keeps_nothing_from_coming(trial: Trial) -> None:
    trial.service.run({"x": b"1"})
    assert trial.sync().exit_code == 0
    (trial.root / ".artifact-sync/staging/folder").mkdir()
    assert trial.sync().exit_code == 0


def test_all_bytes_staged_and_never_judged_are_not_fetched_again(trial: Trial) -> None:
    content = noise(1, 9 << 20)
    file = trial.service.file(content)
    trial.env["MIRROR__DURABILITY"] = "full"
    trial.plain_env = failing("fsync", "kill", ".part")  # the last thing before it is published
    process = trial.start()
    trial.finish(process)
    assert process.returncode == -signal.SIGKILL
    assert trial.has_nothing()
    assert trial.staged() == len(content)
    trial.plain_env, file.served = {}, 0
    assert trial.sync().exit_code == 0
    assert trial.has(content)
    assert file.served == 0


def test_a_sidecar_that_a_killed_pass_had_not_heard_yet_is_heard_by_the_next(trial: Trial) -> None:
    sidecar = File(b"0" * 64 + b"  x.bin\n", status="registered")
    trial.service.run({"x.bin": noise(1, 5000), "x.bin.sha256": sidecar})
    assert trial.sync().exit_code == 0
    sidecar.status = "success"
    # as a pass leaves it that is killed right after the sidecar was recorded
    assert trial.sync("--include", "x.bin.sha256").exit_code == 0
    outcome = trial.sync()
    assert (outcome.exit_code, outcome.reasons) == (5, ["integrity"])
