-- What is outstanding, and what has vanished, is counted without a look at every run.

CREATE INDEX ix_runs_outstanding ON runs (repo_id, created_at)
WHERE wanted + pending + failed > 0;

CREATE INDEX ix_runs_missed ON runs (repo_id) WHERE gone + lost > 0;

-- What is not settled is read in the order in which it vanishes.
DROP INDEX ix_runs_settled;

CREATE INDEX ix_runs_settled_created
ON runs (repo_id, settled_for, created_at, number, id, kept);
