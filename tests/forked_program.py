"""Calls the program. Where it can, a process that has imported it forks, which spares its start."""

from __future__ import annotations

import atexit
import os
import select
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import IO, TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_COMMANDS = (
    *(
        "adopt",
        "daemon",
        "displaced",
        "du",
        "forget",
        "ls",
        "path",
        "show",
        "status",
        "sync",
        "verify",
    ),
    "why",
)
_IMPORTED = (
    "anyio._backends._asyncio",
    "platformdirs.unix",
    "artifact_sync.__main__",
    "artifact_sync.app.adoption",
    "artifact_sync.app.assemble_daemon",
    "artifact_sync.app.assemble_pass",
    "artifact_sync.app.assemble_transfers",
    "artifact_sync.app.examination",
    "artifact_sync.app.explanation",
    "artifact_sync.app.forgetting",
    "artifact_sync.app.listing",
    "artifact_sync.app.read_ledger",
    "artifact_sync.cli.logs.setup",
    "artifact_sync.cli.run_pass",
    "artifact_sync.cli.terminal",
    "artifact_sync.config.api_token",
    "artifact_sync.config.difference",
    "artifact_sync.daemon.systemd",
    "artifact_sync.ledger.async_ledger",
    "artifact_sync.ledger.drivers.errors",
    "artifact_sync.ledger.drivers.sqlite",
    "artifact_sync.source.api.decode_record",
    "artifact_sync.source.links.fetcher",
    "artifact_sync.source.links.reqwest_backend",
    "artifact_sync.source.links.timeouts",
    "artifact_sync.sync.hooks.dispatcher",
    "artifact_sync.sync.run",
    "artifact_sync.sync.verify",
    "artifact_sync.transfer.download",
    "artifact_sync.web.app",
    "artifact_sync.web.server",
    "encodings.idna",
    "httpcore",
    "structlog",
    "uvicorn.protocols.http.httptools_impl",
    *(f"artifact_sync.cli.commands.{it}" for it in _COMMANDS),
)
"""What else the calls would import, each anew."""

_QUICK = (
    "platformdirs.unix",
    "artifact_sync.__main__",
    "artifact_sync.app.assemble_pass",
    "artifact_sync.app.network",
    "artifact_sync.cli.commands.sync",
    "artifact_sync.cli.logs.setup",
    "artifact_sync.cli.run_pass",
    "artifact_sync.cli.terminal",
    "artifact_sync.config.api_token",
    "artifact_sync.ledger.async_ledger",
    "artifact_sync.ledger.drivers.sqlite",
)
"""What a pass with nothing new imports: all that is there before a call that tells its imports."""

_READ_AT_START = ("LANG", "LC_", "LD_", "MALLOC_", "PYTHON", "TERM", "TZ")
"""How variables begin that a process has to be started with."""
PROGRAM = (sys.executable, "-m", "artifact_sync")
UTF8 = {"PYTHONUTF8": "1"}
"""What the process that forks was started with."""
_TOLD = "PYTHONPROFILEIMPORTTIME"
_BESIDES = ("LD_PRELOAD", _TOLD)
"""What it may have been started with besides: each such value has a process of its own. What else
a preloaded library goes by is in the environment of a call, and is read when it is first needed."""


_LENGTH = 8
"""Bytes before a call that say how long it is."""
_DESCRIPTORS = 4
"""Of a call that is not waited for: standard streams, and one that tells what becomes of it."""

_CLIENT = Path(__file__).with_name("forked_client.py")


class Said(NamedTuple):
    """How a call ended."""

    code: int
    out: str
    err: str


def can_fork(environ: Mapping[str, str]) -> bool:
    """Whether a process that was started before the call can be the program in it."""
    at_start = {name: value for name, value in environ.items() if name.startswith(_READ_AT_START)}
    for name in _BESIDES:
        at_start.pop(name, None)
    return at_start == UTF8 and hasattr(os, "fork")


def call_program(
    arguments: Sequence[str], folder: Path, environ: Mapping[str, str], timeout: float = 60
) -> Said:
    """Call the program in a folder, with this environment alone, and wait for its end."""
    if can_fork(environ):
        return _program_for(environ).call(arguments, folder, environ, timeout)
    done = subprocess.run(
        [*PROGRAM, *arguments],
        cwd=folder,
        env=dict(environ),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=timeout,
        check=False,
    )
    return Said(done.returncode, done.stdout.decode(), done.stderr.decode())


def start_program(
    arguments: Sequence[str],
    folder: Path,
    environ: Mapping[str, str],
    stdout: int | IO[bytes] = subprocess.PIPE,
    stderr: int | IO[bytes] = subprocess.PIPE,
) -> subprocess.Popen[str]:
    """Start the program, as ``Popen`` does, and go on at once."""
    if can_fork(environ):
        return _Forked(arguments, folder, environ, stdout, stderr)
    return subprocess.Popen(
        [*PROGRAM, *arguments],
        cwd=folder,
        env=dict(environ),
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        text=True,
        encoding="utf-8",
    )


def on_path(environ: Mapping[str, str]) -> Path:
    """A folder with an ``artifact-sync`` for shells: as the real one, but for its start.

    It is for environments that are as this one in what a process is started with.
    """
    assert can_fork({k: v for k, v in environ.items() if (k, v) != ("LC_ALL", "C.UTF-8")})
    return _program_for(environ).scripts


class _Forked(subprocess.Popen[str]):
    """The program, forked by the process that has imported it; behaves as a child of ours."""

    def __init__(
        self,
        arguments: Sequence[str],
        folder: Path,
        environ: Mapping[str, str],
        stdout: int | IO[bytes],
        stderr: int | IO[bytes],
    ) -> None:
        self.args = [*PROGRAM, *arguments]
        self.returncode: int | None = None  # type: ignore[assignment]
        self.stdin = None
        self._news, theirs = socket.socketpair()
        self.stdout, out = _stream(stdout)
        self.stderr, err = _stream(stderr)
        given = [os.open(os.devnull, os.O_RDONLY), out, err, theirs.detach()]
        try:
            _program_for(environ).start(arguments, folder, environ, given)
        finally:
            for descriptor in given:
                os.close(descriptor)
        self.pid = int(self._heard(60))

    def _heard(self, timeout: float | None) -> bytes:
        """What is told next: the process's number, and later on its exit code."""
        self._news.settimeout(timeout)
        told = b""
        while not told.endswith(b"\n"):
            more = self._news.recv(1)
            assert more, "whoever forks the program has gone"
            told += more
        return told

    def poll(self) -> int | None:
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            try:
                self.returncode = int(self._heard(timeout))
            except (TimeoutError, BlockingIOError):
                raise subprocess.TimeoutExpired(self.args, timeout or 0.0) from None
            self._news.close()  # from now on its number may be another's
        return self.returncode

    def communicate(self, input: str | None = None, timeout: float | None = None) -> Any:  # noqa: A002 - Popen's
        """Read both streams to their ends."""
        assert input is None
        files = [self.stdout, self.stderr]
        with ThreadPoolExecutor(len(files)) as readers:
            reading = [readers.submit(it.read) if it and not it.closed else None for it in files]
            try:
                code = self.wait(timeout)
                said = [it and it.result(timeout) for it in reading]
            except BaseException:
                self.kill()  # ends what is read, too
                raise
        assert code is not None
        for file in files:
            if file:
                file.close()
        return tuple(said)


def _stream(wanted: int | IO[bytes]) -> tuple[IO[str] | None, int]:
    """Our end of a stream, and a descriptor of the program's end."""
    if wanted == subprocess.PIPE:
        ours, theirs = os.pipe()
        return os.fdopen(ours, encoding="utf-8"), theirs
    if wanted == subprocess.DEVNULL:
        return None, os.open(os.devnull, os.O_WRONLY)
    assert not isinstance(wanted, int)
    return None, os.dup(wanted.fileno())


class _ForkedProgram:
    """A process that has imported the program, and forks for each call."""

    def __init__(self, besides: Mapping[str, str]) -> None:
        self._said = tempfile.TemporaryDirectory()
        self._calls, theirs = socket.socketpair()
        with theirs, socket.socket(socket.AF_UNIX) as listener:
            listener.bind(self._place("calls"))
            listener.listen()
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(listener.fileno()), *map(str, self._places)],
                env=os.environ | UTF8 | besides,
                stdin=theirs,
                stdout=subprocess.PIPE,
                pass_fds=[listener.fileno()],
                start_new_session=True,
            )

    def _place(self, name: str) -> str:
        return str(Path(self._said.name, name))

    @property
    def _places(self) -> list[Path]:
        return [Path(self._place(name)) for name in ("stdout", "stderr")]

    @property
    def scripts(self) -> Path:
        """A folder with a script that calls it."""
        folder = Path(self._place("bin"))
        if not folder.exists():
            folder.mkdir()
            script = folder / "artifact-sync"
            code = _CLIENT.read_text(encoding="utf-8").replace("PLACE", self._place("calls"))
            script.write_text(f"#!{sys.executable} -IS\n{code}", encoding="utf-8")
            script.chmod(0o755)
        return folder

    def call(
        self, arguments: Sequence[str], folder: Path, environ: Mapping[str, str], timeout: float
    ) -> Said:
        try:
            self.start(arguments, folder, environ, [])
            code = int(self._answer(timeout))
        except BaseException:  # as a timeout of the test: the answer would be taken for the next
            _forked_program.cache_clear()  # those of other threads end with the process
            self.end()
            raise
        return Said(code, *(place.read_text(encoding="utf-8") for place in self._places))

    def start(
        self,
        arguments: Sequence[str],
        folder: Path,
        environ: Mapping[str, str],
        descriptors: Sequence[int],
    ) -> None:
        """Have it forked; with descriptors it runs beside what is called next."""
        call = _packed(arguments, folder, environ)
        message = len(call).to_bytes(_LENGTH, "big") + call
        sent = socket.send_fds(self._calls, [message], descriptors)
        self._calls.sendall(message[sent:])

    def _answer(self, timeout: float) -> bytes:
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            if not selector.select(timeout):
                raise subprocess.TimeoutExpired("artifact-sync", timeout)
        return self._process.stdout.readline()

    def end(self) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()
        self._calls.close()
        self._said.cleanup()


def _packed(arguments: Sequence[str], folder: Path, environ: Mapping[str, str]) -> bytes:
    """A call, as ``forked_client.py`` packs one, too."""
    mask = os.umask(0)
    os.umask(mask)
    pairs = [f"{name}={value}" for name, value in environ.items()]
    parts = [str(mask), str(len(arguments)), *arguments, str(folder), *pairs]
    return b"\0".join(map(os.fsencode, parts))


def _program_for(environ: Mapping[str, str]) -> _ForkedProgram:
    besides = [(name, environ[name]) for name in _BESIDES if environ.get(name)]
    return _forked_program(threading.get_ident(), *besides)


@cache
def _forked_program(thread: int, *besides: tuple[str, str]) -> _ForkedProgram:  # noqa: ARG001 - each has its own
    """One for all tests of a thread, which waits for its answers."""
    program = _ForkedProgram(dict(besides))
    atexit.register(program.end)
    return program


class _Call(NamedTuple):
    """What somebody wants to be called."""

    mask: int
    arguments: list[str]
    folder: str
    environ: dict[str, str]


def _received(calls: socket.socket) -> tuple[list[int], _Call | None]:
    """A call with the descriptors that come with it; none at the end."""
    start, descriptors, _, _ = socket.recv_fds(calls, _LENGTH, _DESCRIPTORS)
    if not start:
        return descriptors, None
    found, length = b"", int.from_bytes(start, "big")
    while len(found) < length:
        found += calls.recv(length - len(found))
    mask, count, *rest = map(os.fsdecode, found.split(b"\0"))
    folder, *pairs = rest[int(count) :]
    environ = dict(pair.split("=", 1) for pair in pairs)
    return descriptors, _Call(int(mask), rest[: int(count)], folder, environ)


def _serve(listening: int, places: Sequence[str]) -> int:
    """Fork for each call, and tell its exit code. Returns in children that are to end in order."""
    for name in _QUICK if os.environ.get(_TOLD) else _IMPORTED:
        import_module(name)
    calls = socket.socket(fileno=sys.stdin.fileno())
    listener = socket.socket(fileno=listening)
    while True:
        ready, _, _ = select.select([calls, listener], [], [])
        if listener in ready:
            client, _ = listener.accept()
            descriptors, call = _received(client)
            descriptors.append(client.detach())
        else:
            descriptors, call = _received(calls)
            if call is None:
                return 0
        if call is None:  # its shell was killed as it began
            os.close(descriptors.pop())
            continue
        if descriptors:
            if not os.fork():
                calls.detach()
                listener.close()
                return _keep(descriptors, call)
            for descriptor in descriptors:
                os.close(descriptor)
            continue
        child = os.fork()
        if not child:
            _become_for_a_while(places, call)
        status = _status(child)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


def _status(child: int) -> int:
    """How a child ends; keepers that have ended meanwhile are taken leave of."""
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == child:
            return status


def _keep(descriptors: Sequence[int], call: _Call) -> int:
    """Fork the program, tell its number and its exit code, and keep the number until that is
    heard: a signal must not reach another process. When nobody listens any more, the program is
    killed. Returns in the program, at its end."""
    *streams, news = descriptors
    child = os.fork()
    if not child:
        _take(streams)
        os.closerange(len(streams), os.sysconf("SC_OPEN_MAX"))
        return _become(call)
    for descriptor in (*range(3), *streams):
        os.close(descriptor)
    with socket.socket(fileno=news) as tell:
        Thread(target=_tell, args=(tell, child), daemon=True).start()
        with suppress(OSError):
            tell.recv(1)
        os.kill(child, signal.SIGKILL)
    os._exit(0)


def _tell(listener: socket.socket, child: int) -> None:
    with suppress(OSError):  # nobody listens any more
        listener.sendall(f"{child}\n".encode())
        ended = os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
        assert ended is not None
        killed = ended.si_code in {os.CLD_KILLED, os.CLD_DUMPED}
        listener.sendall(f"{-ended.si_status if killed else ended.si_status}\n".encode())


def _take(streams: Sequence[int]) -> None:
    for number, stream in enumerate(streams):
        os.dup2(stream, number)


def _become_for_a_while(places: Sequence[str], call: _Call) -> None:
    """Be the program, and end without the interpreter's own end, which takes time."""
    code = 1
    try:
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC
        _take([os.open(os.devnull, os.O_RDWR), *(os.open(it, flags, 0o600) for it in places)])
        code = _become(call)
    except BaseException:  # noqa: BLE001 - as where nobody catches it
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _become(call: _Call) -> int:
    """Be the program until its end."""
    from artifact_sync import __main__  # noqa: PLC0415 - imported before the fork

    os.umask(call.mask)
    os.chdir(call.folder)
    os.environ.clear()
    os.environ.update(call.environ)
    if os.environ.get(_TOLD):  # what comes later tells the interpreter
        for name, module in sys.modules.items():
            if module is not None:
                sys.stderr.write(f"import time: | {name}\n")
    sys.argv = [__main__.__file__, *call.arguments]
    return __main__.main()


if __name__ == "__main__":
    sys.exit(_serve(int(sys.argv[1]), sys.argv[2:]))
