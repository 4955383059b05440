"""gunicorn's threaded worker, which here answers small predictions itself instead of handing them to a thread.

A prediction takes well under a millisecond, less than two threads take to pass it, its connection and Python's lock
back and forth; and a worker that only hands over accepts connections faster than it can serve them, so that of 32 that
come at once one of two workers got all.  Here the loop that waits for requests answers those that have arrived whole.
All others have a thread, as gunicorn does it: large ones, other paths, and clients that send slowly, which would keep
the loop waiting.
"""

from __future__ import annotations

import re
import select
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
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,9})[ \t]*\r\n", re.IGNORECASE)


def install() -> None:
    """Let gunicorn make its threaded workers of this class.

    Called by the wrapper's constructor, which Seldon runs before it starts gunicorn.
    """
    gthread.ThreadWorker = DirectWorker


class DirectWorker(gthread.ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """One worker process: its loop answers small predictions, its threads the rest."""

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
            self.poller.register(conn.sock, select.EPOLLIN, partial(self.reuse_connection, conn))

    def reuse_connection(self, conn: Any, client: socket.socket) -> None:
        """Have the request answered that has come on a watched connection."""
        if is_whole_prediction(_arrived(client)):
            self._answer(conn)
            return
        self._forget(conn)
        super().enqueue_req(conn)

    def _answer(self, conn: Any) -> None:
        # The arbiter kills a worker that does not come back to its loop for seconds, as with many requests at once.
        self.notify()
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
        with self._lock:
            self._keep.remove(conn)
            self.poller.unregister(conn.sock)


def is_whole_prediction(begin: bytes) -> bool:
    """Whether `begin`, a request's first bytes up to SMALL, are all of a prediction."""
    if not _PREDICTION.match(begin):
        return False
    head, end, body = begin.partition(b"\r\n\r\n")
    length = _LENGTH.search(head + b"\r\n")
    return bool(end) and length is not None and len(body) >= int(length[1])


def _arrived(connection: socket.socket) -> bytes:
    """What a client has sent, up to SMALL bytes, without taking it."""
    try:
        return connection.recv(SMALL, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except OSError:
        return b""  # A thread meets the same error, and closes the connection.
