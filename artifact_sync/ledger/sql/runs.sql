-- Runs. `settled_for` is the fingerprint of the selection for which nothing is left to do, or ''.

-- name: run_columns
repositories.org, repositories.repo, runs.run, runs.status, runs.event, runs.created_at,
runs.finished_at, runs.fingerprint, runs.settled_for, runs.first_seen, runs.seen_at,
runs.next_look, runs.looks, runs.complete, runs.creation_at, runs.creation_id, runs.noted,
runs.gone_since, runs.pruned_at;

-- name: runs_of_repositories
runs JOIN repositories ON repositories.id = runs.repo_id;

-- name: in_time
(runs.created_at IS NULL OR (runs.created_at >= :since AND runs.created_at <= :until));

-- name: run_id
SELECT runs.id FROM {runs_of_repositories}
WHERE repositories.org = :org AND repositories.repo = :repo AND runs.run = :run;

-- It fails where the run's row is no more. A number is given to one row only.
-- name: is_run
SELECT 1 / count(*) FROM runs WHERE id = :found AND run = :run;

-- name: run
SELECT {run_columns} FROM {runs_of_repositories}
WHERE repositories.org = :org AND repositories.repo = :repo AND runs.run = :run;

-- name: make_run
INSERT INTO runs (
  repo_id, run, number, status, event, created_at, finished_at, first_seen, seen_at, fingerprint,
  settled_for, complete, looks, wanted, pending, mirrored, failed, gone, refused, bytes,
  creation_at, creation_id
) VALUES (
  :repo_id, :run, :number, :status, :event, :created_at, :finished_at, :first_seen, :seen_at,
  :fingerprint, '', :complete, 0, 0, 0, 0, 0, 0, 0, 0, :creation_at, :creation_id
) ON CONFLICT (repo_id, run) DO NOTHING;

-- name: known_runs
SELECT id, run, fingerprint, status, gone_since, creation_at, creation_id FROM runs
WHERE repo_id = :repo_id AND run IN (:these);

-- name: see_run
UPDATE runs SET seen_at = :seen_at WHERE id = :id;

-- A run that upstream had forgotten is there again.
-- name: return_run
UPDATE runs
SET gone_since = NULL, settled_for = '', kept = NULL, next_look = NULL
WHERE id = :id;

-- name: lose_run
UPDATE runs SET gone_since = coalesce(gone_since, :at) WHERE id = :id;

-- name: set_noted
UPDATE runs SET noted = :noted WHERE id = :id;

-- A file that was put back counts again where its run is settled.
-- name: count_kept
UPDATE runs SET kept = kept + :kept WHERE id = :id AND kept IS NOT NULL;

-- name: set_status
UPDATE runs SET status = :status WHERE id = :id;

-- name: change_run
UPDATE runs
SET
  status = :status, event = :event, created_at = :created_at, finished_at = :finished_at,
  seen_at = :seen_at, fingerprint = :fingerprint, creation_at = :creation_at,
  creation_id = :creation_id, settled_for = '', kept = NULL, looks = 0, next_look = NULL,
  gone_since = NULL
WHERE id = :id;

-- What a listing said of the fingerprint, and when the run was first seen, stays.
-- name: note_run
UPDATE runs
SET
  status = :status, event = :event, created_at = :created_at, finished_at = :finished_at,
  seen_at = :seen_at, fingerprint = coalesce(nullif(fingerprint, ''), :fingerprint),
  first_seen = coalesce(first_seen, :seen_at), creation_at = :creation_at,
  creation_id = :creation_id, gone_since = NULL
WHERE id = :id;

-- name: known_run
SELECT status, creation_at, creation_id, record
FROM runs LEFT JOIN run_records ON run_records.run_id = runs.id
WHERE runs.id = :id;

-- name: forget_run
DELETE FROM runs WHERE id = :id;

-- name: record
SELECT record FROM run_records WHERE run_id = :run_id;

-- name: put_record
INSERT INTO run_records (run_id, record) VALUES (:run_id, :record)
ON CONFLICT (run_id) DO UPDATE SET record = excluded.record;

-- name: forget_record
DELETE FROM run_records WHERE run_id = :run_id;

-- name: begin_anew
UPDATE runs
SET
  complete = FALSE, settled_for = '', kept = NULL, looks = 0, next_look = NULL,
  first_seen = NULL, last_mirrored = NULL, creation_at = '', creation_id = '', noted = FALSE,
  pruned_at = NULL
WHERE id = :id;

-- name: newest_runs
SELECT {run_columns}, runs.number, runs.id FROM {runs_of_repositories}
WHERE runs.repo_id = :repo_id AND (runs.number, runs.id) < (:number, :id)
ORDER BY runs.number DESC, runs.id DESC LIMIT :limit;

-- name: unsettled
SELECT {run_columns}, runs.number, runs.id FROM {runs_of_repositories}
WHERE runs.repo_id = :repo_id AND runs.settled_for = :selection AND {in_time};

-- name: unsettled_there
{unsettled}
AND (runs.created_at, runs.number, runs.id) > (:at, :number, :id)
ORDER BY runs.created_at, runs.number, runs.id LIMIT :limit;

-- name: unsettled_undated
{unsettled}
AND runs.created_at IS NULL AND (runs.number, runs.id) < (:number, :id)
ORDER BY runs.number DESC, runs.id DESC LIMIT :limit;

-- name: unsettled_vanished
{unsettled}
AND (runs.created_at, runs.number, runs.id) < (:at, :number, :id)
ORDER BY runs.created_at DESC, runs.number DESC, runs.id DESC LIMIT :limit;

-- Two steps through the distinct values of settled_for, each one step in an index.
-- name: first_selection
SELECT min(settled_for) AS settled_for FROM runs WHERE repo_id = :repo_id;

-- name: next_selection
SELECT min(settled_for) AS settled_for FROM runs
WHERE repo_id = :repo_id AND settled_for > :selection;

-- name: next_look
SELECT count(*), count(next_look), min(next_look) AS next_look FROM runs
WHERE repo_id = :repo_id AND settled_for = :selection AND {in_time};

-- name: settled_totals
SELECT count(*), coalesce(sum(kept), 0) {settled_runs};

-- name: expired
SELECT coalesce(sum(expired), 0) AS expired {settled_runs} AND expired > 0;

-- What decides a pass whose list is as it was. Each count is answered from an index of its own.
-- name: standing
SELECT
  (SELECT value FROM meta WHERE key = :list_key) AS list_value,
  (SELECT last_pass FROM repositories WHERE id = :repo_id) AS last_pass,
  (SELECT count(*) FROM forget_rules WHERE repo_id = :repo_id) AS rules,
  (SELECT count(*) FROM runs WHERE repo_id = :repo_id AND settled_for < :selection AND {in_time})
  + (SELECT count(*) FROM runs WHERE repo_id = :repo_id AND settled_for > :selection AND {in_time})
  AS unsettled,
  (SELECT count(*) FROM runs WHERE repo_id = :repo_id AND pruning > 0) AS pruning,
  (SELECT count(*) FROM {artifacts_of_runs} WHERE {unextracted}) AS unextracted,
  (SELECT count(*) {settled_runs}) AS runs,
  (SELECT coalesce(sum(kept), 0) {settled_runs}) AS kept,
  (SELECT coalesce(sum(expired), 0) {settled_runs} AND expired > 0) AS expired,
  (SELECT coalesce(sum(gone), 0) {missed_runs}) AS gone,
  (SELECT coalesce(sum(lost), 0) {missed_runs}) AS lost,
  (SELECT coalesce(sum(wanted), 0) {outstanding_runs}) AS wanted,
  (SELECT coalesce(sum(pending), 0) {outstanding_runs}) AS pending,
  (SELECT coalesce(sum(failed), 0) {outstanding_runs}) AS failed;

-- name: settled_runs
FROM runs
WHERE repo_id = :repo_id AND settled_for = :selection AND kept IS NOT NULL AND {in_time};

-- name: missed_runs
FROM runs WHERE repo_id = :repo_id AND gone + lost > 0;

-- name: outstanding_runs
FROM runs WHERE repo_id = :repo_id AND wanted + pending + failed > 0;

-- name: settle
UPDATE runs SET settled_for = :selection, kept = :kept, next_look = NULL WHERE id = :id;

-- name: look_again
UPDATE runs
SET settled_for = '', kept = NULL, looks = looks + 1, next_look = :next_look
WHERE id = :id;

-- name: unsettle
UPDATE runs SET settled_for = '', kept = NULL, next_look = NULL WHERE id = :id;

-- name: unsettle_named
UPDATE runs SET settled_for = '', kept = NULL, next_look = NULL
WHERE repo_id = :repo_id AND run = :run;

-- name: unsettle_left_out
UPDATE runs SET settled_for = '', kept = NULL, next_look = NULL
WHERE repo_id = :repo_id AND (forgotten > 0 OR kept IS NULL);

-- name: recount
UPDATE runs
SET kept = (
  SELECT count(*) FROM artifacts
  WHERE artifacts.run_id = runs.id AND artifacts.state = 'mirrored' AND artifacts.is_wanted = TRUE
)
WHERE id = :id AND kept IS NOT NULL;

-- name: look_now
UPDATE runs SET next_look = NULL WHERE id = :id AND settled_for = '';

-- name: set_complete
UPDATE runs SET complete = :complete WHERE id = :id;

-- name: newest_complete
SELECT run FROM runs WHERE repo_id = :repo_id AND complete = TRUE
ORDER BY creation_at DESC, number DESC, id DESC LIMIT 1;

-- name: newest_success
SELECT run FROM runs WHERE repo_id = :repo_id AND complete = TRUE AND status = 'success'
ORDER BY creation_at DESC, number DESC, id DESC LIMIT 1;

-- What artifacts have changed in the counts of their run.
-- name: count
UPDATE runs
SET
  wanted = wanted + :wanted, pending = pending + :pending, mirrored = mirrored + :mirrored,
  failed = failed + :failed, gone = gone + :gone, refused = refused + :refused,
  lost = lost + :lost, expired = expired + :expired, forgotten = forgotten + :forgotten,
  unwanted = unwanted + :unwanted, pruning = pruning + :pruning, pruned = pruned + :pruned,
  bytes = bytes + :bytes, shared_bytes = shared_bytes + :shared_bytes,
  last_mirrored = coalesce(:last_mirrored, last_mirrored),
  oldest_verified = CASE
    WHEN oldest_verified IS NULL OR oldest_verified > :verified
    THEN coalesce(:verified, oldest_verified) ELSE oldest_verified
  END
WHERE id = :id;

-- name: find_oldest_verified
UPDATE runs SET oldest_verified = (
  SELECT min(coalesce(artifacts.verified_at, artifacts.mirrored_at)) FROM artifacts
  WHERE artifacts.run_id = runs.id AND artifacts.state = 'mirrored'
)
WHERE id = :id;

-- name: kept_run_columns
runs.run, runs.number, coalesce(nullif(runs.creation_at, ''), runs.created_at) AS created_at,
runs.status, runs.bytes,
CASE WHEN runs.gone_since IS NULL THEN runs.wanted + runs.pending ELSE 0 END;

-- name: kept_runs
SELECT {kept_run_columns}, CASE WHEN pins.run_id IS NULL THEN 0 ELSE 1 END
FROM runs LEFT JOIN pins ON pins.run_id = runs.id
WHERE runs.repo_id = :repo_id AND runs.mirrored + runs.lost > 0;

-- name: kept_runs_without_pins
SELECT {kept_run_columns}, 0 FROM runs
WHERE runs.repo_id = :repo_id AND runs.mirrored + runs.lost > 0;

-- name: all_bytes
SELECT sum(bytes) AS bytes FROM runs;

-- name: bytes_of_repository
SELECT sum(bytes) AS bytes FROM runs WHERE repo_id = :repo_id;

-- A run of which all is forgotten and no file is here. Where one stands, its hash is needed.
-- name: is_removed
runs.forgotten > 0
AND runs.wanted + runs.pending + runs.mirrored + runs.failed + runs.gone + runs.refused + runs.lost
+ runs.expired + runs.unwanted + runs.pruning + runs.pruned = 0
AND NOT EXISTS (
  SELECT 1 FROM artifacts
  WHERE artifacts.run_id = runs.id AND artifacts.sha256 <> '' AND artifacts.path IS NOT NULL
  AND artifacts.lost_since IS NULL
);

-- name: removed_runs
SELECT run FROM runs WHERE repo_id = :repo_id AND {is_removed} ORDER BY id;

-- name: removed_run
SELECT id FROM runs WHERE repo_id = :repo_id AND run = :run AND {is_removed};

-- name: count_nothing
UPDATE runs SET kept = NULL WHERE id = :id;

-- name: prune_run
UPDATE runs SET pruned_at = :at, kept = NULL WHERE id = :id;

-- name: pin
INSERT INTO pins (run_id, reason, pinned_at) VALUES (:run_id, :reason, :pinned_at)
ON CONFLICT (run_id) DO UPDATE SET reason = excluded.reason, pinned_at = excluded.pinned_at;

-- name: unpin
DELETE FROM pins WHERE run_id = :run_id;

-- name: pinned
SELECT reason, pinned_at FROM pins WHERE run_id = :run_id;

-- name: unsettle_complete
UPDATE runs SET settled_for = '', kept = NULL, next_look = NULL WHERE id = :id AND complete = TRUE;

-- name: unprune
UPDATE runs SET pruned_at = NULL, settled_for = '', kept = NULL, next_look = NULL
WHERE repo_id = :repo_id AND run = :run AND pruned_at IS NOT NULL;

-- name: unprune_all
UPDATE runs SET pruned_at = NULL, settled_for = '', kept = NULL, next_look = NULL
WHERE repo_id = :repo_id AND pruned_at IS NOT NULL;

-- name: pins
SELECT repositories.org, repositories.repo, runs.run, pins.reason, pins.pinned_at
FROM pins
JOIN runs ON runs.id = pins.run_id
JOIN repositories ON repositories.id = runs.repo_id
ORDER BY repositories.org, repositories.repo, runs.number DESC, runs.id DESC;

-- name: unlisted_run
SELECT run FROM runs
WHERE
  repo_id = :repo_id AND seen_at >= :since AND seen_at < :at AND gone_since IS NULL
  AND number >= (SELECT min(number) FROM runs WHERE repo_id = :repo_id AND seen_at = :at)
ORDER BY number DESC LIMIT 1;

-- name: numbers_of_runs
SELECT run, id FROM runs WHERE repo_id = :repo_id;
