"""Where user code runs: with a /pfs of its own where the system allows namespaces, in a stated makeshift elsewhere.

pachd decides once, at its start, by trying.  In the makeshift (`REWRITTEN`) a command runs in the datum's directory,
`PFS_DIR` names it, and `/pfs` in the command and in its standard input is replaced by it; user code that has `/pfs` in
its own text does not find its files there.
"""

from __future__ import annotations

import marshal
import os
import re
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import astuple, dataclass
from pathlib import Path

from localcluster.files import remove_tree

PFS = "/pfs"
_PFS = re.compile(r"(?<![\w./-])/pfs(?![\w.-])")
_LAUNCHER = Path(__file__).with_name("launcher.py")
_PROBE_SECONDS = 20.0
_KEPT_VARIABLES = re.compile(r"HOME|USER|LOGNAME|SHELL|LANG|LC_\w+|TZ")


@dataclass(frozen=True)
class Command:
    """What to run; without `directory` it runs in the root directory, as in a container without a WORKDIR."""

    argv: Sequence[str]
    stdin: bytes | None
    environment: Mapping[str, str]
    directory: str = ""


@dataclass(frozen=True)
class Plan:
    """What the launcher is told; `place` is the datum's directory, which holds `pfs` and the empty `root`."""

    argv: list[str]
    environment: dict[str, str]
    directory: str
    place: str
    isolate: bool


@dataclass(frozen=True)
class Outcome:
    """How a command ended: with an exit status or by a signal, or not at all (`error`)."""

    exit: int | None = None
    signal: int | None = None
    error: str = ""

    def __str__(self) -> str:
        """As Go says it, which clients know: `exit status 3`, `signal: killed`."""
        if self.signal is not None:
            return f"signal: {signal.strsignal(self.signal) or self.signal}".lower()
        return self.error or f"exit status {self.exit}"


class Process:
    """A command that runs; `wait` is called once, `kill` at any time from any thread."""

    def __init__(self, launcher: subprocess.Popen[bytes], control: socket.socket) -> None:
        self._launcher = launcher
        self._control = control

    def kill(self) -> None:
        """Let the launcher end the command and all that it started."""
        with suppress(OSError):
            self._control.shutdown(socket.SHUT_WR)

    def wait(self, write: Callable[[bytes], None], seconds: float | None = None) -> Outcome | None:
        """Pass on what the command writes until no process of it is left; None where `seconds` were not enough."""
        assert self._launcher.stdout
        deadline = None if seconds is None else time.monotonic() + seconds
        late = False
        with selectors.DefaultSelector() as selector, self._launcher.stdout as output:
            selector.register(output, selectors.EVENT_READ)
            while True:
                if deadline is not None and time.monotonic() >= deadline:
                    self.kill()
                    deadline, late = None, True
                if selector.select(None if deadline is None else max(deadline - time.monotonic(), 0)):
                    data = os.read(output.fileno(), 65536)
                    if not data:
                        break
                    write(data)
        reply = b""
        with self._control, self._control.makefile("rb") as replies, suppress(ConnectionResetError):
            reply = replies.read()
        self._launcher.wait()
        if late:
            return None
        if not reply:
            return Outcome(error="the launcher was killed")
        return Outcome(**marshal.loads(reply))  # noqa: S302 - sent by our own launcher


@dataclass(frozen=True)
class Sandbox:
    """One way to run commands; `refusal` is why the better one does not work here, or ""."""

    refusal: str = ""

    @property
    def isolated(self) -> bool:
        """Whether a command has a /pfs of its own."""
        return not self.refusal

    def __str__(self) -> str:
        if self.isolated:
            return "each datum has a /pfs of its own (mount and PID namespaces)"
        return (
            f"this system allows no mount namespaces ({self.refusal}): user code runs in the datum's directory, which"
            " PFS_DIR names, and /pfs in cmd and stdin is replaced by it"
        )

    def pfs(self, place: Path) -> str:
        """What the user code of the datum in `place` has to take for /pfs."""
        return PFS if self.isolated else str(place / "pfs")

    def start(self, command: Command, place: Path) -> Process:
        """Run a command that sees `place`/pfs."""
        pfs, stdin = self.pfs(place), command.stdin
        argv, environment = list(command.argv), dict(command.environment)
        directory = command.directory or "/"
        if not self.isolated:
            argv = [_PFS.sub(lambda _: pfs, word) for word in argv]
            stdin = None if stdin is None else _PFS.sub(lambda _: pfs, stdin.decode()).encode()
            directory = command.directory or pfs
            environment["PFS_DIR"] = pfs
        return self._launch(Plan(argv, environment, directory, str(place), self.isolated), stdin)

    def _launch(self, plan: Plan, stdin: bytes | None) -> Process:
        ours, theirs = socket.socketpair()
        with theirs:
            launcher = subprocess.Popen(
                [sys.executable, "-I", "-S", str(_LAUNCHER), str(theirs.fileno())],
                stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env={},
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        with suppress(BrokenPipeError):
            ours.sendall(marshal.dumps(astuple(plan)))
        if stdin is not None:
            threading.Thread(target=_feed, args=(launcher, stdin), name="stdin", daemon=True).start()
        return Process(launcher, ours)


def _feed(launcher: subprocess.Popen[bytes], data: bytes) -> None:
    """Write standard input; a command that does not read it to the end is no error."""
    assert launcher.stdin
    with suppress(BrokenPipeError), launcher.stdin as stream:
        stream.write(data)


def choose(scratch: Path) -> Sandbox:
    """Empty `scratch` and find out, by trying, what this system allows."""
    if scratch.exists():
        remove_tree(scratch)
    sandbox = Sandbox()
    with new_place(scratch, "probe") as place:
        command = Command(["sh", "-c", "test -d /pfs && ! test -e /pfs/root"], None, {"PATH": os.defpath})
        outcome = sandbox.start(command, place).wait(lambda _: None, _PROBE_SECONDS)
    if outcome is not None and outcome.exit == 0:
        return sandbox
    return Sandbox(refusal=str(outcome or "no answer"))


@contextmanager
def new_place(scratch: Path, name: str) -> Iterator[Path]:
    """A datum's directory for the time of the block: `pfs` for its files, `root` for the launcher."""
    place = scratch / name
    for part in ("pfs", "root"):
        (place / part).mkdir(parents=True)
    try:
        yield place
    finally:
        remove_tree(place)


def base_environment() -> dict[str, str]:
    """What user code has besides its datum's variables: no secret; `python3` is this interpreter, unbuffered."""
    kept = {name: value for name, value in os.environ.items() if _KEPT_VARIABLES.fullmatch(name)}
    path = os.environ.get("PATH") or os.defpath
    return kept | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{path}", "PYTHONUNBUFFERED": "1"}
