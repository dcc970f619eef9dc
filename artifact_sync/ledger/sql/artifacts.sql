-- Artifacts. Each change of a state is carried to the counts in the run's row (`count`).

-- name: artifact_columns
repositories.org, repositories.repo, runs.run, artifacts.workflow, artifacts.task,
artifacts.cube, artifacts.local_path, artifacts.state, artifacts.path, artifacts.size,
artifacts.sha256, artifacts.strength, artifacts.evidence, artifacts.version, artifacts.etag,
artifacts.content_encoding, artifacts.attempts, artifacts.first_seen, artifacts.mirrored_at,
artifacts.reason, artifacts.message, artifacts.is_wanted,
coalesce(artifacts.verified_at, artifacts.mirrored_at) AS verified_at, artifacts.lost_since,
CASE WHEN coalesce(runs.gone_since, repositories.gone_since) IS NULL
  THEN artifacts.upstream ELSE 'gone' END AS upstream,
coalesce(artifacts.gone_since, runs.gone_since, repositories.gone_since) AS gone_since,
runs.created_at, artifacts.archive, artifacts.extraction, artifacts.extracted_of,
artifacts.extracted_by, artifacts.extracted_files, artifacts.extracted_bytes,
artifacts.extraction_reason, artifacts.extraction_error;

-- name: artifacts_of_runs
artifacts
JOIN runs ON runs.id = artifacts.run_id
JOIN repositories ON repositories.id = runs.repo_id;

-- SQLite uses the partial index only for the words that the index was made with.
-- name: unwell
state IN ('failed', 'gone', 'refused', 'lost');

-- What a change of an artifact's row needs to know of it.
-- name: known
SELECT id, digest, state, size, sha256, is_wanted, shares, run_id, extracted_bytes FROM artifacts;

-- name: known_artifacts
{known}
WHERE run_id = :run_id AND digest IN (:these);

-- name: make_artifact
INSERT INTO artifacts (
  run_id, digest, workflow, task, cube, local_path, state, path, size, sha256, strength, evidence,
  version, etag, content_encoding, attempts, reason, message, first_seen, mirrored_at,
  is_wanted, upstream, gone_since, verified_at, lost_since, archive
) VALUES (
  :run_id, :digest, :workflow, :task, :cube, :local_path, :state, :path, :size, :sha256,
  :strength, :evidence, :version, :etag, :content_encoding, 0, :reason, :message, :first_seen,
  :mirrored_at, :is_wanted, :upstream, :gone_since, :verified_at, :lost_since, :archive
);

-- name: set_mirrored
UPDATE artifacts
SET
  state = :state, path = :path, size = :size, sha256 = :sha256, strength = :strength,
  evidence = :evidence, version = :version, etag = :etag, content_encoding = :content_encoding,
  mirrored_at = :mirrored_at, attempts = 0, reason = '', message = '', verified_at = NULL,
  archive = :archive, reading_since = NULL, lost_since = NULL, upstream = 'listed', gone_since = NULL
WHERE id = :id;

-- Of what was never here. Whether it is wanted, and listed, stays as it is known.
-- name: set_taken_over
UPDATE artifacts
SET
  state = :state, path = :path, size = :size, sha256 = :sha256, strength = :strength,
  evidence = :evidence, version = :version, etag = :etag, content_encoding = :content_encoding,
  mirrored_at = :mirrored_at, attempts = 0, reason = '', message = '',
  verified_at = :verified_at, lost_since = :lost_since, archive = :archive
WHERE id = :id;

-- name: set_version
UPDATE artifacts SET state = :state, version = :version WHERE id = :id;

-- name: set_facts
UPDATE artifacts
SET
  state = :state, version = :version, is_wanted = :is_wanted, upstream = :upstream,
  gone_since = CASE WHEN :upstream = 'gone' THEN coalesce(gone_since, :at) END,
  lost_since = coalesce(lost_since, :lost_since)
WHERE id = :id;

-- name: set_failure
UPDATE artifacts SET state = :state, reason = :reason, message = :message WHERE id = :id;

-- The file behind the link is gone, too.
-- name: set_gone
UPDATE artifacts
SET
  state = :state, reason = :reason, message = :message, upstream = :upstream,
  gone_since = coalesce(gone_since, :at), lost_since = coalesce(lost_since, :lost_since)
WHERE id = :id;

-- name: set_verified
UPDATE artifacts SET verified_at = :at, reading_since = NULL WHERE id = :id;

-- name: set_reading
UPDATE artifacts SET reading_since = :at WHERE id = :id;

-- name: set_lost
UPDATE artifacts SET state = :state, lost_since = coalesce(lost_since, :at) WHERE id = :id;

-- name: set_adopted
UPDATE artifacts
SET
  state = :state, verified_at = :at, reading_since = NULL, lost_since = NULL, attempts = 0,
  reason = '', message = ''
WHERE id = :id;

-- name: set_forgotten
UPDATE artifacts SET state = :state, is_wanted = FALSE WHERE id = :id;

-- Its file is removed. Where it comes back, it can still be told from another one.
-- name: set_removed
UPDATE artifacts
SET state = :state, is_wanted = FALSE, lost_since = coalesce(lost_since, :at)
WHERE id = :id;

-- name: set_state
UPDATE artifacts SET state = :state WHERE id = :id;

-- name: count_attempt
UPDATE artifacts SET attempts = attempts + 1 WHERE run_id = :run_id AND digest = :digest;

-- name: forget
DELETE FROM artifacts WHERE id = :id;

-- name: rows_of_run
{known}
WHERE run_id = :run_id;

-- name: note_try
INSERT INTO tries (run_id, digest, tried_at, reason, message)
VALUES (:run_id, :digest, :tried_at, :reason, :message);

-- name: forget_old_tries
DELETE FROM tries
WHERE run_id = :run_id AND digest = :digest AND id <= (
  SELECT old.id FROM tries AS old WHERE old.run_id = :run_id AND old.digest = :digest
  ORDER BY old.id DESC LIMIT 1 OFFSET :kept
);

-- name: tries
SELECT tried_at, reason, message FROM tries
WHERE run_id = :run_id AND digest = :digest
ORDER BY id;

-- name: forget_tries
DELETE FROM tries WHERE run_id = :run_id AND digest = :digest;

-- name: forget_tries_of_run
DELETE FROM tries WHERE run_id = :run_id;

-- name: forget_of_run
DELETE FROM artifacts WHERE run_id = :run_id;

-- name: of_run
SELECT {artifact_columns} FROM {artifacts_of_runs}
WHERE artifacts.run_id = :run_id
ORDER BY artifacts.id;

-- name: of_run_by_digest
SELECT {artifact_columns}, artifacts.digest FROM {artifacts_of_runs}
WHERE artifacts.run_id = :run_id AND artifacts.digest > :digest
ORDER BY artifacts.digest LIMIT :limit;

-- name: of_runs
SELECT {artifact_columns}, artifacts.run_id, artifacts.id FROM {artifacts_of_runs}
WHERE artifacts.run_id IN (:these);

-- name: of_ids
SELECT {artifact_columns}, artifacts.id FROM {artifacts_of_runs}
WHERE artifacts.id IN (:these);

-- Those in a state that counts.
-- name: chosen_ones
SELECT artifacts.id FROM {artifacts_of_runs}
WHERE {in_time} AND 1 = CASE artifacts.state
  WHEN 'wanted' THEN :wanted WHEN 'pending' THEN :pending WHEN 'mirrored' THEN :mirrored
  WHEN 'failed' THEN :failed WHEN 'gone' THEN :gone WHEN 'refused' THEN :refused
  WHEN 'lost' THEN :lost WHEN 'expired' THEN :expired WHEN 'forgotten' THEN :forgotten
  WHEN 'unwanted' THEN :unwanted WHEN 'pruning' THEN :pruning WHEN 'pruned' THEN :pruned
END;

-- Numbers and texts stand apart, since PostgreSQL sorts no mixture.
-- name: in_order
ORDER BY
  CASE :sort
    WHEN 'path' THEN CASE WHEN artifacts.path IS NULL THEN 1 ELSE 0 END
    WHEN 'size' THEN coalesce(artifacts.size, -1)
    WHEN 'state' THEN CASE
      WHEN artifacts.state IN ('failed', 'gone', 'refused', 'lost') THEN 0
      WHEN artifacts.state IN ('wanted', 'pending') THEN 1
      WHEN artifacts.state = 'mirrored' THEN 2
      ELSE 3
    END
    ELSE 0
  END,
  CASE :sort
    WHEN 'path' THEN coalesce(artifacts.path, '')
    WHEN 'age' THEN coalesce(artifacts.mirrored_at, artifacts.first_seen, '')
    WHEN 'run' THEN coalesce(runs.created_at, '')
    WHEN 'state' THEN artifacts.state
    WHEN 'verified' THEN coalesce(artifacts.verified_at, artifacts.mirrored_at, '')
    ELSE repositories.org
  END,
  CASE WHEN :sort = 'listed' THEN repositories.repo ELSE '' END,
  CASE WHEN :sort = 'listed' THEN -runs.number ELSE runs.number END,
  CASE WHEN :sort = 'listed' THEN -runs.id ELSE runs.id END,
  artifacts.id;

-- name: sorted_of_repositories
{chosen_ones} AND runs.repo_id + 0 IN (:these) {in_order};

-- name: sorted_of_runs
{chosen_ones} AND runs.id IN (:these) {in_order};

-- name: by_sha256
{chosen_ones} AND artifacts.sha256 <> ''
AND artifacts.sha256 >= :low AND artifacts.sha256 < :high;

-- name: hashed_of_repositories
{by_sha256} AND runs.repo_id + 0 IN (:these) {in_order};

-- name: hashed_of_runs
{by_sha256} AND runs.id + 0 IN (:these) {in_order};

-- name: holds
wanted + pending + mirrored + failed + gone + refused + lost + expired + forgotten + unwanted
+ pruning + pruned;

-- name: holding_runs
SELECT number, id, {holds} FROM runs
WHERE repo_id = :repo_id AND 0 < {holds} AND (number, id) < (:number, :id)
ORDER BY number DESC, id DESC LIMIT :limit;

-- By the states that count (1, the others 0).
-- name: chosen
wanted * :wanted + pending * :pending + mirrored * :mirrored + failed * :failed + gone * :gone
+ refused * :refused + lost * :lost + expired * :expired + forgotten * :forgotten
+ unwanted * :unwanted + pruning * :pruning + pruned * :pruned;

-- name: choosing_runs
SELECT number, id, {holds} FROM runs
WHERE repo_id = :repo_id AND 0 < {chosen} AND {in_time} AND (number, id) < (:number, :id)
ORDER BY number DESC, id DESC LIMIT :limit;

-- name: holding_run
SELECT number, id, {holds} FROM runs
WHERE repo_id = :repo_id AND 0 < {holds} AND run = :run AND (number, id) < (:number, :id)
ORDER BY number DESC, id DESC LIMIT :limit;

-- name: recent_runs
SELECT number, id, mirrored, run FROM runs
WHERE repo_id = :repo_id AND mirrored > 0 AND (number, id) < (:number, :id)
ORDER BY number DESC, id DESC LIMIT :limit;

-- name: recent_files
SELECT run_id, path, size FROM artifacts
WHERE run_id IN (:these) AND state = 'mirrored'
ORDER BY run_id, id;

-- name: mirrored
SELECT {artifact_columns}, artifacts.path, artifacts.id FROM {artifacts_of_runs}
WHERE state = 'mirrored' AND (artifacts.path, artifacts.id) > (:path, :id);

-- name: by_path
ORDER BY artifacts.path, artifacts.id LIMIT :limit;

-- name: mirrored_ones
{mirrored}
{by_path};

-- The sum keeps the database from sorting the whole repository for every batch.
-- name: mirrored_of_repository
{mirrored}
AND artifacts.run_id + 0 IN (
  SELECT runs.id FROM {runs_of_repositories}
  WHERE repositories.org = :org AND repositories.repo = :repo
)
{by_path};

-- name: mirrored_of_run
{mirrored}
AND artifacts.run_id IN (
  SELECT runs.id FROM {runs_of_repositories}
  WHERE runs.run = :run AND repositories.org = :org AND repositories.repo = :repo
)
{by_path};

-- name: mirrored_of_runs
{mirrored}
AND artifacts.run_id IN (SELECT runs.id FROM runs WHERE runs.run = :run)
{by_path};

-- name: mirrored_at
{mirrored}
AND artifacts.path >= :place AND artifacts.path < :end
AND (artifacts.path = :place OR artifacts.path >= :below)
{by_path};

-- name: at_path
SELECT {artifact_columns} FROM {artifacts_of_runs}
WHERE artifacts.path = :path
ORDER BY artifacts.id;

-- A word that is before every time stands for never. The index is of these very words.
-- name: verified_when
coalesce(artifacts.verified_at, artifacts.mirrored_at, '');

-- SQLite takes no pair of an expression for the bound of an index.
-- name: verified_between
SELECT {artifact_columns}, {verified_when} AS verified_when, artifacts.id
FROM {artifacts_of_runs}
WHERE
  state = 'mirrored' AND {verified_when} >= :verified AND {verified_when} < :before
  AND ({verified_when}, artifacts.id) > (:verified, :id);

-- name: by_verification
ORDER BY {verified_when}, artifacts.id LIMIT :limit;

-- name: least_verified
{verified_between}
{by_verification};

-- The sum keeps the database from sorting the whole repository for every batch.
-- name: least_verified_of
{verified_between} AND runs.repo_id + 0 IN (:these)
{by_verification};

-- name: least_verified_unread
{verified_between} AND artifacts.reading_since IS NULL
{by_verification};

-- name: broken_off
SELECT {artifact_columns} FROM {artifacts_of_runs}
WHERE state = 'mirrored' AND artifacts.reading_since IS NOT NULL
ORDER BY artifacts.reading_since, artifacts.id LIMIT :limit;

-- name: missing_ones
SELECT {artifact_columns} FROM {artifacts_of_runs}
WHERE {unwell} AND artifacts.lost_since IS NOT NULL AND runs.repo_id + 0 = :repo_id
ORDER BY runs.number DESC, runs.id DESC, artifacts.id;

-- name: missing_at
SELECT {artifact_columns}, artifacts.path, artifacts.id FROM {artifacts_of_runs}
WHERE
  {unwell} AND artifacts.lost_since IS NOT NULL
  AND (artifacts.path, artifacts.id) > (:path, :id)
  AND (artifacts.path = :place OR (artifacts.path >= :below AND artifacts.path < :end))
{by_path};

-- A sum has no index: so the few artifacts are gone through, not each run of the repository.
-- name: unwell_ones
SELECT {artifact_columns} FROM {artifacts_of_runs}
WHERE
  {unwell} AND runs.repo_id + 0 = :repo_id AND runs.settled_for = :selection
  AND runs.kept IS NOT NULL AND {in_time}
ORDER BY runs.number DESC, runs.id DESC, artifacts.id;

-- name: newest_error
SELECT artifacts.message FROM artifacts JOIN runs ON runs.id = artifacts.run_id
WHERE {unwell} AND runs.repo_id = :repo_id
ORDER BY runs.number DESC, runs.id DESC, artifacts.id DESC LIMIT 1;

-- name: being_pruned
SELECT {artifact_columns} FROM {artifacts_of_runs}
WHERE
  artifacts.run_id IN (SELECT id FROM runs WHERE repo_id = :repo_id AND pruning > 0)
  AND artifacts.state = 'pruning'
ORDER BY artifacts.id;

-- name: files_on_record
{known}
WHERE
  run_id = :run_id AND sha256 <> '' AND path IS NOT NULL
  AND state NOT IN ('pruning', 'pruned', 'forgotten');

-- Whether all files of a run are removed that was pruned as a whole.
-- name: is_buried
SELECT count(*) FROM runs
WHERE
  id = :run_id AND pruned_at IS NOT NULL
  AND NOT EXISTS (
    SELECT 1 FROM artifacts WHERE artifacts.run_id = runs.id AND artifacts.state = 'pruning'
  );

-- Those that came last come first: of so many, the first may have no room for another link.
-- SQLite uses the partial indexes only for the words that they were made with.
-- name: same_bytes
SELECT id, path, size FROM artifacts
WHERE sha256 = :sha256 AND sha256 <> '' AND state = 'mirrored' AND path IS NOT NULL
ORDER BY id DESC LIMIT :limit;

-- name: any_share
SELECT 1 AS one FROM artifacts WHERE shares IS NOT NULL LIMIT 1;

-- Of those that share the blocks of one, the last: what came first is what is pruned first.
-- name: heirs
SELECT shares, id, run_id, size FROM artifacts
WHERE id IN (
  SELECT max(id) FROM artifacts
  WHERE shares IS NOT NULL AND shares IN (:these)
  GROUP BY shares
);

-- name: share_blocks
UPDATE artifacts SET shares = :owner WHERE id = :id;

-- name: share_alone
UPDATE artifacts SET shares = NULL WHERE id = :id;

-- name: hand_on_shares
UPDATE artifacts SET shares = :heir WHERE shares IS NOT NULL AND shares = :id;

-- name: whose_blocks
SELECT sha256, coalesce(shares, id) AS owner FROM artifacts
WHERE id = :id AND state = 'mirrored';

-- name: own_blocks
SELECT id, coalesce(shares, id) AS owner FROM artifacts WHERE run_id = :run_id AND digest = :digest;

-- name: sharing_ones
SELECT {artifact_columns} FROM {artifacts_of_runs}
WHERE
  artifacts.id IN (
    SELECT id FROM artifacts WHERE shares IS NOT NULL AND shares = :owner
    UNION ALL SELECT id FROM artifacts WHERE id = :owner AND state = 'mirrored'
  )
  AND artifacts.id <> :id
ORDER BY artifacts.id;

-- name: count_sharers
SELECT shares, count(*) FROM artifacts
WHERE shares IS NOT NULL AND shares IN (:these)
GROUP BY shares;

-- name: sharing_pairs
SELECT sharers.shares, sharers.id, sharers.run_id, sharers.size, owners.run_id AS owner_run
FROM artifacts AS sharers JOIN artifacts AS owners ON owners.id = sharers.shares
WHERE sharers.shares IS NOT NULL AND (sharers.shares, sharers.id) > (:owner, :id)
ORDER BY sharers.shares, sharers.id LIMIT :limit;
