-- A run that was pruned is a tombstone: nothing of it is known but that, and none of it is fetched.
-- What is pinned is never pruned.

ALTER TABLE runs ADD COLUMN pruned_at VARCHAR(27);

CREATE TABLE pins (
  run_id {ref} NOT NULL,
  reason {text} NOT NULL,
  pinned_at VARCHAR(27) NOT NULL,
  CONSTRAINT pk_pins PRIMARY KEY (run_id),
  CONSTRAINT fk_pins_run_id FOREIGN KEY (run_id) REFERENCES runs (id) ON DELETE CASCADE
);
