"""A file origin that cuts and gives wrong parts: the right file or a truthful failure."""

from __future__ import annotations

from behaviours import (
    chunked,
    cut,
    etag_of,
    honest,
    in_turn,
    part,
    serving,
    status,
    store_error_page,
    until_close,
    when_resumed,
    whole,
)
from digests import md5, structured
from hostile_service import File
from trial import Trial, noise

CONTENT = noise(1, 300_001)
OTHER = noise(2, 300_001)
HALF = 150_000
ALL = f"bytes 0-{len(CONTENT) - 1}/{len(CONTENT)}"


def test_cut_at_half_then_fine_fetches_only_the_rest(trial: Trial) -> None:
    file = trial.service.file(CONTENT, in_turn(cut(HALF), honest))
    assert trial.sync().counts == (1, 1, 0, 0)
    assert trial.has(CONTENT)
    assert file.ranges == [None, f"bytes={HALF}-"]
    assert file.visits[1].header("if-range") == etag_of(CONTENT)
    assert file.served == len(CONTENT)


def test_a_connection_that_is_reset_at_half_is_gone_on_with(trial: Trial) -> None:
    trial.service.file(CONTENT, in_turn(cut(HALF, reset=True), honest))
    assert trial.sync().exit_code == 0
    assert trial.has(CONTENT)


def test_always_cut_without_progress_is_a_cut(trial: Trial) -> None:
    file = trial.service.file(CONTENT, in_turn(cut(HALF), cut(0)))
    outcome = trial.sync()
    assert (outcome.exit_code, outcome.reasons) == (1, ["cut"])
    assert trial.has_nothing()
    assert trial.staged() == HALF
    assert len(file.visits) == 3


def test_always_cut_but_further_each_time_arrives_in_the_end(trial: Trial) -> None:
    content = noise(3, 9 << 20)
    file = trial.service.file(content, cut(3 << 19))
    assert trial.sync().exit_code == 0
    assert trial.has(content)
    assert file.served == len(content)


def test_what_was_cut_in_one_pass_is_gone_on_with_in_the_next(trial: Trial) -> None:
    file = trial.service.file(CONTENT, in_turn(cut(HALF), cut(0), cut(0), honest))
    assert trial.sync().reasons == ["cut"]
    assert trial.sync().counts == (1, 1, 0, 0)
    assert trial.has(CONTENT)
    assert file.served == len(CONTENT)


def test_an_early_end_without_a_validator_starts_over(trial: Trial) -> None:
    file = trial.service.file(CONTENT, in_turn(cut(HALF), honest), ETag="")
    assert trial.sync().exit_code == 0
    assert trial.has(CONTENT)
    assert file.ranges == [None, None]


def test_a_weak_validator_is_not_resumed_with(trial: Trial) -> None:
    file = trial.service.file(CONTENT, in_turn(cut(HALF), honest), ETag='W/"weak"')
    assert trial.sync().exit_code == 0
    assert trial.has(CONTENT)
    assert file.ranges == [None, None]


def test_chunked_is_whole_with_its_last_chunk(trial: Trial) -> None:
    trial.service.file(CONTENT, chunked())
    assert trial.sync().exit_code == 0
    assert trial.has(CONTENT)


def test_chunked_always_without_its_last_chunk_is_a_cut(trial: Trial) -> None:
    trial.service.file(CONTENT, chunked(last=False))
    outcome = trial.sync()
    assert (outcome.exit_code, outcome.reasons) == (1, ["cut"])
    assert trial.has_nothing()


def test_chunked_without_its_last_chunk_then_fine(trial: Trial) -> None:
    trial.service.file(CONTENT, in_turn(chunked(last=False, count=HALF), honest))
    assert trial.sync().exit_code == 0
    assert trial.has(CONTENT)


def test_no_length_and_no_marked_end_is_never_believed(trial: Trial) -> None:
    files = {"early": File(CONTENT, until_close(HALF)), "whole": File(CONTENT, until_close())}
    trial.service.run(files)
    outcome = trial.sync()
    assert outcome.exit_code == 1
    assert set(outcome.reasons_by("local_path")) == {"early", "whole"}
    assert set(outcome.reasons) <= {"cut", "bad_response"}
    assert trial.has_nothing()


def test_no_length_and_closed_early_then_fine(trial: Trial) -> None:
    trial.service.file(CONTENT, in_turn(until_close(HALF), honest))
    assert trial.sync().exit_code == 0
    assert trial.has(CONTENT)


def test_one_bad_file_stops_no_other(trial: Trial) -> None:
    trial.service.run({"bad": File(CONTENT, cut(0)), "good": OTHER})
    trial.service.run({"app.bin": CONTENT}, "2")
    outcome = trial.sync()
    assert (outcome.counts, outcome.reasons) == ((3, 2, 0, 1), ["cut"])
    assert trial.place("good").read_bytes() == OTHER
    assert trial.has(CONTENT, run="2")


def test_a_server_that_ignores_the_range_is_taken_from_the_start(trial: Trial) -> None:
    trial.service.file(CONTENT, in_turn(cut(HALF), whole))
    assert trial.sync().exit_code == 0
    assert trial.has(CONTENT)


def test_content_changed_at_the_same_size_is_fetched_anew(trial: Trial) -> None:
    file = trial.service.file(CONTENT, in_turn(cut(HALF), serving(OTHER)))
    trial.also_right = {OTHER}
    assert trial.sync().exit_code == 0
    assert trial.has(OTHER)
    assert file.visits[1].header("if-range") == etag_of(CONTENT)


def test_a_206_although_if_range_does_not_match_is_not_appended(trial: Trial) -> None:
    liar = part(HALF, f"bytes {HALF}-{len(OTHER) - 1}/{len(OTHER)}", ETag=etag_of(OTHER))
    behaviour = in_turn(cut(HALF), serving(OTHER, when_resumed(liar)))
    trial.service.file(CONTENT, behaviour)
    trial.also_right = {OTHER}
    assert trial.sync().exit_code == 0
    assert trial.has(OTHER)


def test_a_206_of_other_content_without_a_validator_is_found_out_by_the_digest(
    trial: Trial,
) -> None:
    liar = part(HALF, f"bytes {HALF}-{len(OTHER) - 1}/{len(OTHER)}", ETag="", Repr_Digest="")
    first = serving(CONTENT, cut(HALF), Repr_Digest=structured(CONTENT))
    behaviour = serving(OTHER, when_resumed(liar), Repr_Digest=structured(OTHER))
    trial.service.file(CONTENT, in_turn(first, behaviour))
    trial.also_right = {OTHER}
    assert trial.sync().exit_code == 0
    assert trial.has(OTHER)


WRONG_PARTS = {
    "offset too low": (HALF - 1, f"bytes {HALF - 1}-{len(CONTENT) - 1}/{len(CONTENT)}"),
    "offset too high": (HALF + 1, f"bytes {HALF + 1}-{len(CONTENT) - 1}/{len(CONTENT)}"),
    "offset 0": (0, ALL),
    "total too high": (HALF, f"bytes {HALF}-{len(CONTENT)}/{len(CONTENT) + 1}"),
    "total too low": (HALF, f"bytes {HALF}-{len(CONTENT) - 2}/{len(CONTENT) - 1}"),
    "garbled": (HALF, "bytes wrong"),
    "none": (HALF, ""),
    "backwards": (HALF, f"bytes {len(CONTENT) - 1}-{HALF}/{len(CONTENT)}"),
}


def test_a_206_with_a_wrong_offset_or_total_starts_over(trial: Trial) -> None:
    files = {
        name: File(CONTENT, in_turn(cut(HALF), when_resumed(part(start, label))))
        for name, (start, label) in WRONG_PARTS.items()
    }
    trial.service.run(files)
    assert trial.sync().counts == (len(files), len(files), 0, 0)
    assert all(trial.has(CONTENT, name) for name in files)
    assert all(file.ranges[:2] == [None, f"bytes={HALF}-"] for file in files.values())


def test_a_206_that_nobody_asked_for_is_refused(trial: Trial) -> None:
    trial.service.file(CONTENT, part(0, ALL))
    outcome = trial.sync()
    assert (outcome.exit_code, outcome.reasons) == (1, ["bad_response"])
    assert trial.has_nothing()


def test_a_206_with_a_digest_of_its_part_is_the_right_rest(trial: Trial) -> None:
    rest = CONTENT[HALF:]
    label = f"bytes {HALF}-{len(CONTENT) - 1}/{len(CONTENT)}"
    digests = {"Content_Digest": structured(rest), "Content_MD5": md5(rest)}
    file = trial.service.file(CONTENT, in_turn(cut(HALF), part(HALF, label, **digests)))
    assert trial.sync().exit_code == 0
    assert trial.has(CONTENT)
    assert file.served == len(CONTENT)


def test_416_on_resume_starts_over(trial: Trial) -> None:
    refusal = status(416, store_error_page("InvalidRange"))
    trial.service.file(CONTENT, in_turn(cut(HALF), when_resumed(refusal)))
    assert trial.sync().exit_code == 0
    assert trial.has(CONTENT)


def test_a_file_that_has_shrunk_below_our_offset_is_fetched_anew(trial: Trial) -> None:
    trial.service.file(CONTENT, in_turn(cut(HALF), serving(OTHER[:1000])))
    trial.also_right = {OTHER[:1000]}
    assert trial.sync().exit_code == 0
    assert trial.has(OTHER[:1000])


def test_always_416_is_a_bad_response(trial: Trial) -> None:
    trial.service.file(CONTENT, status(416))
    outcome = trial.sync()
    assert (outcome.exit_code, outcome.reasons) == (1, ["bad_response"])
    assert trial.has_nothing()
