"""`python -m fashion_classifier.sender`: commits the spool's feedback to the Pachyderm repo `fmnist-feedback`.

It runs as a container of its own beside the model's, with the same image and the same volume, so that nothing that
happens to it or to Pachyderm reaches a request.  Killed at any moment, it loses nothing: see spool.
"""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import grpc  # type: ignore[import-untyped,unused-ignore]
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs
from pachyderm_sdk.errors import ConfigError

from . import processes, spool

REPO, BRANCH = "fmnist-feedback", "master"
ENOUGH = 2**20
"""Bytes after which a file is sent before its time: about 800 images."""

_POLL = 0.5
_FILES = 100
"""Files in one commit."""

_PIECE = 2**20
_DEADLINE = 60
"""Seconds that one commit may take."""

_FIRST_BACKOFF, _LONGEST_BACKOFF = 1.0, 60.0
_RESTART = 5.0
_REFUSED = (grpc.RpcError, OSError, ConfigError, ValueError, TypeError, KeyError)
"""What the client raises where pachd cannot be reached or refuses, and for a configuration that it cannot read."""

_log = logging.getLogger("sender")


def send_forever(directory: Path, seconds: float) -> NoReturn:
    """Send what has waited for `seconds`; after a failure again and again, at growing intervals.

    Of several senders that share a directory, one works and the others wait for its end.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "sender.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _log.info("sending the feedback in %s to %s@%s every %g s", directory, REPO, BRANCH, seconds)
        pause = _FIRST_BACKOFF
        while True:
            try:
                send_due(directory, seconds)
            except _REFUSED as error:
                _log.warning("%s; %d bytes wait; trying again in %g s", _reason(error), spool.size(directory), pause)
                time.sleep(pause)
                pause = min(pause * 2, _LONGEST_BACKOFF)
            else:
                pause = _FIRST_BACKOFF
                time.sleep(_POLL)


def send_due(directory: Path, seconds: float) -> None:
    """Commit the files that are due, then remove them.  Raises what the client raises; then all of them are kept.

    While closed files wait, no others are closed: an outage leaves few files behind, not one every few seconds.
    """
    if not spool.closed(directory):
        spool.close_due(directory, seconds, ENOUGH)
    if batch := spool.closed(directory)[:_FILES]:
        commit(batch)
        for path in batch:
            path.unlink(missing_ok=True)
        _log.info("sent %s", ", ".join(spool.destination(path) for path in batch))


def commit(batch: list[Path]) -> None:
    """Write the files in one commit; what an earlier attempt may have written under their names is replaced.

    One ModifyFile call on the branch: pachd makes the commit when the call is complete, and nothing otherwise.
    """
    with _deadline(_DEADLINE):
        Client.from_config().pfs.modify_file(_changes(batch))


def _changes(batch: list[Path]) -> Iterator[pfs.ModifyFileRequest]:
    branch = pfs.Branch(repo=pfs.Repo(name=REPO), name=BRANCH)
    yield pfs.ModifyFileRequest(set_commit=pfs.Commit(repo=branch.repo, branch=branch))
    for path in batch:
        name = spool.destination(path)
        yield pfs.ModifyFileRequest(delete_file=pfs.DeleteFile(path=name))
        with path.open("rb") as stream:
            while piece := stream.read(_PIECE):
                yield pfs.ModifyFileRequest(add_file=pfs.AddFile(path=name, raw=piece))


@contextmanager
def _deadline(seconds: float) -> Iterator[None]:
    """The client's calls know no deadline: a signal ends one that takes longer.  Raises TimeoutError."""

    def give_up(*_: object) -> NoReturn:
        raise TimeoutError(f"pachd did not answer in {seconds:g} s")

    signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _reason(error: BaseException) -> str:
    if isinstance(error, grpc.Call):
        return f"pachd: {error.details()}"
    if isinstance(error, ConnectionError):
        return "pachd cannot be reached at the address in PACH_CONFIG"
    return f"{type(error).__name__}: {error}"


def main() -> NoReturn:
    """Keep one sending process alive: `FEEDBACK_SPOOL` is its directory, `FEEDBACK_SECONDS` the time between commits.

    A container that ends takes its whole Pod out of service, so what kills the sending process must not end this one.
    """
    # The client's interceptor raises in a callback; grpc would log each refusal a second time, with a traceback.
    logging.getLogger("grpc").setLevel(logging.CRITICAL)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s", stream=sys.stderr)
    directory, seconds = Path(os.environ["FEEDBACK_SPOOL"]), float(os.environ.get("FEEDBACK_SECONDS") or 30)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    processes.end_together()
    while True:
        child = os.fork()
        if not child:
            send_forever(directory, seconds)
        _, status = os.waitpid(child, 0)
        _log.error("the sending process ended (wait status %d); another begins in %g s", status, _RESTART)
        time.sleep(_RESTART)


if __name__ == "__main__":
    main()
