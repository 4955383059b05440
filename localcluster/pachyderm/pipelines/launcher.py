"""The program between pachd and user code: it gives a command its own /pfs and sees that nothing of it stays behind.

Run as a script by `sandbox`, with nothing but the standard library.  Its one argument is the number of a socket.  pachd
sends one line of JSON (the keys of `sandbox.Plan`); the answer is one too: `{"exit": 0}`, `{"signal": 9}` or
`{"error": "…"}`.  When pachd's end of the socket closes, for whatever reason, every process that the command started
is killed.

With `isolate` the command runs in a mount and a PID namespace (where that is not allowed, inside a user namespace as
well).  Its root is a directory of the datum's own into which every entry of the real root is bound, so that `/pfs`
needs no place on the host and what the command writes beside its inputs and outputs stays with the datum.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWPID = 0x00020000, 0x10000000, 0x20000000
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000
MNT_DETACH = 2
PR_SET_CHILD_SUBREAPER = 36
SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}

_libc = ctypes.CDLL(None, use_errno=True)
_woken, _waker = socket.socketpair()
_waker.setblocking(False)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _unshare() -> None:
    """Enter new namespaces.  Without the right to make them directly, a user namespace gives it."""
    user, group = os.geteuid(), os.getegid()
    if _libc.unshare(CLONE_NEWNS | CLONE_NEWPID) == 0:
        return
    _check(_libc.unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID), "cannot make namespaces")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1")


def _mount(source: str, target: Path, kind: str, flags: int) -> None:
    arguments = (source.encode(), os.fsencode(target), kind.encode(), flags, None)
    _check(_libc.mount(*arguments), f"cannot mount {source} at {target}")


def _enter(root: Path, pfs: Path) -> None:
    """Make `root` the root directory: the host's, with `pfs` at /pfs and a /proc of the PID namespace."""
    _mount("none", Path("/"), "", MS_REC | MS_PRIVATE)
    _mount(str(root), root, "", MS_BIND)
    for entry in Path("/").iterdir():
        place = root / entry.name
        if entry.name == "pfs":
            continue
        if entry.is_symlink():
            with suppress(FileExistsError):  # a second command of the same datum
                place.symlink_to(entry.readlink())
        elif entry.is_dir():
            place.mkdir(exist_ok=True)
            _mount(str(entry), place, "", MS_BIND | MS_REC)
        elif entry.is_file():
            place.touch()
            _mount(str(entry), place, "", MS_BIND)
    (root / "pfs").mkdir(exist_ok=True)
    _mount(str(pfs), root / "pfs", "", MS_BIND)
    # A container may forbid this; /proc then shows the processes outside too, which no user code depends on.
    with suppress(OSError):
        _mount("proc", root / "proc", "proc", 0)
    os.chdir(root)
    _check(_libc.syscall(SYS_PIVOT_ROOT[os.uname().machine], b".", b"."), "cannot change the root directory")
    _check(_libc.umount2(b".", MNT_DETACH), "cannot leave the old root directory")


def _run(plan: dict[str, Any], control: socket.socket) -> dict[str, int]:
    """Start the command and return how it ended; killed where pachd's end of `control` closes before."""
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(_waker.fileno())
    _check(_libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "cannot adopt orphans")
    os.chdir(plan["directory"])
    os.environ["PATH"] = plan["environment"].get("PATH", os.defpath)
    command = _spawn(plan["argv"], plan["environment"])
    while True:
        if control in select.select([control, _woken], [], [])[0]:
            return {"signal": signal.SIGKILL}
        _woken.recv(4096)
        while (ended := _reap()) is not None:
            if ended[0] == command:
                code = os.waitstatus_to_exitcode(ended[1])
                return {"exit": code} if code >= 0 else {"signal": -code}


def _spawn(argv: list[str], environment: dict[str, str]) -> int:
    ignored_by_python = [signal.SIGPIPE, signal.SIGXFSZ]
    try:
        return os.posix_spawnp(argv[0], argv, environment, setpgroup=0, setsigdef=ignored_by_python)
    except FileNotFoundError:
        raise OSError(f'exec: "{argv[0]}": executable file not found in $PATH') from None


def _reap() -> tuple[int, int] | None:
    """The id and the status of a child that has ended, if one has."""
    with suppress(ChildProcessError):
        pid, status = os.waitpid(-1, os.WNOHANG)
        return (pid, status) if pid else None
    return None


def _kill_descendants() -> None:
    """End every process below this one, which is the parent of whatever their death leaves without one."""
    me = str(os.getpid())
    while True:
        for entry in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):
                _state, parent = entry.read_text().rpartition(")")[2].split()[:2]
                if parent == me:
                    os.kill(int(entry.parent.name), signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def main() -> None:
    """Do as pachd says."""
    control = socket.socket(fileno=int(sys.argv[1]))
    control.set_inheritable(False)
    plan = json.loads(control.makefile().readline())
    answer: dict[str, int | str]
    try:
        if plan["isolate"]:
            _unshare()
            # The child is the first process of the PID namespace: with it end all others, and then this waits no more.
            if child := os.fork():
                os.waitpid(child, 0)
                return
            _enter(Path(plan["place"], "root"), Path(plan["place"], "pfs"))
        answer = dict(_run(plan, control))
    except (OSError, KeyError) as error:
        answer = {"error": str(error)}
    if not plan["isolate"]:
        _kill_descendants()
    with suppress(OSError):
        control.sendall(json.dumps(answer).encode() + b"\n")
    os._exit(0)


if __name__ == "__main__":
    main()
