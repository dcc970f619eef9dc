from __future__ import annotations

import io
import json
import logging
import os
import re
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import structlog

from artifact_sync.cli.logs import setup
from artifact_sync.cli.logs.journald import Journal
from artifact_sync.cli.logs.mask import Mask
from artifact_sync.cli.session import Verbosity
from artifact_sync.runtime.logs import configure_later, get_logger

if TYPE_CHECKING:
    from collections.abc import Iterator


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    logging.captureWarnings(capture=False)
    root.handlers[:], root.level = before
    structlog.reset_defaults()
    configure_later(lambda: None, 0)


def lines(verbosity: Verbosity = Verbosity.NORMAL, out: io.StringIO | None = None) -> list[str]:
    """What a few records of both kinds of logger become."""
    out = out or io.StringIO()
    mask = Mask()
    mask.add("s3cret")
    setup.set_up(verbosity, mask, out)
    ours = get_logger("artifact_sync.x")
    ours.debug("detail", run=5)
    ours.info("told", url="https://h.example/p?q=1", token="s3cret")
    ours.warning("odd name a\x1b[2Jb\nc")
    logging.getLogger("httpx").info("GET https://h.example/p?q=1")
    logging.getLogger("httpx").warning("slow %s", "https://h.example/p?q=1")
    logging.getLogger("other").error("bad s3cret")
    return out.getvalue().splitlines()


def test_a_terminal_gets_short_lines_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert lines(out=Terminal()) == [
        "told url=https://h.example/… token=***",
        "warning: odd name a\\x1b[2Jb\\nc",
        "warning: slow https://h.example/…",
        "error: bad ***",
    ]


def test_elsewhere_a_line_has_its_time_and_level() -> None:
    first, *_ = lines()
    moment, rest = first.split(" ", 1)
    assert (len(moment), moment[-1]) == (20, "Z")
    assert rest == "info: told url=https://h.example/… token=***"


def test_quiet_leaves_errors_and_verbose_shows_details() -> None:
    assert [line.split(" ", 1)[1] for line in lines(Verbosity.QUIET)] == ["error: bad ***"]
    assert lines(Verbosity.VERBOSE)[0].endswith("debug: detail run=5")
    assert not any("GET" in line for line in lines(Verbosity.VERBOSE))


def test_a_terminal_gets_colours() -> None:
    assert "\033[33mwarning:\033[0m slow https://h.example/…" in lines(out=Terminal())


def test_a_traceback_is_masked() -> None:
    out = io.StringIO()
    setup.set_up(Verbosity.NORMAL, Mask(), out)
    error = RuntimeError("https://h.example/p?q=hidden")
    get_logger(__name__).error("failed", exc_info=error)
    assert out.getvalue().splitlines()[-1] == "RuntimeError: https://h.example/…"


def test_a_closed_stream_costs_the_line_only() -> None:
    out = io.StringIO()
    setup.set_up(Verbosity.NORMAL, Mask(), out)
    out.close()
    get_logger(__name__).warning("lost")


def test_warnings_of_libraries_become_lines() -> None:
    out = io.StringIO()
    setup.set_up(Verbosity.NORMAL, Mask(), out)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old habit", stacklevel=1)
    assert "old habit" in out.getvalue()


def objects(out: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_json_has_a_line_a_record_with_the_fields_beside_the_words() -> None:
    out = io.StringIO()
    mask = Mask()
    mask.add("s3cret")
    setup.set_up(Verbosity.NORMAL, mask, out, log_format="json")
    get_logger("ours").warning("odd\nname", url="https://h.example/p?q=1", run=5, x=None)
    logging.getLogger("theirs").error("bad %s", "s3cret")
    first, second = objects(out)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", str(first.pop("time")))
    expected = {"url": "https://h.example/…", "run": 5, "x": None}
    assert first == {"level": "warning", "message": "odd\nname"} | expected
    assert (second["level"], second["message"]) == ("error", "bad ***")


def test_json_is_json_whatever_is_logged() -> None:
    out = io.StringIO()
    setup.set_up(Verbosity.NORMAL, Mask(), out, log_format="json")
    odd = {"ratio": float("nan"), "name": "\udcff", "level": "high", "message": "mine"}
    get_logger(__name__).info("odd", path=Path("/a"), **odd)
    (found,) = objects(out)
    assert found | {"time": ""} == {
        "time": "",
        "level": "info",
        "message": "odd",
        "path": "/a",
        "ratio": "nan",
        "name": "\udcff",
        "level_": "high",
        "message_": "mine",
    }
    assert "NaN" not in out.getvalue()


def test_json_has_a_masked_traceback_in_one_line() -> None:
    out = io.StringIO()
    setup.set_up(Verbosity.NORMAL, Mask(), out, log_format="json")
    error = RuntimeError("https://h.example/p?q=hidden")
    get_logger(__name__).error("failed", exc_info=error)
    (found,) = objects(out)
    assert found["exception"] == "RuntimeError: https://h.example/…"


@pytest.mark.skipif(sys.platform == "win32", reason="there is no journal on Windows")
@pytest.mark.parametrize("leads_there", [True, False])
def test_by_itself_the_log_takes_the_journal_only_where_systemd_connected_the_stream_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, leads_there: bool
) -> None:
    with (tmp_path / "stderr").open("w") as stream:
        stat = os.fstat(stream.fileno())
        inode = stat.st_ino if leads_there else stat.st_ino + 1
        monkeypatch.setenv("JOURNAL_STREAM", f"{stat.st_dev}:{inode}")
        setup.set_up(Verbosity.NORMAL, Mask(), stream)
        (handler,) = logging.getLogger().handlers
        assert isinstance(handler, Journal) is leads_there
        handler.close()


def test_what_cannot_be_written_raises_nothing() -> None:
    class Odd:
        def __str__(self) -> str:
            raise RuntimeError

    out = io.StringIO()
    setup.set_up(Verbosity.NORMAL, Mask(), out)
    get_logger(__name__).info("lost", odd=Odd())
    get_logger(__name__).info("told")
    assert [line.split(" ", 1)[1] for line in out.getvalue().splitlines()] == ["info: told"]
