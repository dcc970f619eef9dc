-- What the mirrored files take: sums over the rows of runs, or over indexes that hold nothing else.

-- name: used_by_repositories
SELECT org, repo, bytes, files, runs, id FROM (
  SELECT
    repositories.org, repositories.repo, repositories.id, sum(runs.bytes) AS bytes,
    sum(runs.mirrored) AS files, count(*) AS runs
  FROM {runs_of_repositories}
  WHERE runs.repo_id IN (:these) AND runs.mirrored > 0
  GROUP BY repositories.org, repositories.repo, repositories.id
) AS parts
{used_below};

-- name: used_by_runs
SELECT org, repo, run, bytes, files, 1 AS runs, id FROM (
  SELECT
    repositories.org, repositories.repo, runs.run, runs.id, runs.bytes, runs.mirrored AS files
  FROM {runs_of_repositories}
  WHERE runs.repo_id IN (:these) AND runs.mirrored > 0
) AS parts
{used_below};

-- name: used_below
WHERE (bytes, id) < (:bytes, :id)
ORDER BY bytes DESC, id DESC LIMIT :limit;

-- An index holds all that these need, in their order.
-- name: used_by_workflows
SELECT workflow, bytes, files, runs FROM (
  SELECT workflow, {sums} FROM artifacts WHERE state = 'mirrored' GROUP BY workflow
) AS parts
{used_below_workflow};

-- name: used_by_workflows_of
SELECT workflow, bytes, files, runs FROM (
  SELECT workflow, {sums} FROM artifacts WHERE state = 'mirrored' AND {of_these} GROUP BY workflow
) AS parts
{used_below_workflow};

-- name: used_by_paths
SELECT local_path, bytes, files, runs FROM (
  SELECT local_path, {sums} FROM artifacts WHERE state = 'mirrored' GROUP BY local_path
) AS parts
{used_below_path};

-- name: used_by_paths_of
SELECT local_path, bytes, files, runs FROM (
  SELECT local_path, {sums} FROM artifacts
  WHERE state = 'mirrored' AND {of_these} GROUP BY local_path
) AS parts
{used_below_path};

-- name: sums
sum(size + extracted_bytes) AS bytes, count(*) AS files, count(DISTINCT run_id) AS runs;

-- The sum keeps the database from going through the runs one by one.
-- name: of_these
run_id + 0 IN (SELECT id FROM runs WHERE repo_id IN (:these));

-- name: used_below_workflow
WHERE (bytes, workflow) < (:bytes, :workflow)
ORDER BY bytes DESC, workflow DESC LIMIT :limit;

-- name: used_below_path
WHERE (bytes, local_path) < (:bytes, :local_path)
ORDER BY bytes DESC, local_path DESC LIMIT :limit;

-- name: shared_bytes
SELECT sum(shared_bytes) AS bytes FROM runs WHERE repo_id IN (:these);
