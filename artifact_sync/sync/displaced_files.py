"""Count, and remove for good, what was moved out of the way."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from itertools import accumulate, dropwhile, islice, takewhile
from typing import TYPE_CHECKING

from artifact_sync.domain.errors import UnsafePath

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from datetime import datetime

    from artifact_sync.domain.errors import DiskError
    from artifact_sync.domain.model import DisplacedFile, RepoName
    from artifact_sync.domain.ports import Displacement
    from artifact_sync.mirror.layout import Layout

_COUNTED = 100_000
"""Displaced files that are looked at for the sizes: a status is wanted soon."""
_BATCH = 10_000
"""Displaced files that are in memory at a time."""


def displaced_bytes(
    displacement: Displacement,
    layout: Layout,
    repos: Iterable[RepoName],
    *,
    most: int | None = _COUNTED,
) -> Mapping[RepoName, int]:
    """Bytes displaced from each repository's folder. Blocking. ``DiskError``.

    ``most``: files that are looked at, the oldest; None: all.
    """
    owner_of = owners(layout, repos)
    sizes: Counter[RepoName] = Counter()
    for file in islice(displacement.displaced(), most):
        owner = owner_of(file)
        if owner is not None:
            sizes[owner] += file.size
    return sizes


def owners(layout: Layout, repos: Iterable[RepoName]) -> Callable[[DisplacedFile], RepoName | None]:
    """Return what tells from which repository's folder a file was displaced."""
    folders: dict[str, RepoName] = {}
    for repo in repos:
        with suppress(UnsafePath):
            folders[layout.repo_folder(repo)] = repo

    def owner_of(file: DisplacedFile) -> RepoName | None:
        above = accumulate(file.path.split("/"), lambda path, name: f"{path}/{name}")
        return next((folders[path] for path in above if path in folders), None)

    return owner_of


def empty_displaced(
    displacement: Displacement,
    before: datetime,
    goes: Callable[[DisplacedFile], bool] = lambda _: True,
) -> Iterator[tuple[DisplacedFile, DiskError | None]]:
    """Remove what was displaced by then and goes; yield each file, and any error.

    Blocking. ``DiskError`` where they cannot be listed.
    """
    seen = ""
    while True:
        old = takewhile(lambda file: file.at <= before, displacement.displaced())
        batch = list(islice(filter(goes, dropwhile(_not_behind(seen), old)), _BATCH))
        staying = displacement.discard(batch)
        yield from ((file, staying.get(file)) for file in batch)
        if len(batch) < _BATCH:
            return
        seen = batch[-1].place


def _not_behind(place: str) -> Callable[[DisplacedFile], bool]:
    """Whether a file is listed by a place already: what stays is not tried for ever."""
    return lambda file: file.place <= place
