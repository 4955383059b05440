"""gunicorn's threaded worker, which here answers small predictions itself instead of handing them to a thread.

A prediction takes well under a millisecond, less than two threads take to pass it, its connection and Python's lock
back and forth; and a worker that only hands over accepts connections faster than it can serve them, so that of 32 that
come at once one of two workers got all.  Here the loop that waits for requests answers those that have arrived whole.
Where the head has come but not yet all of the body, the kernel says when it has.  Probes are answered so, too, since
they must not fail because all threads wait.  Large requests, other paths and heads in parts have a thread, as gunicorn
does it.
"""

from __future__ import annotations

import re
import selectors
import socket
import time
from functools import partial
from typing import Any

from gunicorn.workers import gthread  # type: ignore[import-untyped,unused-ignore]

SMALL = 64 * 1024
"""Bytes of a request, with its head, that is answered without a thread: about 20 images as JSON."""
PAUSE = 0.0005
"""Seconds from one new connection to the next, in which another worker wakes up and takes its share."""

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
