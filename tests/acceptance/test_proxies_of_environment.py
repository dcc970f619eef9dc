"""Proxies of the environment, as ``sync``, ``config check`` and the daemon see them."""

from __future__ import annotations

import socketserver
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from user import wait_until

from artifact_sync.domain.settings import CONTROL_SOCKET

if TYPE_CHECKING:
    from collections.abc import Iterator

    from user import User

ONE_TRY = {"ARTIFACT_SYNC_DOWNLOAD__ATTEMPTS": "1"}
ODD = "::1/128,[::1],fd00::/8,x:abc,пример.рф"
LEFT_OUT = "NO_PROXY: 'x:abc' is no host, address or network, and was left out"


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """A proxy that gives every request this answer, or none; its ``HOST:PORT``."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while self.rfile.readline().strip():
                pass
            self.wfile.write(answer)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


# Guards against: an entry of NO_PROXY that ends a pass, with a proxy and without one.
@pytest.mark.parametrize("proxy", [{}, {"HTTP_PROXY": "http://127.0.0.1:9"}])
def test_what_cannot_be_read_in_no_proxy_is_left_out_by_all_alike(
    user: User, proxy: dict[str, str]
) -> None:
    environ = {"NO_PROXY": f"{ODD},127.0.0.0/8", **proxy}
    done = user.sync("acme/website", **environ)
    assert done.code == 0
    assert done.err.count(LEFT_OUT) == 1
    assert done.err.count("NO_PROXY") == 1
    checked = user.run("config", "check", **environ)
    assert checked.code == 0
    assert LEFT_OUT in checked.err
    (user.folder / "c.toml").write_text('[[repo]]\nname = "acme/website"\n')
    daemon = ("daemon", "--config", "c.toml", "--root", user.root)
    with user.started(*daemon, **environ) as process:
        wait_until((user.root / ".artifact-sync" / CONTROL_SOCKET).exists)
        process.terminate()
        ended = user.finish(process)
    assert ended.code == 0
    assert LEFT_OUT in ended.err


def test_an_unusable_proxy_is_refused_by_all_alike(user: User) -> None:
    environ = {"HTTP_PROXY": "ftp://u:hush@p:1"}
    (user.folder / "c.toml").write_text('[[repo]]\nname = "acme/website"\n')
    for call in (["sync"], ["daemon"], ["config", "check"]):
        root = [] if call[0] == "config" else ["--root", user.root]
        done = user.run(*call, "--config", "c.toml", *root, **environ)
        assert done.code == 2
        assert "HTTP_PROXY can't be used" in done.err + done.out
        assert "hush" not in done.err + done.out


# Guards against: what a proxy does is told as the deed of the service or of a file's host.
@pytest.mark.parametrize("url", [None, "https://127.0.0.1:9"])
@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 407 Who\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 401 No\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n",
        b"hello\r\n\r\n",
        b"",
    ],
)
def test_a_proxy_that_fails_is_named_with_the_variable_that_leads_to_it(
    user: User, answer: bytes, url: str | None
) -> None:
    base = {"ARTIFACT_SYNC_SOURCE__BASE_URL": url} if url else {}
    with answering(answer) as place:
        proxies = {"HTTP_PROXY": f"http://u:hush@{place}", "HTTPS_PROXY": f"http://{place}"}
        done = user.sync("acme/website", **ONE_TRY, **proxies, **base)
    assert done.code == 4
    assert f"the proxy {place} of {'HTTPS_PROXY' if url else 'HTTP_PROXY'}" in done.out
    assert "refused the token" not in done.out
    assert "hush" not in done.out + done.err


def test_a_proxy_that_is_not_there_is_named(user: User) -> None:
    done = user.sync("acme/website", **ONE_TRY, ARTIFACT_SYNC_SOURCE__PROXY="http://127.0.0.1:9")
    assert done.code == 4
    words = "no connection to the proxy 127.0.0.1:9 of source.proxy: connection refused"
    assert words in done.out
