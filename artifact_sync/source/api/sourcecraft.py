"""SourceCraft's API as ``ports.Source``: endpoints, paging, links."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from artifact_sync.domain.errors import BadAnswer, ServiceError, UnusableEntries
from artifact_sync.domain.events import Noticed
from artifact_sync.domain.link_expiry import link_of
from artifact_sync.domain.model import RunPage
from artifact_sync.source.api.client import Answer, ApiClient, Question, Unmodified
from artifact_sync.source.api.decode import (
    AnswerPage,
    Item,
    cube_artifacts,
    log_page,
    repositories_page,
    run_of,
    runs_page,
)
from artifact_sync.source.transport.sanitize import one_line

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Mapping, Sequence

    import httpx

    from artifact_sync.domain.model import (
        Artifact,
        ArtifactKey,
        CubeKey,
        Link,
        LogPage,
        RepoName,
        Run,
        RunKey,
    )
    from artifact_sync.source.api.client import ApiContext
    from artifact_sync.source.api.response_body import Payload

_PAGE_SIZE = "100"
"""Items of a page. A text that holds an integer, as the specification has it."""
_MOST_IDLE_PAGES = 100
"""Pages in a row without anything new, after which a list counts as endless."""
_CUBES_AT_ONCE = 4
_LONGEST_LOG_PAGE = 64 * 1024 * 1024
"""Bytes that a page of a log may have; they are about 600 KB."""
_HAS_FILE = frozenset({"success", ""})
"""Statuses with which a link is used; the caller has seen the artifact as ``success``."""


class SourceCraft:
    """SourceCraft by a client from ``transport.api_client``, which is not closed here."""

    def __init__(self, client: httpx.AsyncClient, context: ApiContext) -> None:
        self._api = ApiClient(client, context)
        self._context = context

    async def repositories(self, org: str) -> AsyncGenerator[RepoName]:
        """List the repositories of an organisation; ends like ``runs``."""
        what = f"the list of repositories of {one_line(org, 100)}"
        read = partial(repositories_page, org)
        question = Question(what, ("orgs", org, "repos"), read, self._context.retry)
        async with aclosing(self._pages(question)) as pages:
            async for page in pages:
                for name in page.meaning.items:
                    yield name

    async def runs(self, repo: RepoName, known: str = "") -> AsyncGenerator[RunPage]:
        """List the runs by pages, unless the first page has the ``known`` digest.

        After the last page, ``BadAnswer`` when entries had no usable slug: the list is not complete
        then.
        """
        what = f"the list of runs of {_name(repo)}"
        read = partial(runs_page, repo)
        question = Question(what, _cicd(repo, "runs"), read, self._context.retry, known=known)
        try:
            async with aclosing(self._pages(question)) as pages:
                async for page in pages:
                    digest = "" if page.meaning.passed_over else page.digest
                    yield RunPage(page.meaning.items, digest)
        except Unmodified:
            yield RunPage((), known, unchanged=True)

    async def run(self, key: RunKey) -> Run:
        """Get a run with its artifacts and their links."""
        return (await self._run(key, self._recorded)).meaning

    async def links(
        self, key: RunKey, wanted: Collection[ArtifactKey]
    ) -> Mapping[ArtifactKey, Link]:
        """Get fresh links of a run, or of its cubes where it lacks them."""
        answer = await self._run(key, run_of)
        listed = answer.meaning.artifacts
        links = self._links(listed, answer)  # all of them: others may be waiting for theirs
        there = {artifact.key for artifact in listed if artifact.status in _HAS_FILE}
        gone = {artifact.key for artifact in listed} - there
        cubes = {key.cube_key for key in wanted if key not in links and key not in gone}
        for found in await self._cubes_links(cubes):
            links.update(found)
        return links

    async def log_page(self, cube: CubeKey, number: int) -> LogPage:
        """Get a page of a cube's log."""
        run, *place = cube
        what = f"page {number} of the log of cube {_of_cube(cube)}"
        segments = _cicd(run.repo, "logs", run.run, *place)
        question = Question(
            what,
            segments,
            log_page,
            self._context.retry,
            {"page": str(number)},
            limit=_LONGEST_LOG_PAGE,
        )
        return (await self._api.get(question)).meaning

    def _recorded(self, key: RunKey, payload: Payload) -> Run:
        """Decode a run with what is kept of its answer."""
        from artifact_sync.source.api.decode_record import record_of  # noqa: PLC0415 - on the first run

        return replace(run_of(key, payload), record=record_of(payload, self._context.token))

    async def _run(self, key: RunKey, read: Callable[[RunKey, Payload], Run]) -> Answer[Run]:
        what = f"run {one_line(key.run, 40)} of {_name(key.repo)}"
        segments = _cicd(key.repo, "runs", key.run)
        return await self._api.get(
            Question(what, segments, partial(read, key), self._context.retry)
        )

    async def _cubes_links(self, cubes: Iterable[CubeKey]) -> Sequence[Mapping[ArtifactKey, Link]]:
        """Get the links of some cubes, a few cubes at a time."""
        slots = asyncio.Semaphore(_CUBES_AT_ONCE)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._cube_links(cube, slots)) for cube in cubes]
        return [task.result() for task in tasks]

    async def _cube_links(
        self, cube: CubeKey, slots: asyncio.Semaphore
    ) -> Mapping[ArtifactKey, Link]:
        """Get a cube's links; none on an error, which must not fail others."""
        try:
            async with slots:
                answer = await self._api.get(self._cube_question(cube))
        except ServiceError as error:
            self._context.notify(Noticed(str(error)))
            return {}
        return self._links(answer.meaning, answer)

    def _cube_question(self, cube: CubeKey) -> Question[Sequence[Artifact]]:
        """Ask with few retries, because the other links expire meanwhile."""
        run, *place = cube
        what = f"the artifacts of cube {_of_cube(cube)}"
        segments = _cicd(run.repo, "artifacts", run.run, *place)
        return Question(what, segments, partial(cube_artifacts, cube), self._context.hasty)

    def _links(self, artifacts: Iterable[Artifact], answer: Answer[Any]) -> dict[ArtifactKey, Link]:
        """Links by artifact; the first one of an artifact that is listed twice."""
        now = self._context.clock.now()
        found: dict[ArtifactKey, Link] = {}
        for artifact in artifacts:
            key, url = artifact.key, artifact.url
            if url and artifact.status in _HAS_FILE and key not in found:
                found[key] = link_of(url, answer.monotonic, now, answer.server_date)
        return found

    async def _pages(
        self, question: Question[AnswerPage[Item]]
    ) -> AsyncGenerator[Answer[AnswerPage[Item]]]:
        """Get all pages, up to the one without a token."""
        progress = _Progress(question.what)
        question = replace(question, parameters={"page_size": _PAGE_SIZE})
        while True:
            answer = await self._api.get(question)
            page = answer.meaning
            self._notice(question.what, page.passed_over)
            yield answer
            progress.take(page)
            if not page.token:
                break
            parameters = {"page_size": _PAGE_SIZE, "page_token": page.token}
            question = replace(question, parameters=parameters, known="")
        if progress.passed_over:
            message = _without_slug(question.what, progress.passed_over)
            if progress.lists_less:
                raise BadAnswer(message)
            raise UnusableEntries(message, progress.passed_over)

    def _notice(self, what: str, passed_over: int) -> None:
        """Report at once, since a caller may abandon the list before its end."""
        if passed_over:
            self._context.notify(Noticed(_without_slug(what, passed_over)))


class _Progress:
    """Detects endless lists. Keeps hashes, since tokens and slugs may be long."""

    def __init__(self, what: str) -> None:
        self.passed_over = 0
        """Entries without a usable slug, over all pages."""
        self._unreadable = 0
        self._usable = 0
        self._what = what
        self._tokens: set[int] = set()
        self._slugs: set[int] = set()
        self._idle = 0

    @property
    def lists_less(self) -> bool:
        """Whether more is wrong with the list than odd entries among good ones."""
        return bool(self._unreadable) or not self._usable

    def take(self, page: AnswerPage[Any]) -> None:
        """Count a page. ``BadAnswer`` when the list will never end."""
        self.passed_over += page.passed_over
        self._unreadable += page.unreadable
        self._usable += len(page.slugs)
        if not page.token:
            return
        known = len(self._slugs)
        self._slugs.update(map(hash, page.slugs))
        self._idle = self._idle + 1 if len(self._slugs) == known else 0
        if self._idle == _MOST_IDLE_PAGES:
            raise BadAnswer(f"{self._what}: {self._idle} pages in a row brought nothing new")
        if hash(page.token) in self._tokens:
            raise BadAnswer(f"{self._what}: a page token came twice, so it has no end")
        self._tokens.add(hash(page.token))


def _without_slug(what: str, entries: int) -> str:
    told = "1 entry has" if entries == 1 else f"{entries} entries have"
    return f"{what}: {told} no usable slug"


def _name(repo: RepoName) -> str:
    return one_line(str(repo), 100)


def _of_cube(cube: CubeKey) -> str:
    run, *place = cube
    name = one_line("/".join(place), 150)
    return f"{name} in run {one_line(run.run, 40)} of {_name(run.repo)}"


def _cicd(repo: RepoName, *below: str) -> tuple[str, ...]:
    return ("repos", repo.org, repo.repo, "cicd", *below)
