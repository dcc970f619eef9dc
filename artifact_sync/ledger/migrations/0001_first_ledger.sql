-- Repositories, runs, artifacts, passes. Each run's row carries counts of its artifacts by state, so
-- that `status` and a pass with nothing new cost a look at runs, never at artifacts.
--
-- {id}, {ref}, {text} and {bytes} are types that the databases spell differently (see drivers).
-- Times are UTC text of fixed width, whose order is time order on every database.

CREATE TABLE meta (
  key VARCHAR(40) NOT NULL,
  value {text} NOT NULL,
  CONSTRAINT pk_meta PRIMARY KEY (key)
);

CREATE TABLE repositories (
  id {id} NOT NULL,
  org {text} NOT NULL,
  repo {text} NOT NULL,
  horizon_high BIGINT,
  horizon_since VARCHAR(27),
  horizon_falling BOOLEAN,
  last_pass VARCHAR(27),
  last_complete VARCHAR(27),
  last_error {text} NOT NULL,
  CONSTRAINT pk_repositories PRIMARY KEY (id),
  CONSTRAINT uq_repositories_org_repo UNIQUE (org, repo)
);

CREATE TABLE passes (
  id {id} NOT NULL,
  repo_id {ref} NOT NULL,
  began VARCHAR(27) NOT NULL,
  ended VARCHAR(27),
  runs BIGINT NOT NULL,
  found BIGINT NOT NULL,
  downloaded BIGINT NOT NULL,
  kept BIGINT NOT NULL,
  failed BIGINT NOT NULL,
  pending BIGINT NOT NULL,
  bytes BIGINT NOT NULL,
  complete BOOLEAN NOT NULL,
  exit_code INTEGER,
  CONSTRAINT pk_passes PRIMARY KEY (id),
  CONSTRAINT fk_passes_repo_id FOREIGN KEY (repo_id) REFERENCES repositories (id)
);

CREATE INDEX ix_passes_repo ON passes (repo_id, id);

CREATE TABLE runs (
  id {id} NOT NULL,
  repo_id {ref} NOT NULL,
  run {text} NOT NULL,
  number BIGINT NOT NULL,
  status {text} NOT NULL,
  event {text} NOT NULL,
  created_at VARCHAR(27),
  finished_at VARCHAR(27),
  fingerprint {text} NOT NULL,
  settled_for {text} NOT NULL,
  kept BIGINT,
  complete BOOLEAN NOT NULL,
  looks INTEGER NOT NULL,
  next_look VARCHAR(27),
  first_seen VARCHAR(27),
  seen_at VARCHAR(27),
  wanted INTEGER NOT NULL,
  pending INTEGER NOT NULL,
  mirrored INTEGER NOT NULL,
  failed INTEGER NOT NULL,
  gone INTEGER NOT NULL,
  refused INTEGER NOT NULL,
  bytes BIGINT NOT NULL,
  last_mirrored VARCHAR(27),
  CONSTRAINT pk_runs PRIMARY KEY (id),
  CONSTRAINT uq_runs_repo_id_run UNIQUE (repo_id, run),
  CONSTRAINT fk_runs_repo_id FOREIGN KEY (repo_id) REFERENCES repositories (id)
);

CREATE INDEX ix_runs_complete ON runs (repo_id, complete, number, id, status);

CREATE INDEX ix_runs_newest ON runs (repo_id, number, id);

-- Covers the count of the settled runs; what is not settled is a few short ranges of it.
CREATE INDEX ix_runs_settled ON runs (repo_id, settled_for, number, id, created_at, kept);

-- `digest` is of workflow, task, cube and local_path: PostgreSQL cannot index texts beyond 2.7 kB.
CREATE TABLE artifacts (
  id {id} NOT NULL,
  run_id {ref} NOT NULL,
  digest {bytes} NOT NULL,
  workflow {text} NOT NULL,
  task {text} NOT NULL,
  cube {text} NOT NULL,
  local_path {text} NOT NULL,
  state VARCHAR(10) NOT NULL,
  path {text},
  size BIGINT,
  sha256 VARCHAR(64) NOT NULL,
  strength VARCHAR(10) NOT NULL,
  evidence TEXT NOT NULL,
  version {text} NOT NULL,
  etag {text} NOT NULL,
  content_encoding {text} NOT NULL,
  attempts INTEGER NOT NULL,
  reason TEXT NOT NULL,
  message {text} NOT NULL,
  first_seen VARCHAR(27),
  mirrored_at VARCHAR(27),
  CONSTRAINT pk_artifacts PRIMARY KEY (id),
  CONSTRAINT uq_artifacts_run_id_digest UNIQUE (run_id, digest),
  CONSTRAINT fk_artifacts_run_id FOREIGN KEY (run_id) REFERENCES runs (id)
);

CREATE INDEX ix_artifacts_path ON artifacts (path, id, run_id);

CREATE INDEX ix_artifacts_unwell ON artifacts (run_id)
WHERE state IN ('failed', 'gone', 'refused');
