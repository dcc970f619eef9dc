-- The last failed tries of each artifact: `digest` is the artifact's.
CREATE TABLE tries (
  id {id} NOT NULL,
  run_id {ref} NOT NULL,
  digest {bytes} NOT NULL,
  tried_at VARCHAR(27) NOT NULL,
  reason TEXT NOT NULL,
  message {text} NOT NULL,
  CONSTRAINT pk_tries PRIMARY KEY (id),
  CONSTRAINT fk_tries_run_id FOREIGN KEY (run_id) REFERENCES runs (id) ON DELETE CASCADE
);

CREATE INDEX ix_tries_artifact ON tries (run_id, digest, id);
