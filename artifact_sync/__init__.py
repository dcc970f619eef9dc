"""artifact-sync mirrors the CI artifacts of SourceCraft: verified, resumable, before they vanish.

From Python, the names of ``__all__`` are meant to be used, and stay as
docs/reference/python.md has them::

    import asyncio
    from artifact_sync import mirror_artifacts

    report = asyncio.run(mirror_artifacts("acme/*", root="mirror", since="7d"))
    report.raise_for_failures()

Everything else may change with any version. Scripts may rely on the program, too: its commands,
its exit codes, the object of ``sync --json``, the configuration, and what it leaves on disk.
Importing this package imports nothing else; a name of it is loaded when it is first used.

The story: schedule → discover → collect → plan → link → download → publish → record → keep. To
read the code, begin with ``domain.model``, ``domain.ports`` and ``domain.errors``, then
``sync.sync_pass``, ``sync.repository`` and ``sync.run``. The docstring of a package says what lives
there. Why things are as they are is told in ``docs/decisions``.
"""

from typing import TYPE_CHECKING

from artifact_sync import version

if TYPE_CHECKING:
    from artifact_sync.app.python_api import Mirror, mirror_artifacts
    from artifact_sync.app.python_values import MirroredArtifact, MirroredRun, Verification
    from artifact_sync.domain.errors import ArtifactSyncError
    from artifact_sync.domain.report import Report

__all__ = [
    "ArtifactSyncError",
    "Mirror",
    "MirroredArtifact",
    "MirroredRun",
    "Report",
    "Verification",
    "__version__",
    "mirror_artifacts",
]

__version__ = version.VERSION

_PLACES = {
    "ArtifactSyncError": "artifact_sync.domain.errors",
    "Mirror": "artifact_sync.app.python_api",
    "MirroredArtifact": "artifact_sync.app.python_values",
    "MirroredRun": "artifact_sync.app.python_values",
    "Report": "artifact_sync.domain.report",
    "Verification": "artifact_sync.app.python_values",
    "mirror_artifacts": "artifact_sync.app.python_api",
}


def __getattr__(name: str) -> object:
    """Load one of the names when it is first used."""
    if name not in _PLACES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    from importlib import import_module  # noqa: PLC0415 - whoever needs no name needs no import

    value = getattr(import_module(_PLACES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
