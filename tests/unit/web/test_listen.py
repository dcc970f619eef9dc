from __future__ import annotations

import socket
from contextlib import ExitStack

import pytest

from artifact_sync.domain.errors import UsageError
from artifact_sync.web.server import is_open, listening, origin_of


def test_port_0_takes_a_free_port_and_the_origin_says_which() -> None:
    with ExitStack() as stack:
        (bound,) = [stack.enter_context(it) for it in listening("127.0.0.1:0")]
        assert origin_of(bound) == f"http://127.0.0.1:{bound.getsockname()[1]}"
        assert not is_open([bound])
        # Else asyncio leaves Nagle's algorithm on, and every answer takes 40 ms longer.
        assert bound.proto == socket.IPPROTO_TCP


def test_an_address_for_other_machines_is_known_as_one() -> None:
    with ExitStack() as stack:
        assert is_open([stack.enter_context(it) for it in listening("0.0.0.0:0")])


def test_a_port_in_use_says_so_and_leaves_no_socket_behind() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UsageError) as caught:
            listening(f"127.0.0.1:{port}")
    assert str(caught.value) == (
        f"web.listen: cannot listen on 127.0.0.1:{port}: the address is in use;"
        " choose another port, or 0 for any that is free"
    )


def test_an_address_of_another_machine_says_so() -> None:
    with pytest.raises(UsageError, match="this machine has no such address"):
        listening("203.0.113.1:0")


def test_a_host_that_nobody_knows_says_so() -> None:
    with pytest.raises(UsageError, match=r"cannot listen on no-such-host\.invalid:0: "):
        listening("no-such-host.invalid:0")
