"""The handler before a datagram socket that stands in for journald's."""

from __future__ import annotations

import array
import io
import logging
import os
import socket
import sys
import time
from typing import TYPE_CHECKING, TextIO

import pytest

from artifact_sync.cli.logs.journald import Journal, datagram, goes_to_journal
from artifact_sync.cli.logs.mask import Mask
from artifact_sync.cli.logs.record import LogEntry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Unix sockets of datagrams")

Fields = dict[str, str]


def fields_of(raw: bytes) -> Fields:
    """An entry, read as the protocol's document says."""
    found = {}
    while raw:
        line, _, raw = raw.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            size = int.from_bytes(raw[:8], "little")
            value, raw = raw[8 : 8 + size], raw[8 + size :]
            assert raw[:1] == b"\n"
            raw = raw[1:]
        assert name.decode() not in found
        found[name.decode()] = value.decode()
    return found


class Journald:
    """Whoever reads the datagrams."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.settimeout(0)
        self.memory_files = 0

    @property
    def entries(self) -> list[Fields]:
        """All entries since the last look."""
        found = []
        while True:
            try:
                raw, passed = self._receive()
            except BlockingIOError:
                return found
            found.append(fields_of(self._content(passed[0]) if passed else raw))

    def _receive(self) -> tuple[bytes, list[int]]:
        room = socket.CMSG_SPACE(array.array("i", [0]).itemsize)
        raw, more, _, _ = self.socket.recvmsg(1 << 20, room)
        passed = array.array("i")
        for _, _, data in more:
            passed.frombytes(data)
        return raw, list(passed)

    def _content(self, memory: int) -> bytes:
        self.memory_files += 1
        try:
            with pytest.raises(PermissionError):  # it is sealed: nobody changes what is read
                os.pwrite(memory, b"x", 0)
            return os.pread(memory, os.fstat(memory).st_size, 0)
        finally:
            os.close(memory)


@pytest.fixture
def journald(tmp_path: Path) -> Iterator[Journald]:
    daemon = Journald(tmp_path / "socket")
    with daemon.socket:
        yield daemon


class Lines(logging.Handler):
    """Where records go when there is no journal."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


@pytest.fixture
def lines() -> Lines:
    return Lines()


@pytest.fixture
def journal(tmp_path: Path, lines: Lines) -> Iterator[Journal]:
    mask = Mask()
    mask.add("s3cret")
    handler = Journal(mask, lines, str(tmp_path / "socket"))
    yield handler
    handler.close()


def record(message: str = "told", level: int = logging.INFO) -> logging.LogRecord:
    return logging.LogRecord("a.b", level, "/x/y.py", 7, message, (), None, "f")


def test_a_record_has_a_message_a_priority_and_where_it_comes_from(
    journald: Journald, journal: Journal
) -> None:
    journal.handle(record("nothing works", logging.ERROR))
    assert journald.entries == [
        {
            "MESSAGE": "nothing works",
            "PRIORITY": "3",
            "SYSLOG_IDENTIFIER": "artifact-sync",
            "CODE_FILE": "/x/y.py",
            "CODE_LINE": "7",
            "CODE_FUNC": "f",
            "LOGGER": "a.b",
        }
    ]


@pytest.mark.parametrize(
    ("level", "priority"), [("critical", "2"), ("warning", "4"), ("info", "6"), ("debug", "7")]
)
def test_the_priority_is_sysloges_of_the_level(level: str, priority: str) -> None:
    assert fields_of(datagram(LogEntry("x", level=level)))["PRIORITY"] == priority


def test_pairs_are_in_the_message_and_are_fields_with_names_that_journald_takes() -> None:
    pairs = {"repo": "acme/rocket", "in_s": 1.5, "_odd-näme": None, "x" * 80: "long"}
    fields = fields_of(datagram(LogEntry("looked", fields=pairs)))
    assert fields == {
        "MESSAGE": f"looked repo=acme/rocket in_s=1.5 _odd-näme=None {'x' * 80}=long",
        "PRIORITY": "6",
        "SYSLOG_IDENTIFIER": "artifact-sync",
        "ARTIFACT_SYNC_REPO": "acme/rocket",
        "ARTIFACT_SYNC_IN_S": "1.5",
        "ARTIFACT_SYNC__ODD_N_ME": "None",
        f"ARTIFACT_SYNC_{'X' * 50}": "long",
    }


def test_a_value_cannot_add_a_field_or_steer_a_terminal() -> None:
    fields = fields_of(datagram(LogEntry("a\nPRIORITY=0", fields={"path": "b\n_UID=0\x1b[2J"})))
    assert fields["MESSAGE"] == "a\\nPRIORITY=0 path=b\\n_UID=0\\x1b[2J"
    assert fields["PRIORITY"] == "6"
    assert fields["ARTIFACT_SYNC_PATH"] == "b\\n_UID=0\\x1b[2J"


def test_a_traceback_follows_the_message_line_by_line() -> None:
    raw = datagram(LogEntry("a bug", trace="Traceback …\n  File …\nKeyError: 'x'"))
    assert fields_of(raw)["MESSAGE"] == "a bug\nTraceback …\n  File …\nKeyError: 'x'"
    assert b"MESSAGE\n" in raw


def test_a_name_that_is_not_unicode_is_spelt_out() -> None:
    place = ("/odd-\udcff/x.py", 1, "f")
    fields = fields_of(datagram(LogEntry("odd \udcff", trace="t \udcff", place=place)))
    assert fields["MESSAGE"] == "odd \\udcff\nt \\udcff"
    assert fields["CODE_FILE"] == "/odd-\\udcff/x.py"


def test_secrets_are_masked_in_the_message_and_in_the_traceback(
    journald: Journald, journal: Journal
) -> None:
    journal.handle(record("s3cret at https://h.example/p?q=1"))
    failed = record()
    failed.exc_info = (RuntimeError, RuntimeError("s3cret"), None)
    journal.handle(failed)
    first, second = journald.entries
    assert first["MESSAGE"] == "*** at https://h.example/…"
    assert second["MESSAGE"].splitlines()[-1] == "RuntimeError: ***"


@pytest.mark.skipif(sys.platform != "linux", reason="memory files are Linux's")
def test_an_entry_that_no_datagram_holds_comes_whole_in_a_sealed_memory_file(
    journald: Journald, journal: Journal, lines: Lines
) -> None:
    journal.handle(record("long " + "x" * 3_000_000))
    journal.handle(record("short"))
    assert [len(entry["MESSAGE"]) for entry in journald.entries] == [3_000_005, 5]
    assert journald.memory_files == 1
    assert lines.messages == []


def test_without_journald_the_lines_go_elsewhere_until_it_is_there(
    tmp_path: Path, journal: Journal, lines: Lines
) -> None:
    journal.handle(record("nobody there"))
    first = Journald(tmp_path / "socket")
    with first.socket:
        journal.handle(record("somebody there"))
        assert [entry["MESSAGE"] for entry in first.entries] == ["somebody there"]
    journal.handle(record("gone"))
    (tmp_path / "socket").unlink()
    second = Journald(tmp_path / "socket")
    with second.socket:
        journal.handle(record("another one"))
        assert [entry["MESSAGE"] for entry in second.entries] == ["another one"]
    assert lines.messages == ["nobody there", "gone"]


def test_a_journald_that_was_replaced_misses_nothing(tmp_path: Path, journal: Journal) -> None:
    first = Journald(tmp_path / "socket")
    with first.socket:
        journal.handle(record("one"))
    (tmp_path / "socket").unlink()
    second = Journald(tmp_path / "socket")
    with second.socket:
        journal.handle(record("two"))
        assert [entry["MESSAGE"] for entry in second.entries] == ["two"]


def test_a_journald_that_does_not_read_holds_nothing_up_and_is_told_what_it_missed(
    journald: Journald, journal: Journal
) -> None:
    begun = time.monotonic()
    for _ in range(5_000):  # more than any queue of datagrams has room for
        journal.handle(record())
    assert time.monotonic() - begun < 60
    heard = len(journald.entries)
    journal.handle(record("again"))
    last, notice = journald.entries
    assert last["MESSAGE"] == "again"
    assert notice["PRIORITY"] == "4"
    assert int(notice["ARTIFACT_SYNC_LINES"]) == 5_000 - heard > 0
    journal.handle(record("and on"))
    assert [entry["MESSAGE"] for entry in journald.entries] == ["and on"]


def test_a_record_whose_arguments_do_not_fit_raises_nothing(
    journald: Journald, journal: Journal
) -> None:
    odd = record("%d of %d")
    odd.args = ("one",)
    journal.handle(odd)
    assert [entry["MESSAGE"] for entry in journald.entries] == ["%d of %d ('one',)"]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (lambda dev, inode: f"{dev}:{inode}", True),
        (lambda dev, inode: f"{dev}:{inode + 1}", False),
        (lambda *_: "", False),
        (lambda *_: "nonsense", False),
    ],
)
def test_systemd_says_which_stream_leads_to_the_journal(
    tmp_path: Path, said: Callable[[int, int], str], *, expected: bool
) -> None:
    with (tmp_path / "stderr").open("w") as stream:
        stat = os.fstat(stream.fileno())
        environ = {"JOURNAL_STREAM": said(stat.st_dev, stat.st_ino)}
        assert goes_to_journal(stream, environ) is expected


@pytest.mark.parametrize("stream", [None, io.StringIO()])
def test_a_stream_that_is_no_file_does_not_lead_there(stream: TextIO | None) -> None:
    assert not goes_to_journal(stream, {"JOURNAL_STREAM": "1:2"})
