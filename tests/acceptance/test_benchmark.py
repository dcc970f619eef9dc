"""``make bench SMOKE=1`` works: all cases and contenders, tiny, against real programs.

How fast anything is says nothing here.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree as ET

import pytest
from real_servers import program

REPOSITORY = Path(__file__).parents[2]

pytestmark = [
    pytest.mark.servers,
    pytest.mark.skipif(sys.platform != "linux", reason="the benchmark measures as Linux can"),
]

DOWNLOADERS = {
    "curl -Z + sha256sum",
    "aria2c + sha256sum",
    "rclone + sha256sum",
    "wget + sha256sum",
    "socket loop (floor)",
    "artifact-sync fast",
    "artifact-sync full",
}
WORKERS = {"artifact-sync, 1 worker", "artifact-sync, 2 workers", "artifact-sync, 3 workers"}
GROUPS = {
    "1": DOWNLOADERS | {"write+fsync+rename loop", "socket loop with fsync (floor)"},
    "2": DOWNLOADERS,
    "3 plain": DOWNLOADERS,
    "3 TLS": DOWNLOADERS,
    "4": {
        "artifact-sync sync, 60 known",
        "artifact-sync sync, 500 known",
        "python -c 'import httpx, click, msgspec'",
    },
    "5 known": {"artifact-sync sync, 60 known", "artifact-sync sync, 500 known"},
    "5 new": {"artifact-sync sync, 10 new", "artifact-sync sync, 30 new"},
    "6": DOWNLOADERS - {"wget + sha256sum"},
    "7": {
        "python -c pass",
        "artifact-sync --help",
        "artifact-sync sync --help",
        "artifact-sync status",
    },
    "8": {"sha256sum -c", "artifact-sync verify"},
    "9 new": {"artifact-sync sync, SQLite", "artifact-sync sync, PostgreSQL"},
    "9 known": {"artifact-sync sync, SQLite", "artifact-sync sync, PostgreSQL"},
    "9 idle": {
        "artifact-sync daemon, SQLite",
        "artifact-sync daemon, PostgreSQL",
        "artifact-sync worker",
    },
    "9 small": WORKERS,
    "9 rows": {
        "artifact-sync status of all",
        "artifact-sync du",
        "artifact-sync ls --sha256",
        "artifact-sync prune --dry-run",
    },
}


def bench(folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    environ = {
        **{name: it for name, it in os.environ.items() if name != "SSL_CERT_FILE"},  # pip's, too
        "PIP_COMPILE": "0",  # most of what it installs is not imported by anything here
        "SMOKE": "1",
        "BENCH_DIR": str(folder / "work"),
        "BENCH_OUT": str(folder / "out"),
        **settings,
    }
    return subprocess.run(
        [sys.executable, "-m", "benchmarks"],
        cwd=REPOSITORY,
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.timeout(600)  # it installs artifact-sync, and runs it some thirty times
def test_every_contender_of_every_case_does_its_work_and_is_reported(tmp_path: Path) -> None:
    postgres = list(Path("/usr/lib/postgresql").glob("*/bin"))
    for name in ("nginx", "rclone", "curl", "aria2c", "wget", "openssl", "postgres"):
        program(name, Path("/usr/sbin"), Path(sys.executable).parent, *postgres)
    # not below what is pytest's alone: PostgreSQL runs as somebody else
    with TemporaryDirectory() as work:
        Path(work).chmod(0o711)
        done = bench(tmp_path, BENCH_DIR=work)
        assert done.returncode == 0, done.stdout + done.stderr
        assert list(Path(work).iterdir()) == []

    out = tmp_path / "out"
    groups = json.loads((out / "results.json").read_text())["groups"]
    assert {group["id"]: {row["name"] for row in group["rows"]} for group in groups} == GROUPS
    samples = [sample for group in groups for row in group["rows"] for sample in row["samples"]]
    assert {sample["failure"] for sample in samples} == {""}
    assert all(sample["wall"] > 0 and sample["memory"] > 0 for sample in samples)

    page = (out / "RESULTS.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| ")]
    told = {(cells[1], cells[2]) for cells in map(_cells, rows)}
    assert {(which, name) for which, names in GROUPS.items() for name in names} <= told
    assert "not measured" not in page
    assert set(rows) >= {line for line in done.stdout.splitlines() if line.startswith("| ")}

    chart = ET.parse(out / "results.svg").getroot()  # noqa: S314 - our own
    texts = {text.text for text in chart.iter("{http://www.w3.org/2000/svg}text")}
    assert texts >= DOWNLOADERS
    assert len(list(chart.iter("{http://www.w3.org/2000/svg}polyline"))) == 4


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.split("|")]


def test_a_missing_program_is_named_with_its_package(tmp_path: Path) -> None:
    bare = tmp_path / "bin"
    bare.mkdir()
    done = bench(tmp_path, PATH=str(bare))
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("make bench needs ")
    assert "aria2c" in line
    assert "apt-get install" in line
    assert " aria2 " in line
    assert list((tmp_path / "work").iterdir()) == []


def test_a_case_that_is_not_there_is_refused(tmp_path: Path) -> None:
    done = bench(tmp_path, CASES="1,10")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "there is no case 10: CASES takes some of 1 to 9\n"
