"""A real server that is frozen costs a deadline once, then nothing, and is found again."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infercache.clock import SystemClock
from infercache.guards.breaker import Breaker
from infercache.guards.deadline import Deadline, DeadlineError

pytestmark = pytest.mark.service


@pytest.fixture
def server(require: Any, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], Any]]:
    """A redis-server of our own on a socket, and a client."""
    require.module("redis")
    program = require.program("redis-server")
    import redis

    socket = tmp_path / "redis.sock"
    process = subprocess.Popen(
        [program, "--port", "0", "--unixsocket", str(socket), "--save", ""],
        stdout=subprocess.DEVNULL,
        cwd=tmp_path,
    )
    limit = time.monotonic() + 10
    while not socket.exists():
        assert time.monotonic() < limit
        time.sleep(0.02)
    client = redis.Redis(unix_socket_path=str(socket))
    yield process, client
    process.send_signal(signal.SIGCONT)
    process.kill()
    process.wait()
    client.close()


def test_frozen_server_is_left_and_found_again(
    server: tuple[subprocess.Popen[bytes], Any],
) -> None:
    process, client = server
    deadline = Deadline(0.1, "redis")
    breaker = Breaker("redis", SystemClock(), cool_down_s=0.2)

    def ask() -> bool:
        if not breaker.allows():
            return False
        try:
            deadline.run(client.ping)
        except DeadlineError as error:
            breaker.open(str(error))
            return False
        breaker.succeeded()
        return True

    assert ask()
    process.send_signal(signal.SIGSTOP)
    assert not any(ask() for _ in range(1000))
    assert breaker.refused >= 990
    assert deadline.hanging() <= 8
    process.send_signal(signal.SIGCONT)
    limit = time.monotonic() + 10
    while not ask():
        assert time.monotonic() < limit
        time.sleep(0.02)
    while deadline.hanging():
        assert time.monotonic() < limit
        time.sleep(0.02)
    deadline.close()
