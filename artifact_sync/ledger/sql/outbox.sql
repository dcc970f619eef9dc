-- What hooks are told. A row of `told` keeps a thing that lasts from being told again.

-- name: post
INSERT INTO outbox (delivery, hook, event, happened_at, facts, tries, next_try, last_error)
VALUES (:delivery, :hook, :event, :happened_at, :facts, 0, :happened_at, '');

-- name: delivery_columns
delivery, hook, event, happened_at, facts, tries, first_try, next_try, last_error;

-- A try is never put off by more than an hour: what is due later was noted by a clock that was wrong.
-- name: due_delivery
SELECT {delivery_columns} FROM outbox
WHERE hook = :hook AND next_try IS NOT NULL AND (next_try <= :now OR next_try > :latest)
ORDER BY next_try, id LIMIT 1;

-- name: next_try
SELECT min(next_try) AS next_try FROM outbox WHERE hook = :hook AND next_try IS NOT NULL;

-- name: deliveries
SELECT {delivery_columns}, id FROM outbox WHERE id > :after ORDER BY id LIMIT :limit;

-- name: put_off
UPDATE outbox
SET
  tries = tries + 1, first_try = coalesce(first_try, :first_try), next_try = :next_try,
  last_error = :last_error
WHERE delivery = :delivery;

-- name: put_off_hook
UPDATE outbox SET next_try = :until WHERE hook = :hook AND next_try < :until;

-- name: try_again
UPDATE outbox SET tries = 0, first_try = NULL, next_try = :now WHERE delivery = :delivery;

-- name: drop_delivery
DELETE FROM outbox WHERE delivery = :delivery;

-- name: hooks_in_outbox
SELECT hook, count(*) FROM outbox GROUP BY hook;

-- name: drop_hook
DELETE FROM outbox WHERE hook = :hook;

-- name: told
SELECT since FROM told WHERE run_id = :run_id AND digest = :digest AND event = :event;

-- name: note_told
INSERT INTO told (run_id, digest, event, since) VALUES (:run_id, :digest, :event, :since)
ON CONFLICT (run_id, digest, event) DO UPDATE SET since = excluded.since;

-- name: forget_told
DELETE FROM told WHERE run_id = :run_id AND digest = :digest AND event = :event;

-- name: forget_told_of_run
DELETE FROM told WHERE run_id = :run_id;

-- name: run_facts
SELECT
  repositories.org, repositories.repo, runs.run, runs.status, runs.event, runs.created_at,
  runs.finished_at, runs.mirrored, runs.bytes, runs.failed + runs.gone + runs.refused + runs.lost,
  runs.wanted + runs.pending
FROM {runs_of_repositories}
WHERE runs.id = :id;

-- name: is_complete
SELECT complete FROM runs WHERE id = :id;

-- name: untold_losses
SELECT {artifact_columns}, artifacts.digest FROM {artifacts_of_runs}
LEFT JOIN told
  ON told.run_id = artifacts.run_id AND told.digest = artifacts.digest AND told.event = 'file.lost'
WHERE
  artifacts.run_id = :run_id AND artifacts.state = 'lost' AND artifacts.lost_since IS NOT NULL
  AND (told.since IS NULL OR told.since <> artifacts.lost_since)
  AND (
    artifacts.upstream = 'gone' OR runs.gone_since IS NOT NULL
    OR repositories.gone_since IS NOT NULL
  )
ORDER BY artifacts.id;

-- Of a run that was never looked at, nothing is known that could be outstanding; all of it is.
-- name: untold_expiring
SELECT runs.id FROM runs
WHERE
  runs.repo_id = :repo_id AND runs.settled_for = '' AND runs.gone_since IS NULL
  AND runs.created_at > :vanished AND runs.created_at <= :vanishing AND runs.created_at >= :since
  AND runs.status IN (:these)
  AND (
    runs.wanted + runs.failed + runs.lost > 0 OR (runs.mirrored = 0 AND runs.noted = FALSE)
  )
  AND NOT EXISTS (
    SELECT 1 FROM told WHERE told.run_id = runs.id AND told.event = 'expiring'
  )
ORDER BY runs.created_at, runs.id LIMIT :limit;
