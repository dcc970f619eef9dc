-- What is outstanding, and what has vanished, is counted without a look at every run.

CREATE INDEX ix_runs_outstanding ON runs (repo_id, created_at)
WHERE wanted + pending + failed > 0;

CREATE INDEX ix_runs_missed ON runs (repo_id) WHERE gone + lost > 0;
