"""The statement that counts the jobs of a mirror's queue."""

from __future__ import annotations

QUEUE_LENGTHS = (
    "SELECT count(*) FILTER (WHERE status = 'todo') AS waiting,"
    " count(*) FILTER (WHERE status = 'doing') AS running,"
    " count(*) FILTER (WHERE status = 'doing' AND (worker.id IS NULL OR worker.last_heartbeat"
    " < now() - make_interval(secs => %(silent)s))) AS stalled"
    " FROM procrastinate_jobs job LEFT JOIN procrastinate_workers worker ON worker.id = worker_id"
    " WHERE queue_name = %(queue)s AND status IN ('todo', 'doing')"
)
"""``queue``: the mirror's id. ``silent``: seconds after which a worker counts as dead."""
