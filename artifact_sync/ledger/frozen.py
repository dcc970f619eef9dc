"""The ledger's statements as SQLite is told them. Made by ``freeze``."""

from __future__ import annotations

from artifact_sync.ledger.statement import Statement

META = Statement(
    "META",
    'SELECT meta.value FROM meta WHERE meta."key" = ?',
    "named",
    ":text",
)
PUT_META = Statement(
    "PUT_META",
    'INSERT INTO meta ("key", value) VALUES (?, ?)',
    "key value:text",
    "",
)
DROP_META = Statement(
    "DROP_META",
    'DELETE FROM meta WHERE meta."key" = ?',
    "named",
    "",
)
REPO = Statement(
    "REPO",
    (
        "SELECT repositories.id FROM repositories WHERE repositories.org = ? AND "
        "repositories.repo = ?"
    ),
    "of_org:text of_repo:text",
    "-",
)
MAKE_REPO = Statement(
    "MAKE_REPO",
    "INSERT INTO repositories (org, repo, last_error) VALUES (?, ?, ?)",
    "org:text repo:text last_error:text",
    "",
)
ALL_REPOS = Statement(
    "ALL_REPOS",
    "SELECT repositories.org, repositories.repo FROM repositories",
    "",
    ":text :text",
)
HORIZON = Statement(
    "HORIZON",
    (
        "SELECT repositories.horizon_high, repositories.horizon_since, "
        "repositories.horizon_falling FROM repositories WHERE repositories.org = ? AND "
        "repositories.repo = ?"
    ),
    "of_org:text of_repo:text",
    "- :moment :flag",
)
RAISE_HORIZON = Statement(
    "RAISE_HORIZON",
    (
        "UPDATE repositories SET horizon_high=?, horizon_since=?, horizon_falling=? WHERE "
        "repositories.id = ?"
    ),
    "horizon_high horizon_since:moment horizon_falling:flag this",
    "",
)
END_REPO = Statement(
    "END_REPO",
    "UPDATE repositories SET last_pass=?, last_error=? WHERE repositories.id = ?",
    "last_pass:moment last_error:text this",
    "",
)
END_COMPLETE_REPO = Statement(
    "END_COMPLETE_REPO",
    (
        "UPDATE repositories SET last_pass=?, last_complete=?, last_error=? WHERE "
        "repositories.id = ?"
    ),
    "last_pass:moment last_complete:moment last_error:text this",
    "",
)
RUN_ID = Statement(
    "RUN_ID",
    (
        "SELECT runs.id FROM runs JOIN repositories ON repositories.id = runs.repo_id WHERE "
        "repositories.org = ? AND repositories.repo = ? AND runs.run = ?"
    ),
    "of_org:text of_repo:text of_run:text",
    "-",
)
MAKE_RUN = Statement(
    "MAKE_RUN",
    (
        "INSERT INTO runs (repo_id, run, number, status, event, created_at, finished_at, "
        "fingerprint, settled_for, complete, looks, first_seen, seen_at, wanted, pending, "
        "mirrored, failed, gone, refused, bytes) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, "
        "?, ?, ?, ?, ?, ?, ?, ?)"
    ),
    (
        "repo_id run:text number status:text event:text created_at:moment finished_at:moment "
        "fingerprint:text settled_for:text complete:flag looks first_seen:moment "
        "seen_at:moment wanted pending mirrored failed gone refused bytes"
    ),
    "",
)
RUN = Statement(
    "RUN",
    (
        "SELECT repositories.org, repositories.repo, runs.run, runs.status, runs.event, "
        "runs.created_at, runs.finished_at, runs.fingerprint, runs.settled_for, "
        "runs.first_seen, runs.seen_at, runs.next_look, runs.looks, runs.complete FROM runs "
        "JOIN repositories ON repositories.id = runs.repo_id WHERE repositories.org = ? AND "
        "repositories.repo = ? AND runs.run = ?"
    ),
    "of_org:text of_repo:text of_run:text",
    (":text :text :text :text :text :moment :moment :text :text :moment :moment :moment - :flag"),
)
KNOWN_RUNS = Statement(
    "KNOWN_RUNS",
    (
        "SELECT runs.id, runs.run, runs.fingerprint, runs.status FROM runs WHERE runs.repo_id"
        " = ? AND runs.run IN ({these})"
    ),
    "repo_id these:text",
    "- :text :text :text",
)
SEE_RUN = Statement(
    "SEE_RUN",
    "UPDATE runs SET seen_at=? WHERE runs.id = ?",
    "seen_at:moment this",
    "",
)
SAY_STATUS = Statement(
    "SAY_STATUS",
    "UPDATE runs SET status=? WHERE runs.id = ?",
    "status:text this",
    "",
)
CHANGE_RUN = Statement(
    "CHANGE_RUN",
    (
        "UPDATE runs SET status=?, event=?, created_at=?, finished_at=?, fingerprint=?, "
        "settled_for='', kept=NULL, looks=0, next_look=NULL, seen_at=? WHERE runs.id = ?"
    ),
    (
        "status:text event:text created_at:moment finished_at:moment fingerprint:text "
        "seen_at:moment this"
    ),
    "",
)
NOTE_RUN = Statement(
    "NOTE_RUN",
    (
        "UPDATE runs SET status=?, event=?, created_at=?, finished_at=?, "
        "fingerprint=coalesce(nullif(runs.fingerprint, ''), ?), "
        "first_seen=coalesce(runs.first_seen, ?), seen_at=? WHERE runs.id = ?"
    ),
    (
        "status:text event:text created_at:moment finished_at:moment told:text at:moment "
        "seen_at:moment this"
    ),
    "",
)
STATUS = Statement(
    "STATUS",
    "SELECT runs.status FROM runs WHERE runs.id = ?",
    "this",
    ":text",
)
UNSETTLED = Statement(
    "UNSETTLED",
    (
        "SELECT repositories.org, repositories.repo, runs.run, runs.status, runs.event, "
        "runs.created_at, runs.finished_at, runs.fingerprint, runs.settled_for, "
        "runs.first_seen, runs.seen_at, runs.next_look, runs.looks, runs.complete, "
        "runs.number, runs.id FROM runs JOIN repositories ON repositories.id = runs.repo_id "
        "WHERE runs.repo_id = ? AND runs.settled_for = ? AND (runs.number, runs.id) < (?, ?) "
        "AND (runs.created_at IS NULL OR runs.created_at >= ?) ORDER BY runs.number DESC, "
        "runs.id DESC LIMIT 200"
    ),
    "repo_id selection:text number id since:moment",
    (
        ":text :text :text :text :text :moment :moment :text :text :moment :moment :moment - "
        ":flag - -"
    ),
)
FIRST_SELECTION = Statement(
    "FIRST_SELECTION",
    "SELECT min(runs.settled_for) AS min_1 FROM runs WHERE runs.repo_id = ?",
    "repo_id",
    ":text",
)
NEXT_SELECTION = Statement(
    "NEXT_SELECTION",
    (
        "SELECT min(runs.settled_for) AS min_1 FROM runs WHERE runs.repo_id = ? AND "
        "runs.settled_for > ?"
    ),
    "repo_id selection:text",
    ":text",
)
NEXT_LOOK = Statement(
    "NEXT_LOOK",
    (
        "SELECT count(*) AS count_1, count(runs.next_look) AS count_2, min(runs.next_look) AS"
        " min_1 FROM runs WHERE runs.repo_id = ? AND runs.settled_for = ? AND "
        "(runs.created_at IS NULL OR runs.created_at >= ?)"
    ),
    "repo_id selection:text since:moment",
    "- - :moment",
)
SETTLE = Statement(
    "SETTLE",
    "UPDATE runs SET settled_for=?, kept=?, next_look=NULL WHERE runs.id = ?",
    "settled_for:text kept this",
    "",
)
LOOK_AGAIN = Statement(
    "LOOK_AGAIN",
    (
        "UPDATE runs SET settled_for='', kept=NULL, looks=(runs.looks + 1), next_look=? WHERE"
        " runs.id = ?"
    ),
    "next_look:moment this",
    "",
)
UNSETTLE = Statement(
    "UNSETTLE",
    "UPDATE runs SET settled_for='', kept=NULL, next_look=NULL WHERE runs.id = ?",
    "this",
    "",
)
MARK_COMPLETE = Statement(
    "MARK_COMPLETE",
    "UPDATE runs SET complete=? WHERE runs.id = ?",
    "complete:flag this",
    "",
)
NEWEST_COMPLETE = Statement(
    "NEWEST_COMPLETE",
    (
        "SELECT runs.run FROM runs WHERE runs.repo_id = ? AND runs.complete IS 1 ORDER BY "
        "runs.number DESC, runs.id DESC LIMIT 1"
    ),
    "repo_id",
    ":text",
)
NEWEST_SUCCESS = Statement(
    "NEWEST_SUCCESS",
    (
        "SELECT runs.run FROM runs WHERE runs.repo_id = ? AND runs.complete IS 1 AND "
        "runs.status = 'success' ORDER BY runs.number DESC, runs.id DESC LIMIT 1"
    ),
    "repo_id",
    ":text",
)
ADD = Statement(
    "ADD",
    (
        "UPDATE runs SET wanted=(runs.wanted + ?), pending=(runs.pending + ?), "
        "mirrored=(runs.mirrored + ?), failed=(runs.failed + ?), gone=(runs.gone + ?), "
        "refused=(runs.refused + ?), bytes=(runs.bytes + ?), last_mirrored=coalesce(?, "
        "runs.last_mirrored) WHERE runs.id = ?"
    ),
    ("by_wanted by_pending by_mirrored by_failed by_gone by_refused by_bytes at_last:moment this"),
    "",
)
SETTLED_TOTALS = Statement(
    "SETTLED_TOTALS",
    (
        "SELECT count(*) AS count_1, coalesce(sum(runs.kept), 0) AS coalesce_1 FROM runs "
        "WHERE runs.repo_id = ? AND runs.settled_for = ? AND runs.kept IS NOT NULL AND "
        "(runs.created_at IS NULL OR runs.created_at >= ?)"
    ),
    "repo_id selection:text since:moment",
    "- -",
)
ALL_TOTALS = Statement(
    "ALL_TOTALS",
    (
        "SELECT repositories.id, repositories.org, repositories.repo, repositories.last_pass,"
        " repositories.last_complete, repositories.last_error, (SELECT runs_1.run FROM runs "
        "AS runs_1 WHERE runs_1.repo_id = repositories.id ORDER BY runs_1.number DESC, "
        "runs_1.id DESC LIMIT 1) AS anon_1, count(runs.id) AS count_1, sum(CASE WHEN "
        "(runs.settled_for != '') THEN 1 ELSE 0 END) AS sum_1, sum(runs.bytes) AS sum_2, "
        "max(runs.last_mirrored) AS max_1, sum(runs.wanted) AS sum_3, sum(runs.pending) AS "
        "sum_4, sum(runs.mirrored) AS sum_5, sum(runs.failed) AS sum_6, sum(runs.gone) AS "
        "sum_7, sum(runs.refused) AS sum_8 FROM repositories LEFT OUTER JOIN runs ON "
        "repositories.id = runs.repo_id GROUP BY repositories.id"
    ),
    "",
    "- :text :text :moment :moment :text :text - - - :moment - - - - - -",
)
TOTALS = Statement(
    "TOTALS",
    (
        "SELECT repositories.id, repositories.org, repositories.repo, repositories.last_pass,"
        " repositories.last_complete, repositories.last_error, (SELECT runs_1.run FROM runs "
        "AS runs_1 WHERE runs_1.repo_id = repositories.id ORDER BY runs_1.number DESC, "
        "runs_1.id DESC LIMIT 1) AS anon_1, count(runs.id) AS count_1, sum(CASE WHEN "
        "(runs.settled_for != '') THEN 1 ELSE 0 END) AS sum_1, sum(runs.bytes) AS sum_2, "
        "max(runs.last_mirrored) AS max_1, sum(runs.wanted) AS sum_3, sum(runs.pending) AS "
        "sum_4, sum(runs.mirrored) AS sum_5, sum(runs.failed) AS sum_6, sum(runs.gone) AS "
        "sum_7, sum(runs.refused) AS sum_8 FROM repositories LEFT OUTER JOIN runs ON "
        "repositories.id = runs.repo_id WHERE repositories.org = ? AND repositories.repo = ? "
        "GROUP BY repositories.id"
    ),
    "of_org:text of_repo:text",
    "- :text :text :moment :moment :text :text - - - :moment - - - - - -",
)
BEGIN_PASS = Statement(
    "BEGIN_PASS",
    (
        "INSERT INTO passes (repo_id, began, runs, found, downloaded, kept, failed, pending, "
        "bytes, complete) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    ),
    "repo_id began:moment runs found downloaded kept failed pending bytes complete:flag",
    "",
)
END_PASS = Statement(
    "END_PASS",
    (
        "UPDATE passes SET ended=?, runs=?, found=?, downloaded=?, kept=?, failed=?, "
        "pending=?, bytes=?, complete=?, exit_code=? WHERE passes.id = ?"
    ),
    ("ended:moment runs found downloaded kept failed pending bytes complete:flag exit_code this"),
    "",
)
REPO_OF_PASS = Statement(
    "REPO_OF_PASS",
    "SELECT passes.repo_id FROM passes WHERE passes.id = ?",
    "this",
    "-",
)
OLD_PASS = Statement(
    "OLD_PASS",
    (
        "SELECT passes.id FROM passes WHERE passes.repo_id = ? ORDER BY passes.id DESC LIMIT "
        "1 OFFSET 1000"
    ),
    "repo_id",
    "-",
)
FORGET_PASSES = Statement(
    "FORGET_PASSES",
    "DELETE FROM passes WHERE passes.repo_id = ? AND passes.id <= ?",
    "repo_id last",
    "",
)
KNOWN_ARTIFACTS = Statement(
    "KNOWN_ARTIFACTS",
    (
        "SELECT artifacts.id, artifacts.digest, artifacts.state, artifacts.size FROM "
        "artifacts WHERE artifacts.run_id = ? AND artifacts.digest IN ({these})"
    ),
    "run_id these",
    "- - - -",
)
MAKE_ARTIFACT = Statement(
    "MAKE_ARTIFACT",
    (
        "INSERT INTO artifacts (run_id, digest, workflow, task, cube, local_path, state, "
        "path, size, sha256, strength, evidence, version, etag, content_encoding, attempts, "
        "reason, message, first_seen, mirrored_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, "
        "?, ?, ?, ?, ?, ?, ?, ?, ?)"
    ),
    (
        "run_id digest workflow:text task:text cube:text local_path:text state path:text size"
        " sha256 strength evidence:names version:text etag:text content_encoding:text "
        "attempts reason message:text first_seen:moment mirrored_at:moment"
    ),
    "",
)
MIRRORED = Statement(
    "MIRRORED",
    (
        "UPDATE artifacts SET state=?, path=?, size=?, sha256=?, strength=?, evidence=?, "
        "version=?, etag=?, content_encoding=?, attempts=?, reason=?, message=?, "
        "mirrored_at=? WHERE artifacts.id = ?"
    ),
    (
        "state path:text size sha256 strength evidence:names version:text etag:text "
        "content_encoding:text attempts reason message:text mirrored_at:moment this"
    ),
    "",
)
SAY_STATE = Statement(
    "SAY_STATE",
    "UPDATE artifacts SET state=?, version=? WHERE artifacts.id = ?",
    "state version:text this",
    "",
)
SAY_FAILURE = Statement(
    "SAY_FAILURE",
    "UPDATE artifacts SET state=?, reason=?, message=? WHERE artifacts.id = ?",
    "state reason message:text this",
    "",
)
COUNT_ATTEMPT = Statement(
    "COUNT_ATTEMPT",
    (
        "UPDATE artifacts SET attempts=(artifacts.attempts + 1) WHERE artifacts.run_id = ? "
        "AND artifacts.digest = ?"
    ),
    "this of_digest",
    "",
)
FORGET = Statement(
    "FORGET",
    "DELETE FROM artifacts WHERE artifacts.id = ?",
    "this",
    "",
)
OF_RUN = Statement(
    "OF_RUN",
    (
        "SELECT repositories.org, repositories.repo, runs.run, artifacts.workflow, "
        "artifacts.task, artifacts.cube, artifacts.local_path, artifacts.state, "
        "artifacts.path, artifacts.size, artifacts.sha256, artifacts.strength, "
        "artifacts.evidence, artifacts.version, artifacts.etag, artifacts.content_encoding, "
        "artifacts.attempts, artifacts.first_seen, artifacts.mirrored_at, artifacts.reason, "
        "artifacts.message FROM artifacts JOIN runs ON runs.id = artifacts.run_id JOIN "
        "repositories ON repositories.id = runs.repo_id WHERE artifacts.run_id = ? ORDER BY "
        "artifacts.id"
    ),
    "run_id",
    (
        ":text :text :text :text :text :text :text - :text - - - :names :text :text :text - "
        ":moment :moment - :text"
    ),
)
OF_RUNS = Statement(
    "OF_RUNS",
    (
        "SELECT repositories.org, repositories.repo, runs.run, artifacts.workflow, "
        "artifacts.task, artifacts.cube, artifacts.local_path, artifacts.state, "
        "artifacts.path, artifacts.size, artifacts.sha256, artifacts.strength, "
        "artifacts.evidence, artifacts.version, artifacts.etag, artifacts.content_encoding, "
        "artifacts.attempts, artifacts.first_seen, artifacts.mirrored_at, artifacts.reason, "
        "artifacts.message, artifacts.run_id, artifacts.id FROM artifacts JOIN runs ON "
        "runs.id = artifacts.run_id JOIN repositories ON repositories.id = runs.repo_id WHERE"
        " artifacts.run_id IN ({these})"
    ),
    "these",
    (
        ":text :text :text :text :text :text :text - :text - - - :names :text :text :text - "
        ":moment :moment - :text - -"
    ),
)
HOLDING_RUNS = Statement(
    "HOLDING_RUNS",
    (
        "SELECT runs.number, runs.id, runs.wanted + runs.pending + runs.mirrored + "
        "runs.failed + runs.gone + runs.refused AS anon_1 FROM runs WHERE runs.repo_id = ? "
        "AND 0 < runs.wanted + runs.pending + runs.mirrored + runs.failed + runs.gone + "
        "runs.refused AND (runs.number, runs.id) < (?, ?) ORDER BY runs.number DESC, runs.id "
        "DESC LIMIT 500"
    ),
    "repo_id number id",
    "- - -",
)
HOLDING_RUN = Statement(
    "HOLDING_RUN",
    (
        "SELECT runs.number, runs.id, runs.wanted + runs.pending + runs.mirrored + "
        "runs.failed + runs.gone + runs.refused AS anon_1 FROM runs WHERE runs.repo_id = ? "
        "AND 0 < runs.wanted + runs.pending + runs.mirrored + runs.failed + runs.gone + "
        "runs.refused AND runs.run = ? AND (runs.number, runs.id) < (?, ?) ORDER BY "
        "runs.number DESC, runs.id DESC LIMIT 500"
    ),
    "repo_id of_run:text number id",
    "- - -",
)
RECENT_RUNS = Statement(
    "RECENT_RUNS",
    (
        "SELECT runs.number, runs.id, runs.mirrored, runs.run FROM runs WHERE runs.repo_id = "
        "? AND runs.mirrored > 0 AND (runs.number, runs.id) < (?, ?) ORDER BY runs.number "
        "DESC, runs.id DESC LIMIT 200"
    ),
    "repo_id number id",
    "- - - :text",
)
RECENT_FILES = Statement(
    "RECENT_FILES",
    (
        "SELECT artifacts.run_id, artifacts.path, artifacts.size FROM artifacts WHERE "
        "artifacts.run_id IN ({these}) AND state = 'mirrored' ORDER BY artifacts.run_id, "
        "artifacts.id"
    ),
    "these",
    "- :text -",
)
MIRRORED_ONES = Statement(
    "MIRRORED_ONES",
    (
        "SELECT repositories.org, repositories.repo, runs.run, artifacts.workflow, "
        "artifacts.task, artifacts.cube, artifacts.local_path, artifacts.state, "
        "artifacts.path, artifacts.size, artifacts.sha256, artifacts.strength, "
        "artifacts.evidence, artifacts.version, artifacts.etag, artifacts.content_encoding, "
        "artifacts.attempts, artifacts.first_seen, artifacts.mirrored_at, artifacts.reason, "
        "artifacts.message, artifacts.path AS path__1, artifacts.id FROM artifacts JOIN runs "
        "ON runs.id = artifacts.run_id JOIN repositories ON repositories.id = runs.repo_id "
        "WHERE state = 'mirrored' AND (artifacts.path, artifacts.id) > (?, ?) ORDER BY "
        "artifacts.path, artifacts.id LIMIT 500"
    ),
    "path:text id",
    (
        ":text :text :text :text :text :text :text - :text - - - :names :text :text :text - "
        ":moment :moment - :text :text -"
    ),
)
MIRRORED_OF_RUN = Statement(
    "MIRRORED_OF_RUN",
    (
        "SELECT repositories.org, repositories.repo, runs.run, artifacts.workflow, "
        "artifacts.task, artifacts.cube, artifacts.local_path, artifacts.state, "
        "artifacts.path, artifacts.size, artifacts.sha256, artifacts.strength, "
        "artifacts.evidence, artifacts.version, artifacts.etag, artifacts.content_encoding, "
        "artifacts.attempts, artifacts.first_seen, artifacts.mirrored_at, artifacts.reason, "
        "artifacts.message, artifacts.path AS path__1, artifacts.id FROM artifacts JOIN runs "
        "ON runs.id = artifacts.run_id JOIN repositories ON repositories.id = runs.repo_id "
        "WHERE state = 'mirrored' AND (artifacts.path, artifacts.id) > (?, ?) AND "
        "artifacts.run_id IN (SELECT runs.id FROM runs JOIN repositories ON repositories.id ="
        " runs.repo_id WHERE runs.run = ? AND repositories.org = ? AND repositories.repo = ?)"
        " ORDER BY artifacts.path, artifacts.id LIMIT 500"
    ),
    "path:text id of_run:text of_org:text of_repo:text",
    (
        ":text :text :text :text :text :text :text - :text - - - :names :text :text :text - "
        ":moment :moment - :text :text -"
    ),
)
MIRRORED_OF_RUNS = Statement(
    "MIRRORED_OF_RUNS",
    (
        "SELECT repositories.org, repositories.repo, runs.run, artifacts.workflow, "
        "artifacts.task, artifacts.cube, artifacts.local_path, artifacts.state, "
        "artifacts.path, artifacts.size, artifacts.sha256, artifacts.strength, "
        "artifacts.evidence, artifacts.version, artifacts.etag, artifacts.content_encoding, "
        "artifacts.attempts, artifacts.first_seen, artifacts.mirrored_at, artifacts.reason, "
        "artifacts.message, artifacts.path AS path__1, artifacts.id FROM artifacts JOIN runs "
        "ON runs.id = artifacts.run_id JOIN repositories ON repositories.id = runs.repo_id "
        "WHERE state = 'mirrored' AND (artifacts.path, artifacts.id) > (?, ?) AND "
        "artifacts.run_id IN (SELECT runs.id FROM runs WHERE runs.run = ?) ORDER BY "
        "artifacts.path, artifacts.id LIMIT 500"
    ),
    "path:text id of_run:text",
    (
        ":text :text :text :text :text :text :text - :text - - - :names :text :text :text - "
        ":moment :moment - :text :text -"
    ),
)
MIRRORED_OF_REPO = Statement(
    "MIRRORED_OF_REPO",
    (
        "SELECT repositories.org, repositories.repo, runs.run, artifacts.workflow, "
        "artifacts.task, artifacts.cube, artifacts.local_path, artifacts.state, "
        "artifacts.path, artifacts.size, artifacts.sha256, artifacts.strength, "
        "artifacts.evidence, artifacts.version, artifacts.etag, artifacts.content_encoding, "
        "artifacts.attempts, artifacts.first_seen, artifacts.mirrored_at, artifacts.reason, "
        "artifacts.message, artifacts.path AS path__1, artifacts.id FROM artifacts JOIN runs "
        "ON runs.id = artifacts.run_id JOIN repositories ON repositories.id = runs.repo_id "
        "WHERE state = 'mirrored' AND (artifacts.path, artifacts.id) > (?, ?) AND "
        "artifacts.run_id + 0 IN (SELECT runs.id FROM runs JOIN repositories ON "
        "repositories.id = runs.repo_id WHERE repositories.org = ? AND repositories.repo = ?)"
        " ORDER BY artifacts.path, artifacts.id LIMIT 500"
    ),
    "path:text id of_org:text of_repo:text",
    (
        ":text :text :text :text :text :text :text - :text - - - :names :text :text :text - "
        ":moment :moment - :text :text -"
    ),
)
AT = Statement(
    "AT",
    (
        "SELECT repositories.org, repositories.repo, runs.run, artifacts.workflow, "
        "artifacts.task, artifacts.cube, artifacts.local_path, artifacts.state, "
        "artifacts.path, artifacts.size, artifacts.sha256, artifacts.strength, "
        "artifacts.evidence, artifacts.version, artifacts.etag, artifacts.content_encoding, "
        "artifacts.attempts, artifacts.first_seen, artifacts.mirrored_at, artifacts.reason, "
        "artifacts.message, artifacts.path AS path__1, artifacts.id FROM artifacts JOIN runs "
        "ON runs.id = artifacts.run_id JOIN repositories ON repositories.id = runs.repo_id "
        "WHERE state = 'mirrored' AND (artifacts.path, artifacts.id) > (?, ?) AND "
        "artifacts.path >= ? AND artifacts.path < ? AND (artifacts.path = ? OR artifacts.path"
        " >= ?) ORDER BY artifacts.path, artifacts.id LIMIT 500"
    ),
    "path:text id place:text end:text place:text below:text",
    (
        ":text :text :text :text :text :text :text - :text - - - :names :text :text :text - "
        ":moment :moment - :text :text -"
    ),
)
UNWELL_ONES = Statement(
    "UNWELL_ONES",
    (
        "SELECT repositories.org, repositories.repo, runs.run, artifacts.workflow, "
        "artifacts.task, artifacts.cube, artifacts.local_path, artifacts.state, "
        "artifacts.path, artifacts.size, artifacts.sha256, artifacts.strength, "
        "artifacts.evidence, artifacts.version, artifacts.etag, artifacts.content_encoding, "
        "artifacts.attempts, artifacts.first_seen, artifacts.mirrored_at, artifacts.reason, "
        "artifacts.message FROM artifacts JOIN runs ON runs.id = artifacts.run_id JOIN "
        "repositories ON repositories.id = runs.repo_id WHERE state IN ('failed', 'gone', "
        "'refused') AND runs.repo_id + 0 = ? AND runs.settled_for = ? AND runs.kept IS NOT "
        "NULL AND (runs.created_at IS NULL OR runs.created_at >= ?) ORDER BY runs.number "
        "DESC, runs.id DESC, artifacts.id"
    ),
    "repo_id selection:text since:moment",
    (
        ":text :text :text :text :text :text :text - :text - - - :names :text :text :text - "
        ":moment :moment - :text"
    ),
)
NEWEST_ERROR = Statement(
    "NEWEST_ERROR",
    (
        "SELECT artifacts.message FROM artifacts JOIN runs ON runs.id = artifacts.run_id "
        "WHERE state IN ('failed', 'gone', 'refused') AND runs.repo_id = ? ORDER BY "
        "runs.number DESC, runs.id DESC, artifacts.id DESC LIMIT 1"
    ),
    "repo_id",
    ":text",
)
TABLES = {
    "meta": (
        (
            'CREATE TABLE meta ( "key" VARCHAR(40) NOT NULL, value TEXT NOT NULL, CONSTRAINT '
            'pk_meta PRIMARY KEY ("key") )'
        ),
    ),
    "repositories": (
        (
            "CREATE TABLE repositories ( id INTEGER NOT NULL, org TEXT NOT NULL, repo TEXT NOT "
            "NULL, horizon_high BIGINT, horizon_since VARCHAR(27), horizon_falling BOOLEAN, "
            "last_pass VARCHAR(27), last_complete VARCHAR(27), last_error TEXT NOT NULL, "
            "CONSTRAINT pk_repositories PRIMARY KEY (id), CONSTRAINT uq_repositories_org_repo "
            "UNIQUE (org, repo) )"
        ),
    ),
    "passes": (
        (
            "CREATE TABLE passes ( id INTEGER NOT NULL, repo_id INTEGER NOT NULL, began "
            "VARCHAR(27) NOT NULL, ended VARCHAR(27), runs BIGINT NOT NULL, found BIGINT NOT "
            "NULL, downloaded BIGINT NOT NULL, kept BIGINT NOT NULL, failed BIGINT NOT NULL, "
            "pending BIGINT NOT NULL, bytes BIGINT NOT NULL, complete BOOLEAN NOT NULL, exit_code"
            " INTEGER, CONSTRAINT pk_passes PRIMARY KEY (id), CONSTRAINT fk_passes_repo_id "
            "FOREIGN KEY(repo_id) REFERENCES repositories (id) )"
        ),
        "CREATE INDEX ix_passes_repo ON passes (repo_id, id)",
    ),
    "runs": (
        (
            "CREATE TABLE runs ( id INTEGER NOT NULL, repo_id INTEGER NOT NULL, run TEXT NOT "
            "NULL, number BIGINT NOT NULL, status TEXT NOT NULL, event TEXT NOT NULL, created_at "
            "VARCHAR(27), finished_at VARCHAR(27), fingerprint TEXT NOT NULL, settled_for TEXT "
            "NOT NULL, kept BIGINT, complete BOOLEAN NOT NULL, looks INTEGER NOT NULL, next_look "
            "VARCHAR(27), first_seen VARCHAR(27), seen_at VARCHAR(27), wanted INTEGER NOT NULL, "
            "pending INTEGER NOT NULL, mirrored INTEGER NOT NULL, failed INTEGER NOT NULL, gone "
            "INTEGER NOT NULL, refused INTEGER NOT NULL, bytes BIGINT NOT NULL, last_mirrored "
            "VARCHAR(27), CONSTRAINT pk_runs PRIMARY KEY (id), CONSTRAINT uq_runs_repo_id_run "
            "UNIQUE (repo_id, run), CONSTRAINT fk_runs_repo_id FOREIGN KEY(repo_id) REFERENCES "
            "repositories (id) )"
        ),
        "CREATE INDEX ix_runs_complete ON runs (repo_id, complete, number, id, status)",
        "CREATE INDEX ix_runs_newest ON runs (repo_id, number, id)",
        (
            "CREATE INDEX ix_runs_settled ON runs (repo_id, settled_for, number, id, created_at, "
            "kept)"
        ),
    ),
    "artifacts": (
        (
            "CREATE TABLE artifacts ( id INTEGER NOT NULL, run_id INTEGER NOT NULL, digest BLOB "
            "NOT NULL, workflow TEXT NOT NULL, task TEXT NOT NULL, cube TEXT NOT NULL, local_path"
            " TEXT NOT NULL, state VARCHAR(10) NOT NULL, path TEXT, size BIGINT, sha256 "
            "VARCHAR(64) NOT NULL, strength VARCHAR(10) NOT NULL, evidence TEXT NOT NULL, version"
            " TEXT NOT NULL, etag TEXT NOT NULL, content_encoding TEXT NOT NULL, attempts INTEGER"
            " NOT NULL, reason TEXT NOT NULL, message TEXT NOT NULL, first_seen VARCHAR(27), "
            "mirrored_at VARCHAR(27), CONSTRAINT pk_artifacts PRIMARY KEY (id), CONSTRAINT "
            "uq_artifacts_run_id_digest UNIQUE (run_id, digest), CONSTRAINT fk_artifacts_run_id "
            "FOREIGN KEY(run_id) REFERENCES runs (id) )"
        ),
        "CREATE INDEX ix_artifacts_path ON artifacts (path, id, run_id)",
        (
            "CREATE INDEX ix_artifacts_unwell ON artifacts (run_id) WHERE state IN ('failed', "
            "'gone', 'refused')"
        ),
    ),
    "artifact_sync_version": (
        (
            "CREATE TABLE artifact_sync_version ( version_num VARCHAR(32) NOT NULL, CONSTRAINT "
            "artifact_sync_version_pkc PRIMARY KEY (version_num) )"
        ),
    ),
}
