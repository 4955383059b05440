"""What a handler knows of the call it answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import TypeVar

import grpc

from localcluster.pachyderm.blobs import Blobs
from localcluster.pachyderm.state.database import Transaction
from localcluster.pachyderm.state.store import Store

T = TypeVar("T")


class CallerGone(Exception):
    """The caller ended the call or died before it was complete; nothing of it may take effect."""


class Session:
    """One call in progress: the store it works on and whether its caller is still there."""

    def __init__(self, store: Store, context: grpc.ServicerContext) -> None:
        self.store = store
        self._context = context
        self._watched = False

    @property
    def blobs(self) -> Blobs:
        """The store's file contents."""
        return self.store.blobs

    def read(self) -> AbstractContextManager[Transaction]:
        """A transaction that sees one state."""
        return self.store.database.read()

    def write(self) -> AbstractContextManager[Transaction]:
        """A transaction that is durable when its block ends."""
        return self.store.database.write()

    def active(self) -> bool:
        """Whether the caller still waits for the answer."""
        return bool(self._context.is_active())

    def require_active(self) -> None:
        """Raise CallerGone where the caller no longer waits for the answer."""
        if not self.active():
            raise CallerGone

    def require_complete(self, requests: Iterator[object]) -> None:
        """Raise CallerGone or grpc.RpcError where a stream of requests has ended because its caller went away.

        gRPC tells of a lost connection as the end of the stream and only then as a call that was cancelled.  Another
        read is answered after both, because both were under way when it was asked for.
        """
        next(requests, None)
        self.require_active()

    def wait(self, look: Callable[[Transaction], T | None]) -> T | None:
        """Call `look` after every change until it answers; None once the caller has gone."""
        return self.store.database.wait(look, self.active) if self._watch() else None

    def wait_for_logs(self, version: int) -> bool:
        """Return once there may be more lines than at `version` of the logs; False once the caller has gone."""
        if not self._watch():
            return False
        self.store.logs.wait(version)
        return self.active()

    def _watch(self) -> bool:
        """Have the end of the call wake those who wait; False where it has ended."""
        if not self._watched:
            self._watched = bool(self._context.add_callback(self.store.database.wake))
        return self._watched
