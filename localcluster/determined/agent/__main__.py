"""`python -m localcluster.determined.agent <allocation directory> <lock descriptor>`: run one allocation.

The environment is the trial's, as the master composed it.  The trial runs as the genuine harness runs it in a
container: prepare (context, resources, rendezvous), the user's startup-hook.sh, determined.exec.launch.  SIGTERM kills
the trial's processes.  The agent ends when they are gone, their output is on disk and the exit code is written.
"""

from __future__ import annotations

import http.client
import json
import os
import selectors
import signal
import subprocess
import sys
import threading
from pathlib import Path
from urllib.parse import urlsplit

from localcluster.determined.agent import layout, processes
from localcluster.determined.agent.lines import LineSplitter, parse
from localcluster.files import write_atomically

PREPARE = ("--download_context_directory", "--resources", "--rendezvous", "--proxy")
LAUNCH = (
    'if [ -f startup-hook.sh ]; then . ./startup-hook.sh; fi; exec "$DET_PYTHON_EXECUTABLE" -m determined.exec.launch'
)
KILLED = 128 + signal.SIGKILL
POKE_TIMEOUT = 5.0


class Spool:
    """The lines on disk, and a thread that tells the master about them without ever holding up the trial."""

    def __init__(self, directory: Path) -> None:
        self._file = (directory / layout.SPOOL).open("a", encoding="utf-8")
        self._news = threading.Event()
        threading.Thread(target=self._poke, daemon=True).start()

    def write(self, lines: list[str], stdtype: str) -> None:
        """Append lines; they are in the file when this returns."""
        if lines:
            self._file.write("".join(json.dumps(parse(line, stdtype)) + "\n" for line in lines))
            self._file.flush()
            self._news.set()

    def _poke(self) -> None:
        master = urlsplit(os.environ["DET_MASTER"])
        path = f"/local/allocations/{os.environ['DET_ALLOCATION_ID']}/spooled"
        headers = {"Grpc-Metadata-x-allocation-token": f"Bearer {os.environ['DET_SESSION_TOKEN']}"}
        while True:
            self._news.wait()
            self._news.clear()
            connection = http.client.HTTPConnection(master.hostname or "", master.port, timeout=POKE_TIMEOUT)
            try:
                connection.request("POST", path, headers=headers)
                connection.getresponse().read()
            except (OSError, http.client.HTTPException):
                continue
            finally:
                connection.close()


class Runner:
    """Runs one command after the other until one fails or the agent is told to stop."""

    def __init__(self, directory: Path) -> None:
        self._work = directory / layout.WORK
        self._spool = Spool(directory)
        self._stopping = threading.Event()
        signal.signal(signal.SIGTERM, self._stop)

    def run(self, *command: str) -> int:
        """Run a command to its end and return its exit code, 128 + n for signal n."""
        if self._stopping.is_set():
            return KILLED
        process = subprocess.Popen(
            command,
            cwd=self._work,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        if self._stopping.is_set():
            _kill()

        def reap() -> None:
            process.wait()
            _kill()

        reaper = threading.Thread(target=reap, daemon=True)
        reaper.start()
        self._read(process)
        reaper.join()
        code = process.wait()
        return code if code >= 0 else 128 - code

    def say(self, text: str) -> None:
        """Put a line of the agent's own into the trial's log."""
        self._spool.write([text], "stderr")

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        with selectors.DefaultSelector() as selector:
            for stream, stdtype in ((process.stdout, "stdout"), (process.stderr, "stderr")):
                if stream is not None:
                    selector.register(stream, selectors.EVENT_READ, (stdtype, LineSplitter()))
            while selector.get_map():
                for key, _ in selector.select():
                    stdtype, splitter = key.data
                    data = os.read(key.fd, 1 << 16)
                    self._spool.write(splitter.feed(data) if data else splitter.finish(), stdtype)
                    if not data:
                        selector.unregister(key.fileobj)

    def _stop(self, *_: object) -> None:
        self._stopping.set()
        threading.Thread(target=_kill, daemon=True).start()


def _kill() -> None:
    processes.kill_all(os.environ["DET_ALLOCATION_ID"])


def _signal(code: int) -> str:
    """Name the signal in an exit code: 128 + n from a shell, 256 - n where Python passed on a negative one."""
    for number in (code - 128, 256 - code):
        if number in set(signal.Signals):
            return f" (killed by {signal.Signals(number).name})"
    return ""


def main(directory: Path, lock: int) -> None:
    """Run the allocation of `directory`; `lock` is the inherited descriptor of its taken lock."""
    os.set_inheritable(lock, False)
    write_atomically(directory / layout.PID, str(os.getpid()))
    runner = Runner(directory)
    code = runner.run(sys.executable, "-m", "determined.exec.prep_container", *PREPARE)
    if code == 0:
        code = runner.run(os.environ["DET_SHELL"], "-c", LAUNCH)
    if code != 0:
        runner.say(f"ERROR: the trial ended with exit code {code}{_signal(code)}")
    write_atomically(directory / layout.EXIT, json.dumps({"code": code}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
