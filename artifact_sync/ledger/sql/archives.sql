-- What was unpacked of archives. The facts of an extraction stand in its artifact's row.

-- name: set_archive
UPDATE artifacts SET archive = :archive WHERE id = :id;

-- name: set_extraction
UPDATE artifacts
SET
  extraction = :extraction, extracted_of = :extracted_of, extracted_by = :extracted_by,
  extracted_files = :extracted_files, extracted_bytes = 0,
  extraction_reason = :extraction_reason, extraction_error = :extraction_error
WHERE id = :id;

-- name: clear_extraction
UPDATE artifacts
SET
  extraction = '', extracted_of = '', extracted_by = '', extracted_files = 0,
  extracted_bytes = 0, extraction_reason = '', extraction_error = ''
WHERE id = :id;

-- name: set_here
UPDATE artifacts SET extraction = 'here', extracted_bytes = :bytes WHERE id = :id;

-- name: known_extraction
SELECT id, state, extraction, extracted_bytes FROM artifacts
WHERE run_id = :run_id AND digest = :digest;

-- name: unpacked_bytes
SELECT count(*), coalesce(sum(size), 0) FROM unpacked WHERE run_id = :run_id AND digest = :digest;

-- name: put_unpacked
INSERT INTO unpacked (run_id, digest, entry, size, sha256, target)
VALUES (:run_id, :digest, :entry, :size, :sha256, :target);

-- name: unpacked
SELECT entry, size, sha256, target FROM unpacked
WHERE run_id = :run_id AND digest = :digest
ORDER BY entry;


-- name: forget_unpacked
DELETE FROM unpacked WHERE run_id = :run_id AND digest = :digest;

-- name: forget_unpacked_of_run
DELETE FROM unpacked WHERE run_id = :run_id;

-- SQLite uses the partial index only for the words that the index was made with.
-- name: unextracted
artifacts.extraction IN ('publishing', 'refused', 'failed')
AND artifacts.state IN ('mirrored', 'lost', 'wanted') AND runs.repo_id + 0 = :repo_id;

-- name: unfinished_extractions
SELECT {artifact_columns} FROM {artifacts_of_runs}
WHERE {unextracted}
ORDER BY runs.number DESC, runs.id DESC, artifacts.id;
