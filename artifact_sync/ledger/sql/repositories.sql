-- The ledger itself, repositories, and passes over them.

-- name: version
SELECT version_num FROM artifact_sync_version;

-- name: forget_version
DELETE FROM artifact_sync_version;

-- name: put_version
INSERT INTO artifact_sync_version (version_num) VALUES (:version);

-- name: meta
SELECT value FROM meta WHERE key = :key;

-- name: all_filters
SELECT key, value FROM meta WHERE substr(key, 1, 8) = 'filters/';

-- name: put_meta
INSERT INTO meta (key, value) VALUES (:key, :value)
ON CONFLICT (key) DO UPDATE SET value = excluded.value;

-- The first one's value stays.
-- name: claim_meta
INSERT INTO meta (key, value) VALUES (:key, :value) ON CONFLICT (key) DO NOTHING;

-- name: drop_meta
DELETE FROM meta WHERE key = :key;

-- name: repository
SELECT id FROM repositories WHERE org = :org AND repo = :repo;

-- name: repositories_named
SELECT org, repo, id FROM repositories WHERE repo IN (:these);

-- name: make_repository
INSERT INTO repositories (org, repo, last_error) VALUES (:org, :repo, '')
ON CONFLICT (org, repo) DO NOTHING;

-- name: lose_repository
UPDATE repositories SET gone_since = coalesce(gone_since, :at) WHERE id = :id;

-- name: return_repository
UPDATE repositories SET gone_since = NULL WHERE id = :id AND gone_since IS NOT NULL;

-- name: repositories
SELECT org, repo FROM repositories;

-- name: kept_repositories
SELECT org, repo FROM repositories
WHERE
  org = :org AND EXISTS (
    SELECT 1 FROM runs
    WHERE
      runs.repo_id = repositories.id
      AND mirrored + lost + expired + forgotten + unwanted + pruning + pruned > 0
  );

-- name: horizon
SELECT horizon_high, horizon_since, horizon_falling FROM repositories
WHERE org = :org AND repo = :repo;

-- name: set_horizon
UPDATE repositories
SET horizon_high = :high, horizon_since = :since, horizon_falling = :falling
WHERE id = :id;

-- name: forget_rules
SELECT id, run, glob, forgets, deletes, done FROM forget_rules
WHERE repo_id = :repo_id
ORDER BY id;

-- name: make_forget_rule
INSERT INTO forget_rules (repo_id, run, glob, forgets, deletes, done)
VALUES (:repo_id, :run, :glob, :forgets, :deletes, :done);

-- name: drop_forget_rule
DELETE FROM forget_rules WHERE id = :id;

-- name: end_forgetting
UPDATE forget_rules SET done = TRUE WHERE id = :id;

-- What a last pass said may be of what was let go; the next one says what is left.
-- name: forget_last_error
UPDATE repositories SET last_error = '' WHERE id = :id;

-- name: counted_repositories
SELECT
  repositories.id, repositories.org, repositories.repo,
  repositories.last_pass, repositories.last_complete, repositories.last_error,
  (
    SELECT newest.run FROM runs AS newest WHERE newest.repo_id = repositories.id
    ORDER BY newest.number DESC, newest.id DESC LIMIT 1
  ) AS run,
  sum(CASE WHEN runs.id IS NOT NULL AND runs.pruned_at IS NULL THEN 1 ELSE 0 END) AS runs,
  sum(CASE WHEN runs.pruned_at IS NOT NULL THEN 1 ELSE 0 END) AS pruned_runs,
  sum(CASE WHEN runs.settled_for <> '' AND runs.pruned_at IS NULL THEN 1 ELSE 0 END) AS settled,
  sum(runs.bytes) AS bytes,
  sum(runs.shared_bytes) AS shared_bytes,
  max(runs.last_mirrored) AS last_mirrored, min(runs.oldest_verified) AS oldest_verified,
  sum(runs.wanted), sum(runs.pending), sum(runs.mirrored), sum(runs.failed),
  sum(runs.gone), sum(runs.refused), sum(runs.lost), sum(runs.expired), sum(runs.forgotten),
  sum(runs.unwanted), sum(runs.pruning), sum(runs.pruned)
FROM repositories LEFT JOIN runs ON runs.repo_id = repositories.id;

-- name: all_totals
{counted_repositories}
GROUP BY repositories.id;

-- name: totals
{counted_repositories}
WHERE repositories.org = :org AND repositories.repo = :repo
GROUP BY repositories.id;

-- SQLite uses the partial indexes only for the words that they were made with.
-- name: about_to_vanish
FROM runs
WHERE
  runs.repo_id = repositories.id AND wanted + pending + failed > 0
  AND runs.gone_since IS NULL AND repositories.gone_since IS NULL
  AND runs.created_at > :after AND runs.created_at <= :until;

-- name: endangered
SELECT
  org, repo,
  (SELECT coalesce(sum(wanted + pending + failed), 0) {about_to_vanish}) AS vanishing,
  (SELECT coalesce(sum(failed), 0) {about_to_vanish}) AS failing,
  (SELECT coalesce(sum(expired), 0) FROM runs
   WHERE runs.repo_id = repositories.id AND expired > 0) AS expired,
  (SELECT coalesce(sum(gone), 0) FROM runs
   WHERE runs.repo_id = repositories.id AND gone + lost > 0) AS gone,
  (SELECT coalesce(sum(lost), 0) FROM runs
   WHERE runs.repo_id = repositories.id AND gone + lost > 0) AS lost,
  (SELECT coalesce(sum(shared_bytes), 0) FROM runs
   WHERE runs.repo_id = repositories.id AND shared_bytes > 0) AS shared_bytes
FROM repositories;

-- name: oldest_verifications
SELECT
  org, repo,
  (
    SELECT min(oldest_verified) FROM runs
    WHERE runs.repo_id = repositories.id AND oldest_verified IS NOT NULL
  ) AS oldest_verified
FROM repositories;

-- name: begin_pass
INSERT INTO passes
  (repo_id, began, runs, found, downloaded, kept, failed, pending, bytes, complete)
VALUES (:repo_id, :began, 0, 0, 0, 0, 0, 0, 0, :complete);

-- name: end_pass
UPDATE passes
SET
  ended = :ended, runs = :runs, found = :found, downloaded = :downloaded, kept = :kept,
  failed = :failed, pending = :pending, bytes = :bytes, complete = :complete,
  exit_code = :exit_code
WHERE id = :id;

-- name: repository_of_pass
SELECT repo_id FROM passes WHERE id = :id;

-- name: set_last_pass
UPDATE repositories
SET
  last_pass = :last_pass,
  last_error = coalesce(:last_error, last_error),
  last_complete = coalesce(:last_complete, last_complete)
WHERE id = :id;

-- name: forget_old_passes
DELETE FROM passes
WHERE repo_id = :repo_id AND id <= (
  SELECT id FROM passes WHERE repo_id = :repo_id ORDER BY id DESC LIMIT 1 OFFSET :kept
);
