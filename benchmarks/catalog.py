"""The files that everybody fetches, and the service's answers that lead artifact-sync to them.

Both lie below one folder, which ``server`` serves: ``files/NAME/*.bin``, and ``api/ORG/REPO/`` with
``page.json``, the first page of the list of runs, and ``N.json``, one run.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from benchmarks.settings import Files

ORG = "bench"
PAGE = 100
"""Runs of a page, as artifact-sync asks for."""
_CUBE = 50
"""Files of a cube. The real service bounds a cube's bytes, which changes nothing here."""
_BLOCK = 1 << 20
_BEGIN = datetime(2026, 1, 1, tzinfo=UTC)

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class FileSet:
    """Served files of one size."""

    name: str
    size: int
    hashes: Mapping[str, str]
    """SHA-256 (hex) by file name."""


def make_files(served: Path, name: str, files: Files) -> FileSet:
    """Write files of random bytes below the served folder."""
    folder = served / "files" / name
    folder.mkdir(parents=True)
    names = [f"{number:06}.bin" for number in range(files.count)]
    hashes = {each: write_random(folder / each, files.size) for each in names}
    return FileSet(name, files.size, hashes)


def write_random(path: Path, size: int) -> str:
    """A file of bytes that nothing compresses; its SHA-256.

    A large one repeats a random block with a counter before it, which is made faster.
    """
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for block in _blocks(size):
            file.write(block)
            digest.update(block)
    return digest.hexdigest()


def _blocks(size: int) -> Iterator[bytes]:
    random = os.urandom(min(size, _BLOCK))
    for offset in range(0, size, _BLOCK):
        yield (offset.to_bytes(8) + random)[: min(_BLOCK, size - offset)]


def publish_files(served: Path, files: FileSet, url: str, repo: str) -> None:
    """The service's answers for a repository with one run that left all these files."""
    links = {each: f"{url}/files/{files.name}/{each}" for each in files.hashes}
    publish(served, repo, [run_answer(1, links)])


def publish(served: Path, repo: str, runs: Sequence[Json], *, more: bool = False) -> None:
    """Runs, newest first, and the pages of their list. ``more``: there are others behind them."""
    folder = served / "api" / ORG / repo
    folder.mkdir(parents=True, exist_ok=True)
    for run in runs:
        (folder / f"{run['slug']}.json").write_text(json.dumps(run))
    listed = [run | {"workflows": []} for run in runs]
    pages = [listed[start : start + PAGE] for start in range(0, len(listed), PAGE)]
    for number, page in enumerate(pages):
        token = str(number + 1) if more or number + 1 < len(pages) else ""
        answer = {"runs": page, "next_page_token": token}
        (folder / f"page{number or ''}.json").write_text(json.dumps(answer))


def run_answer(number: int, links: Mapping[str, str]) -> Json:
    """A finished run with an artifact for each link, as ``GET …/runs/N`` shows it."""
    dates = _dates(number)
    names = list(links)
    cubes = [
        {
            "slug": f"cube-{start // _CUBE}",
            "status": "success",
            "dates": dates,
            "artifacts": [_artifact(name, links[name], dates) for name in names[start:][:_CUBE]],
        }
        for start in range(0, len(names), _CUBE)
    ]
    task = {"slug": "task", "status": "success", "dates": dates, "cubes": cubes}
    workflow = {"slug": "workflow", "status": "success", "dates": dates, "tasks": [task]}
    return {
        "id": "",
        "slug": str(number),
        "status": "success",
        "event_type": "push",
        "dates": dates,
        "workflows": [workflow],
    }


def _artifact(name: str, link: str, dates: Json) -> Json:
    return {
        "id": "",
        "local_path": name,
        "status": "success",
        "dates": {"registered_at": dates["created_at"], "obtained_at": dates["finished_at"]},
        "download_url": f"{link}?{_signature()}",
    }


def _signature() -> str:
    """A query like that of a presigned link, which nginx does not look at."""
    now = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    return f"X-Amz-Date={now}&X-Amz-Expires=604800&X-Amz-Signature={'5' * 64}"


def _dates(number: int) -> Json:
    begun = _BEGIN + timedelta(minutes=number)
    ended = begun + timedelta(seconds=50)
    names = {"created_at": begun, "started_at": begun, "finished_at": ended, "updated_at": ended}
    return {name: f"{moment:%Y-%m-%dT%H:%M:%SZ}" for name, moment in names.items()}
