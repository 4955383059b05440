"""The program between pachd and user code: it gives a command its own /pfs and sees that nothing of it stays behind.

Run as a script by `sandbox` for every command, so it imports only what starts fast.  Its one argument is the number of
a socket, on which pachd sends what to do (the fields of `sandbox.Plan`); the answer is `{"exit": 0}`, `{"signal": 9}`
or `{"error": "…"}`.  When pachd's end of the socket closes, for whatever reason, every process that the command
started is killed.

With `isolate` the command runs in a mount and a PID namespace (where that is not allowed, inside a user namespace as
well).  Its root is a directory of the datum's own into which every entry of the real root is bound, so that `/pfs`
needs no place on the host and what the command writes beside its inputs and outputs stays with the datum.
"""

from __future__ import annotations

import ctypes
import marshal
import os
import select
import sys

CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWPID = 0x00020000, 0x10000000, 0x20000000
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000
MNT_DETACH = 2
PR_SET_CHILD_SUBREAPER = 36
SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
SIGKILL, SIGPIPE, SIGXFSZ = 9, 13, 25
REAPING = 1000
"""Milliseconds after which processes that lost their parent and ended are looked for."""
LONGEST_ERROR = 1000
"""Characters; the system's own words repeat the command."""

_libc = ctypes.CDLL(None, use_errno=True)


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
    for name, content in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        with open(f"/proc/self/{name}", "w") as stream:
            stream.write(content)


def _mount(source: str, target: str, kind: str, flags: int) -> None:
    arguments = (os.fsencode(source), os.fsencode(target), kind.encode(), flags, None)
    _check(_libc.mount(*arguments), f"cannot mount {source} at {target}")


def _enter(root: str, pfs: str) -> None:
    """Make `root` the root directory: the host's, with `pfs` at /pfs and a /proc of the PID namespace."""
    _mount("none", "/", "", MS_REC | MS_PRIVATE)
    _mount(root, root, "", MS_BIND)
    for entry in os.scandir("/"):
        place = f"{root}/{entry.name}"
        if entry.name == "pfs":
            continue
        if entry.is_symlink():
            if not os.path.lexists(place):
                os.symlink(os.readlink(entry), place)
        elif entry.is_dir():
            os.makedirs(place, exist_ok=True)
            _mount(entry.path, place, "", MS_BIND | MS_REC)
        elif entry.is_file():
            os.close(os.open(place, os.O_WRONLY | os.O_CREAT))
            _mount(entry.path, place, "", MS_BIND)
    os.makedirs(f"{root}/pfs", exist_ok=True)
    _mount(pfs, f"{root}/pfs", "", MS_BIND)
    try:
        _mount("proc", f"{root}/proc", "proc", 0)
    except OSError:
        pass  # A container may forbid this; /proc then shows the processes outside too, which no user code depends on.
    os.chdir(root)
    _check(_libc.syscall(SYS_PIVOT_ROOT[os.uname().machine], b".", b"."), "cannot change the root directory")
    _check(_libc.umount2(b".", MNT_DETACH), "cannot leave the old root directory")


def _run(argv: list[str], environment: dict[str, str], directory: str, control: int) -> dict[str, int]:
    """Start the command and return how it ended; killed where pachd's end of `control` closes before."""
    _check(_libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "cannot adopt orphans")
    os.chdir(directory)
    os.environ["PATH"] = environment.get("PATH", os.defpath)
    try:
        command = os.posix_spawnp(argv[0], argv, environment, setpgroup=0, setsigdef=[SIGPIPE, SIGXFSZ])
    except (FileNotFoundError, PermissionError) as error:
        if isinstance(error, PermissionError) and "/" in argv[0]:
            raise
        # A search is also refused where a folder in PATH may not be read.
        raise OSError(f'exec: "{argv[0]}": executable file not found in $PATH') from None
    ended = os.pidfd_open(command)
    poll = select.poll()
    poll.register(control, select.POLLIN)
    poll.register(ended, select.POLLIN)
    while True:
        if any(ready == control for ready, _ in poll.poll(REAPING)):
            return {"signal": SIGKILL}
        pid = 1
        while pid:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == command:
                code = os.waitstatus_to_exitcode(status)
                return {"exit": code} if code >= 0 else {"signal": -code}


def _kill_descendants() -> None:
    """End every process below this one, which is the parent of whatever their death leaves without one."""
    while True:
        for name in os.listdir("/proc"):
            if name.isdigit() and _parent(name) == os.getpid():
                try:
                    os.kill(int(name), SIGKILL)
                except OSError:
                    continue
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _parent(pid: str) -> int:
    """The id of a process's parent, 0 where the process is gone."""
    try:
        with open(f"/proc/{pid}/stat") as stream:
            return int(stream.read().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def main() -> None:
    """Do as pachd says."""
    control = int(sys.argv[1])
    os.set_inheritable(control, False)
    with open(control, "rb", closefd=False) as stream:
        argv, environment, directory, place, isolate = marshal.load(stream)  # noqa: S302 - sent by pachd, our parent
    answer: dict[str, int] | dict[str, str]
    try:
        if isolate:
            _unshare()
            # The child is the first process of the PID namespace: with it end all others, and then this waits no more.
            if child := os.fork():
                os.waitpid(child, 0)
                return
            _enter(f"{place}/root", f"{place}/pfs")
        answer = _run(argv, environment, directory, control)
    except (OSError, KeyError, ValueError) as error:  # ValueError: a null byte, or a name that no variable may have
        answer = {"error": str(error)[:LONGEST_ERROR]}
    if not isolate:
        _kill_descendants()
    try:
        os.write(control, marshal.dumps(answer))
    except OSError:
        pass  # pachd is gone
    os._exit(0)


if __name__ == "__main__":
    main()
