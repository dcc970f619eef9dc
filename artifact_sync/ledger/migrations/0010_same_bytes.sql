-- Files of the same bytes are found, and how many of them share their blocks is counted.
--
-- `shares` is the artifact whose blocks those of a mirrored file are. That one counts for all: where
-- it ceases to be here, another of them does.

ALTER TABLE artifacts ADD COLUMN shares BIGINT;

ALTER TABLE runs ADD COLUMN shared_bytes BIGINT NOT NULL DEFAULT 0;

CREATE INDEX ix_artifacts_sha256 ON artifacts (sha256, id) WHERE sha256 <> '';

-- What is saved is counted without a look at every run.
CREATE INDEX ix_runs_sharing ON runs (repo_id, shared_bytes) WHERE shared_bytes > 0;

CREATE INDEX ix_artifacts_shares ON artifacts (shares, id) WHERE shares IS NOT NULL;
