-- Three facts of an artifact are kept apart: is it wanted, is it here, is it still upstream.
-- What was told before stays as it was told: nothing is fetched again for it.

ALTER TABLE artifacts ADD COLUMN is_wanted BOOLEAN NOT NULL DEFAULT TRUE;

ALTER TABLE artifacts ADD COLUMN verified_at VARCHAR(27);

ALTER TABLE artifacts ADD COLUMN lost_since VARCHAR(27);

ALTER TABLE artifacts ADD COLUMN upstream VARCHAR(7) NOT NULL DEFAULT 'unknown';

ALTER TABLE artifacts ADD COLUMN gone_since VARCHAR(27);

ALTER TABLE runs ADD COLUMN lost INTEGER NOT NULL DEFAULT 0;

ALTER TABLE runs ADD COLUMN expired INTEGER NOT NULL DEFAULT 0;

ALTER TABLE runs ADD COLUMN forgotten INTEGER NOT NULL DEFAULT 0;

ALTER TABLE runs ADD COLUMN unwanted INTEGER NOT NULL DEFAULT 0;

ALTER TABLE runs ADD COLUMN noted BOOLEAN NOT NULL DEFAULT FALSE;

ALTER TABLE runs ADD COLUMN gone_since VARCHAR(27);

ALTER TABLE repositories ADD COLUMN gone_since VARCHAR(27);

-- What was gone and had been here before is lost. Nobody noted since when: it was by the last pass.
UPDATE runs SET lost = (
  SELECT count(*) FROM artifacts
  WHERE artifacts.run_id = runs.id AND artifacts.state = 'gone' AND artifacts.sha256 <> ''
)
WHERE gone > 0;

UPDATE runs SET gone = gone - lost WHERE lost > 0;

UPDATE artifacts SET upstream = 'gone' WHERE state = 'gone';

UPDATE artifacts
SET state = 'lost', lost_since = (
  SELECT coalesce(repositories.last_pass, artifacts.mirrored_at)
  FROM runs JOIN repositories ON repositories.id = runs.repo_id
  WHERE runs.id = artifacts.run_id
)
WHERE state = 'gone' AND sha256 <> '';

-- What has expired is counted without a look at every run.
CREATE INDEX ix_runs_expired ON runs (repo_id) WHERE expired > 0;

DROP INDEX ix_artifacts_unwell;

CREATE INDEX ix_artifacts_unwell ON artifacts (run_id)
WHERE state IN ('failed', 'gone', 'refused', 'lost');
