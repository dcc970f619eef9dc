"""A ledger in PostgreSQL of many rows, as passes would have left it, made by the server itself.

Repositories, runs and artifacts stand in the proportion of a large mirror: 10 runs a repository,
20 artifacts a run. What the rows take is read from the server's own accounts.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from artifact_sync.ledger import open_ledger
from benchmarks.postgres import ask

if TYPE_CHECKING:
    from collections.abc import Mapping

RUN_FILES, REPO_RUNS = 20, 10
REPO_FILES = REPO_RUNS * RUN_FILES
ORG = "rows"
TABLES = {"artifact": "artifacts", "run": "runs", "record of a run": "run_records"}

_FILL = (
    """
INSERT INTO repositories
  (id, org, repo, horizon_high, horizon_falling, last_pass, last_complete, last_error)
SELECT n, '{org}', 'project-' || n, {runs}, TRUE,
  '2026-11-29T20:39:21.270063Z', '2026-11-29T20:39:21.270063Z', ''
FROM generate_series(1, {repos}) AS n
""",
    """
INSERT INTO runs
  (id, repo_id, run, number, status, event, created_at, finished_at, fingerprint, settled_for,
   kept, complete, looks, first_seen, seen_at, wanted, pending, mirrored, failed, gone, refused,
   bytes, last_mirrored, creation_at, noted, oldest_verified)
SELECT n, (n - 1) / {runs} + 1, (n - 1) % {runs} + 1, (n - 1) % {runs} + 1, 'success', 'push',
  moment, moment, 'success|' || repeat(replace(moment, 'Z', '|'), 3), '89093fc46b162104',
  {files}, TRUE, 0, moment, moment, 0, 0, {files}, 0, 0, 0,
  {files} * 100000, moment, moment, TRUE, moment
FROM generate_series(1, {repos} * {runs}) AS n, LATERAL (SELECT to_char(timestamp '2026-01-01'
  + n * interval '3 seconds', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS moment) AS it
""",
    """
INSERT INTO run_records (run_id, record)
SELECT id, substring(sha512(run::bytea || id::text::bytea) || sha512(id::text::bytea)
  || sha512(created_at::bytea) FROM 1 FOR 190)
FROM runs
""",
    """
INSERT INTO artifacts
  (run_id, digest, workflow, task, cube, local_path, state, path, size, sha256, strength, evidence,
   version, etag, content_encoding, attempts, reason, message, first_seen, mirrored_at, upstream,
   archive)
SELECT runs.id, sha256((runs.id || '/' || n)::bytea), 'ci', 'build', 'build',
  './dist/part-' || n || '.bin', 'mirrored',
  '{org}/project-' || runs.repo_id || '/' || runs.run || '/ci/build/build/dist/part-' || n
  || '.bin', 100000, encode(sha256(('content' || runs.id || '/' || n)::bytea), 'hex'),
  'checksum', '["etag:md5","length"]', '2026-11-28T20:01:00Z',
  '"' || md5(runs.id || '/' || n) || '"', '', 0, '', '', runs.created_at, runs.created_at,
  'listed', 'none'
FROM runs, generate_series(1, {files}) AS n ORDER BY runs.id, n
""",
    """
INSERT INTO passes
  (repo_id, began, ended, runs, found, downloaded, kept, failed, pending, bytes, complete,
   exit_code)
SELECT id, last_pass, last_pass, {runs}, 0, 0, 0, 0, 0, 0, TRUE, 0
FROM repositories, generate_series(1, 3)
""",
    "SELECT setval(pg_get_serial_sequence('repositories', 'id'), {repos})",
    "SELECT setval(pg_get_serial_sequence('runs', 'id'), {repos} * {runs})",
    "VACUUM ANALYZE",
)
_SIZES = (
    "SELECT pg_relation_size('{0}') / count(*), pg_total_relation_size('{0}') / count(*) FROM {0}"
)


@dataclass(frozen=True, slots=True)
class RowSize:
    """Bytes of a row, by itself and with its part of the indexes."""

    alone: int
    indexed: int


def build_rows(url: str, count: int) -> None:
    """Make a ledger with about so many artifacts."""
    make_ledger(url)
    repos = max(1, count // REPO_FILES)
    values = {"org": ORG, "repos": repos, "runs": REPO_RUNS, "files": RUN_FILES}
    for sql in _FILL:
        ask(url, sql.format(**values))


def make_ledger(url: str) -> None:
    """Make an empty ledger."""
    asyncio.run(_make(url))


async def _make(url: str) -> None:
    await (await open_ledger(url, durability="fast")).aclose()


def row_sizes(url: str) -> Mapping[str, RowSize]:
    """What a row takes, by its kind."""
    found = {kind: ask(url, _SIZES.format(table))[0] for kind, table in TABLES.items()}
    return {kind: RowSize(int(alone), int(whole)) for kind, (alone, whole) in found.items()}
