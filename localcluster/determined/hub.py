"""Waking those who wait inside the master: log followers, long polls, the shutdown.

Everything runs on one event loop, so a waiter that looks at the database and then waits without an await between
cannot miss news.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable


class Hub:
    """News by key; a key is anything hashable, such as ("logs", trial id)."""

    def __init__(self) -> None:
        self._waiting: dict[Hashable, set[asyncio.Future[None]]] = {}
        self.closing = False

    def tell(self, key: Hashable) -> None:
        """Wake all who wait for `key`."""
        for waiter in self._waiting.pop(key, ()):
            if not waiter.done():
                waiter.set_result(None)

    def close(self) -> None:
        """Wake everybody; from now on nobody waits."""
        self.closing = True
        for key in list(self._waiting):
            self.tell(key)

    async def until(self, condition: Callable[[], bool], key: Hashable, seconds: float) -> bool:
        """Wait for `condition`, looked at after each news of `key`; False after `seconds`, or when the hub closes."""
        deadline = asyncio.get_running_loop().time() + seconds
        while not (met := condition()) and not self.closing:
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                break
            await self.wait(key, left)
        return met

    async def wait(self, key: Hashable, seconds: float | None = None) -> None:
        """Return at the next news of `key`, after `seconds`, or when the hub closes."""
        if self.closing:
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiters = self._waiting.setdefault(key, set())
        waiters.add(waiter)
        try:
            await asyncio.wait([waiter], timeout=seconds)
        finally:
            waiters.discard(waiter)
            if not waiters and self._waiting.get(key) is waiters:
                del self._waiting[key]
