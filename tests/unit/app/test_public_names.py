"""The names of the package: what importing it costs, and what each of them is."""

from __future__ import annotations

import subprocess
import sys

import pytest

import artifact_sync
from artifact_sync.version import VERSION


def imported_by(script: str) -> set[str]:
    """What a fresh interpreter imports for it, as ``-X importtime`` tells."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", script],
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip() for line in lines}


def test_importing_the_package_imports_nothing_else_of_it_and_no_library() -> None:
    more = imported_by("import artifact_sync, typing") - imported_by("import typing, __future__")
    assert more == {"artifact_sync", "artifact_sync.version"}


def test_its_names_are_loaded_when_they_are_used() -> None:
    assert "artifact_sync.sync.sync_pass" in imported_by("from artifact_sync import Mirror")
    assert "httpx" not in imported_by("from artifact_sync import Report, ArtifactSyncError")


def test_every_name_is_there_and_no_other() -> None:
    assert artifact_sync.__version__ == VERSION
    for name in set(artifact_sync.__all__) - {"__version__"}:
        assert getattr(artifact_sync, name).__name__ == name
    assert set(artifact_sync.__all__) <= set(dir(artifact_sync))
    with pytest.raises(AttributeError, match="Mirrors"):
        artifact_sync.Mirrors  # noqa: B018
