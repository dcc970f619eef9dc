-- Artifacts that are being removed from the mirror (`pruning`), and that have been (`pruned`).

ALTER TABLE runs ADD COLUMN pruning INTEGER NOT NULL DEFAULT 0;

ALTER TABLE runs ADD COLUMN pruned INTEGER NOT NULL DEFAULT 0;

-- What a crash has left half done is found without a look at every run.
CREATE INDEX ix_runs_pruning ON runs (repo_id) WHERE pruning > 0;
