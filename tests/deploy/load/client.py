"""Many connections at once, each asking without a pause, each answer compared with the right one."""

from __future__ import annotations

import http.client
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle, islice

from localcluster.settings import HOST
from tests.deploy.load.questions import Question


class Load:
    """`connections` clients of one ingress; `answers` counts statuses, `faults` lists what was wrong."""

    def __init__(self, port: int, prefix: str, asked: list[Question], connections: int) -> None:
        self.answers: Counter[int] = Counter()
        self.faults: list[str] = []
        self._port, self._prefix = port, prefix
        self._done = threading.Event()
        self._lock = threading.Lock()
        starts = [number * len(asked) // connections for number in range(connections)]
        self._threads = [
            threading.Thread(target=self._ask, args=(islice(cycle(asked), start, None),)) for start in starts
        ]

    @contextmanager
    def running(self) -> Iterator[None]:
        """Ask until the block ends."""
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._done.set()
            for thread in self._threads:
                thread.join()

    def _ask(self, asked: Iterator[Question]) -> None:
        connection = http.client.HTTPConnection(HOST, self._port, timeout=60)
        for question in asked:
            if self._done.is_set():
                break
            try:
                status, body = self._answer(connection, question)
                fault = question.fault(status, body)
            except (OSError, http.client.HTTPException) as error:
                status, fault = 0, repr(error)
                connection.close()
            with self._lock:
                self.answers[status] += 1
                if fault:
                    self.faults.append(fault)
        connection.close()

    def _answer(self, connection: http.client.HTTPConnection, question: Question) -> tuple[int, bytes]:
        method = "GET" if question.body is None else "POST"
        headers = {"Content-Type": "application/json"}
        connection.request(method, f"{self._prefix}/{question.path}", question.body, headers)
        response = connection.getresponse()
        return response.status, response.read()
