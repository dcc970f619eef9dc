"""The cases that download: many small files, middling ones, one big one, and a distant server."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from benchmarks import contenders
from benchmarks.catalog import ORG, FileSet, make_files, publish_files
from benchmarks.contenders import AT_ONCE, Job
from benchmarks.contest import Bench, Match, play
from benchmarks.server import SlowServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.results import Group
    from benchmarks.settings import Files

_DEFAULT = 8
"""`download.jobs` where nobody sets it."""


def small(bench: Bench) -> Iterator[Group]:
    """Case 1."""
    files = make_files(bench.served, "small", bench.sizes.small)
    job = _job(bench, files, bench.server.url)
    loops = [contenders.durable_loop(files), contenders.socket_loop(job, fsync=True)]
    everybody = [*loops, *contenders.downloaders(bench.tools, job)]
    title = f"{_words(bench.sizes.small)}, {AT_ONCE} at once"
    counted = bench.server.requests
    size = bench.sizes.small.bytes
    yield play(bench, Match("1", title, everybody, size, requests=counted))


def middle(bench: Bench) -> Iterator[Group]:
    """Case 2."""
    files = make_files(bench.served, "middle", bench.sizes.middle)
    job = replace(_job(bench, files, bench.server.url), jobs=_DEFAULT)
    entrants = contenders.downloaders(bench.tools, job)
    title = (
        f"{_words(bench.sizes.middle)}, {AT_ONCE} at once; artifact-sync its default, {_DEFAULT}"
    )
    counted, size = bench.server.requests, bench.sizes.middle.bytes
    yield play(bench, Match("2", title, entrants, size, requests=counted))


def big(bench: Bench) -> Iterator[Group]:
    """Case 3, plain and TLS."""
    files = make_files(bench.served, "big", bench.sizes.big)
    counted, size = bench.server.requests, bench.sizes.big.bytes
    for words, url in (("plain", bench.server.url), ("TLS", bench.server.tls_url)):
        entrants = contenders.downloaders(bench.tools, _job(bench, files, url, f"-{words.lower()}"))
        title = f"{_words(bench.sizes.big)}, {words}"
        yield play(bench, Match(f"3 {words}", title, entrants, size, requests=counted))


def distant(bench: Bench) -> Iterator[Group]:
    """Case 6. The service's own answers come as late as the files."""
    sizes = bench.sizes
    files = make_files(bench.served, "slow", sizes.slow)
    with SlowServer(bench.served, sizes.latency) as server:
        everybody = contenders.downloaders(bench.tools, _job(bench, files, server.url))
        # one file after the other is not what this case is about
        entrants = [each for each in everybody if each.name != contenders.WGET]
        latency = f"{sizes.latency * 1000:.0f} ms before each answer"
        title = f"{_words(sizes.slow)}, {AT_ONCE} at once, {latency}"
        match = Match("6", title, entrants, sizes.slow.bytes, requests=server.requests)
        group = play(bench, match)
    group.facts["ideal"] = sizes.slow.count / AT_ONCE * sizes.latency
    yield group


def _job(bench: Bench, files: FileSet, url: str, suffix: str = "") -> Job:
    """These files, from this server."""
    repo = f"{files.name}{suffix}"
    publish_files(bench.served, files, url, repo)
    home = bench.home / repo
    home.mkdir()
    return Job(files, url, f"{ORG}/{repo}", bench.server.ca, home)


def _words(files: Files) -> str:
    units = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"), (1, "bytes"))
    unit, name = next((unit, name) for unit, name in units if files.size >= unit)
    word = "file" if files.count == 1 else "files"
    return f"{files.count:,} {word} of {files.size / unit:.4g} {name}"
