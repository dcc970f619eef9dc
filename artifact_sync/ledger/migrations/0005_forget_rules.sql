-- What was let go by its owner, and stays so while upstream lists it: of a repository, a run of it
-- (`run`), or paths of a run (`glob`). Of those that fit an artifact the last one counts.

CREATE TABLE forget_rules (
  id {id} NOT NULL,
  repo_id {ref} NOT NULL,
  run {text} NOT NULL,
  glob {text} NOT NULL,
  forgets BOOLEAN NOT NULL,
  deletes BOOLEAN NOT NULL,
  done BOOLEAN NOT NULL,
  CONSTRAINT pk_forget_rules PRIMARY KEY (id),
  CONSTRAINT fk_forget_rules_repo_id FOREIGN KEY (repo_id) REFERENCES repositories (id)
);

CREATE INDEX ix_forget_rules_repo ON forget_rules (repo_id, id);
