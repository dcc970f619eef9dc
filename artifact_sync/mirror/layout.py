"""The layout: the path of each artifact below the mirror's root. Pure.

A layout is a template such as ``{org}/{repo}/{run}/{workflow}/{task}/{cube}/{local_path}``.
``layout_problems`` finds what is wrong with one, such as two artifacts that get the same path.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from artifact_sync.domain.errors import UnsafePath, UsageError
from artifact_sync.domain.model import ArtifactKey, MirrorPath
from artifact_sync.domain.settings import OWN_FOLDER
from artifact_sync.mirror.manifest import RUN, SIGNATURE, SUMS
from artifact_sync.mirror.names import (
    LONGEST,
    file_component,
    fold,
    quoted,
    slug_component,
    utf8_size,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from artifact_sync.domain.model import RepoName, RunKey


_BESIDE = (SUMS, RUN, SIGNATURE)

LATEST = "latest"
LATEST_SUCCESS = "latest-success"
_LOG = ".log"

FIELDS = ArtifactKey._fields

_FIELD = re.compile(r"\{([^{}]*)\}")
_DRIVE = re.compile(r"[A-Za-z]:")
_REMEMBERED = 64
"""Cubes whose folders are cached: a run's artifacts come cube by cube."""

_MOST_COMPONENTS = 100
_LONGEST_PATH = 2000
_LONGEST_RECORDED = 4000
"""Of a path below the root, its folders included."""
_LONGEST_LITERAL = 100
"""Leaves room for a slug, or for its hash, beside it."""


class _TemplatePart(Struct, frozen=True):
    """One component of a template."""

    text: str
    prefix: str
    fields: tuple[str, ...]
    suffix: str

    @classmethod
    def parse(cls, text: str) -> _TemplatePart:
        pieces = _FIELD.split(text)
        return cls(text, pieces[0], tuple(pieces[1::2]), "".join(pieces[2::2]))

    @property
    def sample(self) -> str:
        """The component with plain values in place of the fields."""
        return _FIELD.sub("x", self.text)


class Layout:
    """A checked template. Raises ``UsageError`` with every problem of it."""

    def __init__(self, template: str) -> None:
        problems = layout_problems(template)
        if problems:
            raise UsageError("\n".join(problems))
        self.template = template
        *self._folders, _ = (_TemplatePart.parse(text) for text in template.split("/"))
        self._run = _position(self._folders, "run")
        self._above = lru_cache(maxsize=_REMEMBERED)(self._folders_of)
        self._ours = {
            0: frozenset({OWN_FOLDER}),
            self._run: frozenset({LATEST, LATEST_SUCCESS}),
            self._run + 1: frozenset(map(fold, _BESIDE)),
        }

    def place(self, key: ArtifactKey) -> MirrorPath:
        """The path of an artifact's file. Raises ``UnsafePath``, which names what is wrong."""
        if key.is_log:
            return MirrorPath("/".join(self._log(key)))
        return MirrorPath("/".join([*self._above(key[:-1]), *_file_components(key.local_path)]))

    def _log(self, key: ArtifactKey) -> Iterator[str]:
        """The components of a log's path, which stands beside the folder of its cube."""
        *folders, last = self._folders
        named = replace(last, text=f"{last.text}{_LOG}", suffix=f"{last.suffix}{_LOG}")
        yield from self._above(key[:-1])[:-1]
        yield self._component(len(folders), named, key._asdict()) if named.fields else named.text

    def _folders_of(self, above: tuple[str, ...]) -> Sequence[str]:
        """The folders for the artifacts of a cube, which are many."""
        values = dict(zip(FIELDS[:-1], above, strict=True))
        return tuple(self._components(values, len(self._folders)))

    def run_folder(self, key: RunKey) -> MirrorPath:
        """The folder of a run's files and of its manifests, and of nothing else."""
        values = {**key.repo._asdict(), "run": key.run}
        return MirrorPath("/".join(self._components(values, self._run + 1)))

    def run_folder_of(self, path: str) -> MirrorPath | None:
        """The folder of the run that a file is in, or None."""
        parts = path.split("/")
        is_in_run = len(parts) > self._run + 1
        return MirrorPath("/".join(parts[: self._run + 1])) if is_in_run else None

    @property
    def run_documents(self) -> str:
        """A glob for the ``run.json`` of every run, below the root."""
        return "*/" * (self._run + 1) + RUN

    def is_latest(self, path: str) -> bool:
        """Whether it is the path of a link ``latest`` or ``latest-success`` of a repository."""
        parts = path.split("/")
        return len(parts) == self._run + 1 and parts[-1] in {LATEST, LATEST_SUCCESS}

    def recorded_place(self, key: ArtifactKey, told: str) -> MirrorPath:
        """The path of a file as its run's manifest names it.

        Relative to the run's folder, also one that another layout gave it. ``UnsafePath``: it has
        no safe place there, or is that of a manifest.
        """
        path = MirrorPath(f"{self.run_folder(key.run_key)}/{told}")
        parts = told.split("/")
        if any(part in {"", "."} or file_component(part) != part for part in parts):
            raise UnsafePath(f"{quoted(told)} is no path for a file of the run")
        if fold(parts[0]) in self._ours[self._run + 1] or len(parts) > _MOST_COMPONENTS:
            raise UnsafePath(f"{quoted(told)} is no path for a file of the run")
        if utf8_size(path) > _LONGEST_RECORDED:
            raise UnsafePath(f"{quoted(told)} is no path for a file of the run: it is too long")
        return path

    def repo_folder(self, repo: RepoName) -> MirrorPath:
        """The folder of a repository's runs and ``latest`` links."""
        return MirrorPath("/".join(self._components(repo._asdict(), self._run)))

    def manifests(self, key: RunKey) -> tuple[MirrorPath, MirrorPath]:
        """The paths of a run's ``SHA256SUMS`` and ``run.json``."""
        folder = self.run_folder(key)
        return MirrorPath(f"{folder}/{SUMS}"), MirrorPath(f"{folder}/{RUN}")

    def signature(self, key: RunKey) -> MirrorPath:
        """The path of the signature of a run's ``SHA256SUMS``."""
        return MirrorPath(f"{self.run_folder(key)}/{SIGNATURE}")

    def beside(self, key: RunKey) -> tuple[MirrorPath, ...]:
        """The paths of everything of ours beside a run's files."""
        return (*self.manifests(key), self.signature(key))

    def latest(self, repo: RepoName) -> tuple[MirrorPath, MirrorPath]:
        """The paths of a repository's links ``latest`` and ``latest-success``."""
        folder = self.repo_folder(repo)
        return MirrorPath(f"{folder}/{LATEST}"), MirrorPath(f"{folder}/{LATEST_SUCCESS}")

    @staticmethod
    def collision_key(path: str) -> str:
        """Equal for two paths that are one file on some file system."""
        return fold(path)

    @staticmethod
    def apart(path: MirrorPath, depth: int) -> MirrorPath:
        """Encode the slash behind so many components, or at the end. Raises ``UnsafePath``.

        So the archive of a folder and a folder of the same name can both stand.
        """
        parts = [*path.split("/"), ""]
        name = f"{parts[depth - 1]}%2F{parts[depth]}"
        if utf8_size(name) > LONGEST:
            raise UnsafePath(
                f"{quoted(name)} is longer than {LONGEST} bytes: rename it in the CI file"
            )
        joined = [*parts[: depth - 1], name, *parts[depth + 1 :]]
        return MirrorPath("/".join(part for part in joined if part))

    def _components(self, values: dict[str, str], count: int) -> Iterator[str]:
        for depth, part in enumerate(self._folders[:count]):
            yield self._component(depth, part, values) if part.fields else part.text

    def _component(self, depth: int, part: _TemplatePart, values: dict[str, str]) -> str:
        (field,) = part.fields
        try:
            return slug_component(
                part.prefix, values[field], part.suffix, self._ours.get(depth, frozenset())
            )
        except UnsafePath as problem:
            raise UnsafePath(f"the {field}: {problem}") from problem


def _file_components(local_path: str) -> list[str]:
    """The components of a ``local_path``: ``./a//b/`` is ``a/b``."""
    parts = [part for part in local_path.split("/") if part not in {"", "."}]
    fault = _path_fault(local_path, parts)
    if fault:
        raise UnsafePath(f"the path {quoted(local_path)} {fault}: change it in the CI file")
    try:
        components = [file_component(part) for part in parts]
    except UnsafePath as problem:
        raise UnsafePath(f"in the path {quoted(local_path)}, {problem}") from problem
    if utf8_size("/".join(components)) > _LONGEST_PATH:
        fault = f"is longer than {_LONGEST_PATH:,} bytes: shorten it in the CI file"
        raise UnsafePath(f"the path {quoted(local_path)} {fault}")
    return components


def _path_fault(local_path: str, parts: Sequence[str]) -> str:
    if local_path.startswith("/"):
        return "is absolute"
    if not parts:
        return "names no file"
    if _DRIVE.match(local_path) or _DRIVE.match(parts[0]):
        return "begins with a drive letter of Windows"
    if len(parts) > _MOST_COMPONENTS:
        return f"has more than {_MOST_COMPONENTS} components"
    return ""


def layout_problems(template: str) -> tuple[str, ...]:
    """Everything that is wrong with a template, a sentence each; empty: it is fine."""
    parts = [_TemplatePart.parse(text) for text in template.split("/")]
    unclear = (*_field_problems(parts), *_literal_problems(parts))
    return unclear or tuple(_order_problems(parts))


def _field_problems(parts: Sequence[_TemplatePart]) -> Iterator[str]:
    used = [field for part in parts for field in part.fields]
    for field in dict.fromkeys(used):
        if field not in FIELDS:
            known = ", ".join(f"{{{name}}}" for name in FIELDS)
            wrong = quoted("{" + field + "}")
            yield f"the layout has {wrong}, which is none of its fields: {known}"
    for field in FIELDS:
        if field not in used:
            yield f"the layout lacks {{{field}}}: two artifacts could get the same path"
        elif used.count(field) > 1:
            yield f"the layout has {{{field}}} more than once"
    for part in parts:
        if len(part.fields) > 1:
            yield (
                f"the layout's {quoted(part.text)} has more than one field between two slashes: a-b"
                " and c could get the same name as a and b-c"
            )


def _literal_problems(parts: Sequence[_TemplatePart]) -> Iterator[str]:
    for part in parts:
        if not part.text:
            yield "the layout begins or ends with a slash, or has two in a row"
        elif "{" in part.sample or "}" in part.sample:
            yield f"the layout's {quoted(part.text)} has a brace that does not enclose a field"
        elif not _is_plain(part.sample):
            yield f"the layout's {quoted(part.text)} is no safe name for a folder on every system"


def _is_plain(name: str) -> bool:
    try:
        plain = file_component(name) == name and "%" not in name
        return plain and utf8_size(name) <= _LONGEST_LITERAL
    except UnsafePath:
        return False


def _order_problems(parts: Sequence[_TemplatePart]) -> Iterator[str]:
    """What is wrong with a template whose components are all fine by themselves."""
    if parts[-1].text != "{local_path}":
        yield "the layout must end with /{local_path}, with nothing else in that component"
    run = _position(parts, "run")
    for field in ("org", "repo"):
        if _position(parts, field) > run:
            yield f"the layout has {{{field}}} after {{run}}, which must come after it"
    for field in ("workflow", "task", "cube"):
        if _position(parts, field) < run:
            yield f"the layout has {{{field}}} before {{run}}, which must come before it"
    if fold(parts[0].text) == OWN_FOLDER:
        yield f"the layout begins with {OWN_FOLDER}, where artifact-sync keeps its own files"
    if any(fold(part.text) in set(map(fold, _BESIDE)) for part in parts[run + 1 : run + 2]):
        yield f"the layout has {SUMS} or {RUN} below {{run}}, where the manifests are written"


def _position(parts: Sequence[_TemplatePart], field: str) -> int:
    return next(depth for depth, part in enumerate(parts) if field in part.fields)
