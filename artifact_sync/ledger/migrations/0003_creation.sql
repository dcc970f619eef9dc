-- A run is its creation, not its number: of which run the files are, as it told itself.

ALTER TABLE runs ADD COLUMN creation_at VARCHAR(27) NOT NULL DEFAULT '';

ALTER TABLE runs ADD COLUMN creation_id {text} NOT NULL DEFAULT '';

UPDATE runs SET creation_at = coalesce(created_at, '');

DROP INDEX ix_runs_complete;

CREATE INDEX ix_runs_complete_created
ON runs (repo_id, complete, creation_at, number, id, status);
