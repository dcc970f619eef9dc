-- What was verified longest ago is read again first. `reading_since`: a reading of a large file has
-- begun, and was broken off unless it is under way; the others have their turn before it.

ALTER TABLE artifacts ADD COLUMN reading_since VARCHAR(27);

CREATE INDEX ix_artifacts_verified ON artifacts (coalesce(verified_at, mirrored_at, ''), id)
WHERE state = 'mirrored';

CREATE INDEX ix_artifacts_reading ON artifacts (reading_since, id)
WHERE reading_since IS NOT NULL;

-- When what is mirrored of a run was verified longest ago.
ALTER TABLE runs ADD COLUMN oldest_verified VARCHAR(27);

CREATE INDEX ix_runs_verified ON runs (repo_id, oldest_verified)
WHERE oldest_verified IS NOT NULL;

UPDATE runs SET oldest_verified = (
  SELECT min(coalesce(artifacts.verified_at, artifacts.mirrored_at)) FROM artifacts
  WHERE artifacts.run_id = runs.id AND artifacts.state = 'mirrored'
)
WHERE mirrored > 0;
