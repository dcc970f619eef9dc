-- What was unpacked of an archive counts with it.

DROP INDEX ix_artifacts_workflow;

CREATE INDEX ix_artifacts_workflow ON artifacts (workflow, run_id, size, extracted_bytes)
WHERE state = 'mirrored';

DROP INDEX ix_artifacts_local_path;

CREATE INDEX ix_artifacts_local_path ON artifacts (local_path, run_id, size, extracted_bytes)
WHERE state = 'mirrored';
