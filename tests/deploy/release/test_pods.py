"""The way to the pods is open once its socket accepts, not once it is there."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from deploy.release import pods
from deploy.release.errors import DeployError


def test_a_socket_that_is_only_bound_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    listening = threading.Event()
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server,
        subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as running,
    ):
        server.bind(str(path))

        def listen() -> None:
            time.sleep(0.3)
            listening.set()
            server.listen()

        threading.Thread(target=listen).start()
        pods._wait(running, path, tmp_path / "log")
        assert listening.is_set()
        running.communicate(b"\n", timeout=30)


def test_a_proxy_that_ends_is_told_with_its_words(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("error: no such cluster")
    with subprocess.Popen(["false"]) as ended:
        ended.wait()
        with pytest.raises(DeployError, match="does not start: error: no such cluster"):
            pods._wait(ended, tmp_path / "socket", tmp_path / "log")
