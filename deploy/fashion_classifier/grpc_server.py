"""A server for gRPC servicers that answers small calls in step, over h2corn, which speaks HTTP/2 in native code.

gRPC's own Python server hands each call from thread to thread, for which Python's lock changes hands several times: as
much work again as a forward pass.  Here one loop reads calls, and the quick ones that have come by the time it gets to
them go through their stages together (`stages`).  All others have a thread.

It takes the place of `grpc.server` in Seldon's microservice, and servicers register themselves as with that.  Codes and
words of unary calls are those of gRPC's own server; deadlines are the client's and Envoy's business, and a context has
what Seldon's servicers and its tracing ask for.  Of a stream, each message is answered for itself, which is all that
Seldon's one streaming servicer, reflection, does.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from typing import Any, NamedTuple, NoReturn

import grpc  # type: ignore[import-untyped,unused-ignore]
import h2corn

from . import grpc_frames
from .grpc_frames import Refused
from .grpc_methods import Call, Method, Scope
from .processes import GRACE
from .stages import Stages, in_step

MOST = 32
"""Calls that go through their stages together; more would wait for each other longer than they save."""
IDLE = 60
"""Seconds in which the next bytes of a message have to come, or the client has to take those of an answer."""
_MAX_HEAD = 16 * 1024
"""Bytes of a call's metadata; gRPC's default, which limits no other property of it."""
_MAX_MESSAGE = 4 * 1024 * 1024
"""gRPC's default."""

_START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [
        (b"content-type", b"application/grpc"),
        (b"grpc-accept-encoding", b", ".join(grpc_frames.ENCODINGS)),
    ],
    "trailers": True,
}
_logger = logging.getLogger(__name__)

Send = Callable[[Any], Awaitable[None]]


class Server:
    """One process of the server; it has what Seldon's microservice asks of a `grpc.Server`."""

    def __init__(self, pool: Executor, options: Sequence[tuple[str, Any]] = ()) -> None:
        """`pool` has the threads; of gRPC's `options`, the largest messages count (-1: any)."""
        self._pool, given = pool, dict(options)
        self._most_received: int = given.get("grpc.max_receive_message_length", _MAX_MESSAGE)
        self._most_sent: int = given.get("grpc.max_send_message_length", -1)
        self._handlers: list[Any] = []
        self._methods: dict[str, Method] = {}
        self._waiting: list[tuple[Stages[bytes], asyncio.Future[bytes]]] = []

    def add_generic_rpc_handlers(self, handlers: Iterable[Any]) -> None:
        """Take a servicer's methods; gRPC's generated code calls this."""
        self._handlers += handlers

    def add_registered_method_handlers(self, service: str, handlers: Any) -> None:
        """The same methods once more, as newer generated code gives them."""

    def add_insecure_port(self, address: str) -> int:
        """Listen on `address`, "host:port", beside other processes that do; the port.  Raises OSError."""
        host, _, port = address.rpartition(":")
        self._listener = socket.create_server((host, int(port)), reuse_port=True)
        found: int = self._listener.getsockname()[1]
        return found

    def start(self) -> NoReturn:
        """Serve on the port until SIGTERM; calls in progress then have GRACE seconds.  The process ends with it."""
        asyncio.run(self._serve())
        sys.exit()

    async def __call__(self, scope: Scope, receive: grpc_frames.Receive, send: Send) -> None:
        """Answer one call (ASGI 3.0 with its extension for trailers)."""
        headers = dict(scope["headers"])
        if not _is_call(scope, headers):
            await send({"type": "http.response.start", "status": 415, "headers": []})
            await send({"type": "http.response.body", "body": b""})
            return
        body, code, details = b"", grpc.StatusCode.OK, ""
        try:
            method = self._method(scope["path"])
            messages = grpc_frames.Messages(receive, grpc_frames.encoding_of(headers), self._most_received)
            if method.is_stream:
                await self._answer_stream(method, messages, Call(scope), send)
                return
            body = grpc_frames.frame(await self._answer(method, messages, Call(scope)))
        except Refused as refused:
            code, details = refused.code, refused.details
        await send(_START)
        await _end(send, body, code, details)

    async def _answer(self, method: Method, messages: grpc_frames.Messages, call: Call) -> bytes:
        loop, content = asyncio.get_running_loop(), await messages.next()
        if content is None:
            details = f'"{method.path.encode()!r}" requires exactly one request message.'
            raise Refused(grpc.StatusCode.UNIMPLEMENTED, details)
        if method.is_quick(content):
            answered: asyncio.Future[bytes] = loop.create_future()
            self._waiting.append((method.answer_in_stages(content, call), answered))
            if len(self._waiting) == 1:
                loop.call_soon(self._answer_waiting)
            answer = await answered
        else:
            answer = await loop.run_in_executor(self._pool, method.answer, content, call)
        if 0 <= self._most_sent < len(answer):
            details = f"Sent message larger than max ({len(answer)} vs. {self._most_sent})"
            raise Refused(grpc.StatusCode.RESOURCE_EXHAUSTED, details)
        return answer

    def _answer_waiting(self) -> None:
        chosen, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._answer_waiting)
        # Whoever has given up has a future that is cancelled.
        asked = [(call, answered) for call, answered in chosen if not answered.done()]
        results = in_step([call for call, _ in asked], Exception)
        for (_, answered), result in zip(asked, results, strict=True):
            if isinstance(result, Exception):
                answered.set_exception(result)
            else:
                answered.set_result(result)

    async def _answer_stream(self, method: Method, messages: grpc_frames.Messages, call: Call, send: Send) -> None:
        code, details = grpc.StatusCode.OK, ""
        await send(_START)
        try:
            while (content := await messages.next()) is not None:
                answers = await asyncio.get_running_loop().run_in_executor(self._pool, method.answers, content, call)
                for each in answers:
                    await send({"type": "http.response.body", "body": grpc_frames.frame(each), "more_body": True})
        except Refused as refused:
            code, details = refused.code, refused.details
        await _end(send, b"", code, details)

    def _method(self, path: str) -> Method:
        if path not in self._methods:
            found = (each.service(_Details(path, ())) for each in self._handlers)
            handler = next(filter(None, found), None)
            if handler is None:
                raise Refused(grpc.StatusCode.UNIMPLEMENTED, "Method not found!")
            self._methods[path] = Method(path, handler)
        return self._methods[path]

    async def _serve(self) -> None:
        config = h2corn.Config(
            bind=(f"fd://{self._listener.fileno()}",),
            grpc=True,
            http1=False,
            lifespan="off",
            access_log=False,
            runtime_threads=1,  # The loop does the rest, and there are as many processes as cores.
            limit_request_fields=0,
            h2_max_header_list_size=_MAX_HEAD,
            h2_max_header_block_size=_MAX_HEAD,
            request_policies=(
                h2corn.RequestPolicy(
                    path="/*", max_request_body_size=0, timeout_request_body_idle=IDLE, h2_timeout_response_stall=IDLE
                ),
            ),
            timeout_keep_alive=0,
            timeout_graceful_shutdown=GRACE,
        )
        server = h2corn.Server(self, config)

        def stop() -> None:
            server.shutdown()
            # h2corn keeps copies of it, on which nobody would take the connections that the kernel goes on giving them.
            self._listener.shutdown(socket.SHUT_RDWR)

        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop)
        await server.serve()


class _Details(NamedTuple):
    """What a generic handler is asked by (grpc.HandlerCallDetails)."""

    method: str
    invocation_metadata: Sequence[Any]


def _is_call(scope: Scope, headers: Mapping[bytes, bytes]) -> bool:
    """Whether a request is a call at all (grpc.io, "gRPC over HTTP2": others get 415)."""
    return (
        scope["type"] == "http"
        and scope["method"] == "POST"
        and headers.get(b"content-type", b"").startswith(b"application/grpc")
        and headers.get(b"te") == b"trailers"
    )


async def _end(send: Send, body: bytes, code: grpc_frames.Code, details: str) -> None:
    await send({"type": "http.response.body", "body": body})
    await send({"type": "http.response.trailers", "headers": grpc_frames.trailers(code, details)})
