"""gunicorn's threaded worker, which here answers small predictions itself instead of handing them to a thread.

A prediction takes well under a millisecond, less than two threads take to pass it, its connection and Python's lock
back and forth; and a worker that only hands over accepts connections faster than it can serve them, so that of 32 that
come at once one of two workers got all.  Here the loop that waits for requests answers those that have arrived whole.
Where the head has come but not yet all of the body, the kernel says when it has.  Probes are answered so, too, since
they must not fail because all threads wait.  Large requests, other paths and heads in parts have a thread, as gunicorn
does it.

What waits for the loop is in no thread's queue, which gunicorn would empty before a worker ends: this one ends once
nothing that has come is unanswered.
"""

from __future__ import annotations

import re
import selectors
import signal
import socket
import sys
import time
from functools import partial
from types import FrameType
from typing import Any

from gunicorn.arbiter import Arbiter  # type: ignore[import-untyped,unused-ignore]
from gunicorn.workers import gthread  # type: ignore[import-untyped,unused-ignore]

SMALL = 64 * 1024
"""Bytes of a request, with its head, that is answered without a thread: about 20 images as JSON."""
PAUSE = 0.0005
"""Seconds from one new connection to the next, in which another worker wakes up and takes its share."""
QUIET = 0.2
"""Seconds without a request after which a worker that was told to stop does: who sends them may not know it yet."""

_PREDICTION = re.compile(rb"POST /(?:api/v\d\.\d/predictions|predict)[ ?]")
_PROBE = re.compile(rb"GET /(?:health/(?:status|ping)|ready|live) ")
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,9})[ \t]*\r\n", re.IGNORECASE)


def install() -> None:
    """Let gunicorn make its threaded workers of this class.

    Called by the wrapper's constructor, which Seldon runs before it starts gunicorn.
    """
    gthread.ThreadWorker = DirectWorker


class DirectWorker(gthread.ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """One worker process: its loop answers small predictions and probes, its threads the rest."""

    _pause_ends = 0.0
    max_requests: int
    _ends_by: float | None = None

    def run(self) -> None:
        """Serve.  A SIGTERM that came while this process was being forked stands in the queue of its parent alone."""
        if signal.SIGTERM in Arbiter.SIG_QUEUE:
            self._end_when_quiet()
        super().run()

    def accept(self, server: Any, listener: socket.socket) -> None:
        """Take a new connection, unless this worker took one just now; then the loop comes back for it."""
        if time.monotonic() >= self._pause_ends:
            super().accept(server, listener)
            self._pause_ends = time.monotonic() + PAUSE

    def enqueue_req(self, conn: Any) -> None:
        """Watch a new connection until a request comes, as gunicorn does between two."""
        conn.sock.setblocking(False)
        conn.set_timeout()
        with self._lock:
            self._keep.append(conn)
            self.poller.register(conn.sock, selectors.EVENT_READ, partial(self.reuse_connection, conn))

    def reuse_connection(self, conn: Any, client: socket.socket) -> None:
        """Have the request answered that has come, in part or as a whole, on a watched connection."""
        begin = _arrived(client)
        size = size_of(begin)
        if size is not None and len(begin) >= size:
            self._answer(conn)
        elif size is not None and client.getsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT) < size:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, size)
        else:
            self._forget(conn)
            super().enqueue_req(conn)

    def _answer(self, conn: Any) -> None:
        # The arbiter kills a worker that does not come back to its loop for seconds, as with many requests at once.
        self.notify()
        _wait_for_nothing(conn)
        conn.init()
        # gunicorn sends head and body apart, which would wake the client twice.
        conn.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
        is_kept, _ = self.handle(conn)
        if is_kept and self.alive:
            conn.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)
            conn.sock.setblocking(False)
            conn.set_timeout()
            with self._lock:
                self._keep.remove(conn)
                self._keep.append(conn)
        else:
            self._forget(conn)
            self.nr_conns -= 1
            conn.close()

    def handle_request(self, req: Any, conn: Any) -> Any:
        """Answer one request; with the last of `max_requests`, gunicorn would end the loop at once."""
        if self.nr + 1 >= self.max_requests:
            self.max_requests = sys.maxsize
            self.log.info("Autorestarting worker after the requests that have come.")
            self._end_when_quiet()
        return super().handle_request(req, conn)

    def handle_exit(self, _signal: int, _frame: FrameType | None) -> None:
        """SIGTERM, by which gunicorn's first process lets a worker stop gracefully."""
        self._end_when_quiet()

    def murder_keepalived(self) -> None:
        """End a turn of the loop as gunicorn does, and the last one with `alive`."""
        super().murder_keepalived()
        if self._ends_by is not None and (time.monotonic() >= self._ends_by or not self._is_asked()):
            self.alive = False

    def _end_when_quiet(self) -> None:
        if self._ends_by is None:
            self._ends_by = time.monotonic() + self.cfg.graceful_timeout
            self.max_keepalived = 0  # Each answer tells its client that the connection ends.

    def _is_asked(self) -> bool:
        """Whether a request comes within QUIET, or part of one has come."""
        if self.poller.select(QUIET):
            return True
        with self._lock:
            watched = [conn.sock for conn in self._keep]
        return any(_arrived(sock) for sock in watched)

    def _forget(self, conn: Any) -> None:
        """Watch a connection no longer."""
        _wait_for_nothing(conn)
        with self._lock:
            self._keep.remove(conn)
            self.poller.unregister(conn.sock)


def size_of(begin: bytes) -> int | None:
    """How many bytes a request has that is answered without a thread; None for others, and until its head is there.

    `begin` are its first bytes, up to SMALL.
    """
    head, end, _ = begin.partition(b"\r\n\r\n")
    length = 0
    if not _PROBE.match(begin):
        found = _LENGTH.search(head + b"\r\n") if _PREDICTION.match(begin) else None
        if found is None:
            return None
        length = int(found[1])
    size = len(head) + len(end) + length
    return size if end and size <= SMALL else None


def _wait_for_nothing(conn: Any) -> None:
    """Let gunicorn have what has come: with the mark that `reuse_connection` sets, reading would wait for as much."""
    if conn.sock.fileno() >= 0:
        conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)


def _arrived(connection: socket.socket) -> bytes:
    """What a client has sent, up to SMALL bytes, without taking it."""
    try:
        return connection.recv(SMALL, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except OSError:
        return b""  # A thread meets the same error, and closes the connection.
