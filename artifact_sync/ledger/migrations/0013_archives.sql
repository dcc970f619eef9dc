-- What kind of archive a file is, and what has become of unpacking it. Nothing: nobody has looked.
-- `extracted_of` is the SHA-256 of the archive that this is about.

ALTER TABLE artifacts ADD COLUMN archive VARCHAR(20) NOT NULL DEFAULT '';

ALTER TABLE artifacts ADD COLUMN extraction VARCHAR(20) NOT NULL DEFAULT '';

ALTER TABLE artifacts ADD COLUMN extracted_of VARCHAR(64) NOT NULL DEFAULT '';

ALTER TABLE artifacts ADD COLUMN extracted_by VARCHAR(80) NOT NULL DEFAULT '';

ALTER TABLE artifacts ADD COLUMN extracted_files INTEGER NOT NULL DEFAULT 0;

ALTER TABLE artifacts ADD COLUMN extracted_bytes BIGINT NOT NULL DEFAULT 0;

ALTER TABLE artifacts ADD COLUMN extraction_reason VARCHAR(20) NOT NULL DEFAULT '';

ALTER TABLE artifacts ADD COLUMN extraction_error VARCHAR(2000) NOT NULL DEFAULT '';

CREATE INDEX ix_artifacts_unextracted ON artifacts (run_id)
WHERE extraction IN ('publishing', 'refused', 'failed');

CREATE TABLE unpacked (
  run_id {ref} NOT NULL,
  digest {bytes} NOT NULL,
  entry {text} NOT NULL,
  size BIGINT NOT NULL,
  sha256 VARCHAR(64) NOT NULL,
  target {text},
  CONSTRAINT pk_unpacked PRIMARY KEY (run_id, digest, entry),
  CONSTRAINT fk_unpacked_run_id FOREIGN KEY (run_id) REFERENCES runs (id) ON DELETE CASCADE
);

-- What workflows and paths take is summed up without a look at every artifact. What was unpacked of an
-- archive counts with it.
CREATE INDEX ix_artifacts_workflow ON artifacts (workflow, run_id, size, extracted_bytes)
WHERE state = 'mirrored';

CREATE INDEX ix_artifacts_local_path ON artifacts (local_path, run_id, size, extracted_bytes)
WHERE state = 'mirrored';
