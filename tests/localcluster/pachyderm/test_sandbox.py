"""User code sees a /pfs of its own, and nothing that it starts outlives it: as root, as nobody, without namespaces."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from localcluster.pachyderm.pipelines import sandbox
from localcluster.pachyderm.pipelines.sandbox import Command, Outcome, Sandbox, new_place
from localcluster.settings import REPOSITORY
from tests.localcluster.pachyderm.project import wait_until

REWRITTEN = Sandbox(refusal="not wanted by the test")

PATH = {"PATH": os.environ["PATH"]}
DEADLINE = 30.0


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    """An empty scratch directory, which `choose` may remove."""
    place = tmp_path / "scratch"
    place.mkdir()
    return place


@pytest.fixture(params=["isolated", "rewritten"])
def any_sandbox(request: pytest.FixtureRequest, scratch: Path) -> Sandbox:
    """Each way to run commands; isolation is skipped where the system refuses it."""
    chosen = sandbox.choose(scratch)
    if request.param == "isolated" and chosen.refusal:
        pytest.skip(str(chosen))
    return chosen if request.param == "isolated" else REWRITTEN


@pytest.fixture
def place(scratch: Path) -> Iterator[Path]:
    """A datum's directory with one input file."""
    with new_place(scratch, "datum") as directory:
        (directory / "pfs" / "out").mkdir()
        (directory / "pfs" / "in").mkdir()
        (directory / "pfs" / "in" / "file").write_text("content\n")
        yield directory


def _run(
    used: Sandbox, place: Path, argv: list[str], stdin: str | None = None, seconds: float | None = DEADLINE
) -> tuple[Outcome | None, str]:
    written = bytearray()
    command = Command(argv, None if stdin is None else stdin.encode(), PATH)
    outcome = used.start(command, place).wait(written.extend, seconds)
    return outcome, written.decode()


def test_files_and_status(any_sandbox: Sandbox, place: Path) -> None:
    script = "cat /pfs/in/file; echo to-stderr >&2; cp /pfs/in/file /pfs/out/copy; exit 3"
    outcome, written = _run(any_sandbox, place, ["sh", "-c", script])
    assert outcome == Outcome(exit=3)
    assert written == "content\nto-stderr\n"
    assert (place / "pfs/out/copy").read_text() == "content\n"


def test_standard_input(any_sandbox: Sandbox, place: Path) -> None:
    text = "cat /pfs/in/file\n" + "echo line\n" * 20_000
    outcome, written = _run(any_sandbox, place, ["sh"], text)
    assert outcome == Outcome(exit=0)
    assert written == "content\n" + "line\n" * 20_000
    assert _run(any_sandbox, place, ["cat"])[1] == ""
    assert _run(any_sandbox, place, ["true"], "x" * 1_000_000)[0] == Outcome(exit=0)


def test_long_arguments(any_sandbox: Sandbox, place: Path) -> None:
    word = "x" * 100_000
    assert _run(any_sandbox, place, ["echo", *[word] * 4])[1] == " ".join([word] * 4) + "\n"


def test_how_a_command_ends(any_sandbox: Sandbox, place: Path) -> None:
    assert str(_run(any_sandbox, place, ["sh", "-c", "kill -9 $$"])[0]) == "signal: killed"
    assert str(_run(any_sandbox, place, ["sh", "-c", "kill -TERM 0"])[0]) == "signal: terminated"
    assert str(_run(any_sandbox, place, ["false"])[0]) == "exit status 1"
    missing = _run(any_sandbox, place, ["no-such-program"])[0]
    assert str(missing) == 'exec: "no-such-program": executable file not found in $PATH'


@pytest.mark.parametrize("argv", [[""], ["sh", "\0"], ["sh", "\ud800"], ["/etc"], ["x" * 200_000]], ids=range(5))
def test_what_cannot_be_started_says_why(any_sandbox: Sandbox, place: Path, argv: list[str]) -> None:
    outcome, written = _run(any_sandbox, place, argv)
    assert outcome is not None
    assert outcome.exit is None
    assert 0 < len(str(outcome)) <= 1000
    assert "launcher" not in str(outcome) + written


@pytest.mark.parametrize("name", ["A=B", "", "A\0"])
def test_a_variable_that_cannot_be_says_so(any_sandbox: Sandbox, place: Path, name: str) -> None:
    written = bytearray()
    outcome = any_sandbox.start(Command(["true"], None, PATH | {name: "x"}), place).wait(written.extend, None)
    assert outcome is not None
    assert outcome.exit is None
    assert "launcher" not in str(outcome) + written.decode()


def _alive(mark: str) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if mark.encode() in entry.read_bytes().split(b"\0"):
                found.append(int(entry.parent.name))
        except OSError:
            continue
    return found


def _escaping(mark: str) -> str:
    """A script whose process leaves session and process group and closes its output."""
    return f"setsid sh -c 'sleep 600.{mark} >/dev/null 2>&1 & sleep 600.{mark}' >/dev/null 2>&1 &"


def test_no_process_outlives_a_command(any_sandbox: Sandbox, place: Path) -> None:
    mark = f"{os.getpid()}1"
    script = f"{_escaping(mark)} while ! pgrep -f 'sleep 600.{mark}' >/dev/null; do :; done; echo started"
    outcome, written = _run(any_sandbox, place, ["sh", "-c", script])
    assert (outcome, written) == (Outcome(exit=0), "started\n")
    assert _alive(f"600.{mark}") == []


def test_a_command_that_takes_too_long_is_killed_with_all_it_started(any_sandbox: Sandbox, place: Path) -> None:
    mark = f"{os.getpid()}2"
    outcome, written = _run(any_sandbox, place, ["sh", "-c", f"{_escaping(mark)} echo on; sleep 600.{mark}"], seconds=1)
    assert outcome is None
    assert written in ("on\n", "")
    assert _alive(f"600.{mark}") == []
    assert _run(any_sandbox, place, ["yes"], seconds=0.5)[0] is None


OWNER = """
import os, sys
from pathlib import Path
from localcluster.pachyderm.pipelines.sandbox import Command, Sandbox, new_place
with new_place(Path(sys.argv[1]), "owned") as place:
    used = Sandbox(sys.argv[3])
    used.start(Command(["sh", "-c", sys.argv[2]], None, dict(os.environ)), place).wait(lambda _: None)
"""


def test_no_process_outlives_pachd(any_sandbox: Sandbox, scratch: Path) -> None:
    mark = f"{os.getpid()}3"
    script = f"{_escaping(mark)} exec sleep 600.{mark}"
    owner = subprocess.Popen([sys.executable, "-c", OWNER, str(scratch), script, any_sandbox.refusal], cwd=REPOSITORY)
    wait_until(lambda: len(_alive(f"600.{mark}")) >= 3, "the processes to start")
    owner.kill()
    owner.wait(DEADLINE)
    wait_until(lambda: not _alive(f"600.{mark}"), "the processes to end")


def test_isolation_keeps_to_itself(scratch: Path, place: Path) -> None:
    chosen = sandbox.choose(scratch / "probe")
    if chosen.refusal:
        pytest.skip(str(chosen))
    host_has_pfs = Path("/pfs").exists()
    script = "pwd; echo beside > beside; mkdir -p /pfs/out/d; ps -e 2>/dev/null | grep -c pytest; ls /pfs"
    outcome, written = _run(chosen, place, ["sh", "-c", script])
    assert outcome == Outcome(exit=0)
    assert written == "/\n0\nin\nout\n"
    assert not Path("/beside").exists()
    assert Path("/pfs").exists() == host_has_pfs


def test_leftovers_that_nobody_may_write_are_removed(any_sandbox: Sandbox, scratch: Path) -> None:
    with new_place(scratch, "locked") as directory:
        (directory / "pfs" / "out").mkdir()
        script = (
            "mkdir -p /pfs/out/a/b; echo x > /pfs/out/a/b/c; chmod 0 /pfs/out/a/b/c; chmod 0 /pfs/out/a/b /pfs/out/a"
        )
        assert _run(any_sandbox, directory, ["sh", "-c", script])[0] == Outcome(exit=0)
    assert list(scratch.iterdir()) == []


def test_the_makeshift_rewrites_pfs_and_nothing_else(place: Path) -> None:
    argv = ["sh", "-c", "echo /pfs /pfs/in x=/pfs/in:/pfs/out /pfsx /data/pfs ./pfs $PFS_DIR; pwd"]
    own = str(place / "pfs")
    expected = f"{own} {own}/in x={own}/in:{own}/out /pfsx /data/pfs ./pfs {own}\n{own}\n"
    assert _run(REWRITTEN, place, argv) == (Outcome(exit=0), expected)


AS_NOBODY = """
import os, sys
from pathlib import Path
from localcluster.pachyderm.pipelines import sandbox
from localcluster.pachyderm.pipelines.sandbox import Command, new_place
scratch = Path(sys.argv[1])
chosen = sandbox.choose(scratch)
print(os.geteuid(), chosen.refusal)
with new_place(scratch, "datum") as place:
    (place / "pfs" / "out").mkdir()
    script = "id -u; echo hello > /pfs/out/file; pwd"
    command = Command(["sh", "-c", script], None, {"PATH": os.environ["PATH"]})
    print(chosen.start(command, place).wait(lambda data: print(data.decode(), end="")))
    print((place / "pfs" / "out" / "file").read_text())
"""


def _usable(become: list[str]) -> str | None:
    """An interpreter that somebody else may run: root's own is often out of reach."""
    program = f"import subprocess, sys, {sandbox.__name__}; subprocess.run([sys.executable, '-c', ''], check=True)"
    for python in (sys.executable, shutil.which("python3", path=os.defpath)):
        if (
            python
            and not subprocess.run(
                [*become, python, "-c", program], cwd=REPOSITORY, stderr=subprocess.DEVNULL, check=False
            ).returncode
        ):
            return python
    return None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_without_root(tmp_path: Path) -> None:
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        pytest.skip("no setpriv")
    home = tmp_path / "home"
    home.mkdir()
    for directory in (home, *home.parents):
        if directory != Path(directory.anchor) and not directory.stat().st_mode & stat.S_IXOTH:
            directory.chmod(directory.stat().st_mode | stat.S_IXGRP | stat.S_IXOTH)
    os.chown(home, 65534, 65534)
    become = [setpriv, "--reuid", "65534", "--regid", "65534", "--clear-groups", "--"]
    python = _usable(become)
    if python is None:
        pytest.skip("neither this interpreter nor the system's can be used by others")
    ran = subprocess.run(
        [*become, python, "-c", AS_NOBODY, str(home / "scratch")],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=DEADLINE, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    first, *rest = ran.stdout.splitlines()
    assert first == "65534 " or first.startswith("65534 cannot")
    working = "/" if first == "65534 " else str(home / "scratch" / "datum" / "pfs")
    assert rest == ["65534", working, "exit status 0", "hello", ""]


@pytest.mark.parametrize("moment", ["at once", "in mid-run"])
def test_a_launcher_that_is_killed_is_an_error_of_the_command(any_sandbox: Sandbox, place: Path, moment: str) -> None:
    mark = f"{os.getpid()}4"
    process = any_sandbox.start(Command(["sleep", f"600.{mark}"], None, PATH), place)
    if moment == "in mid-run":
        wait_until(lambda: bool(_alive(f"600.{mark}")), "the command to start")
    process._launcher.kill()
    if any_sandbox.isolated:
        process.kill()
    else:
        for pid in _alive(f"600.{mark}"):
            os.kill(pid, 9)
    outcome = process.wait(lambda _: None, DEADLINE)
    assert outcome in (Outcome(error="the launcher was killed"), Outcome(signal=9))
