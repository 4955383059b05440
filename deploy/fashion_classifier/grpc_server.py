"""A server for gRPC servicers that answers small calls in step, over h2corn, which speaks HTTP/2 in native code.

gRPC's own Python server hands each call from thread to thread, for which Python's lock changes hands several times: as
much work again as a forward pass.  Here one loop reads calls, and those that have come by the time it gets to them go
through their stages together (`stages`).  Large calls, and servicers' methods without stages, have a thread.

It takes the place of `grpc.server` in Seldon's microservice, and servicers register themselves as with that.  Unary
calls are answered as gRPC's own server answers them; of a stream, each message is answered for itself, which is all
that its one streaming servicer, reflection, does.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import Executor
from typing import Any, NamedTuple, NoReturn

import grpc  # type: ignore[import-untyped,unused-ignore]
import h2corn

from . import grpc_frames
from .grpc_frames import Refused
from .stages import Stages, alone, in_step

SMALL = 8 * 1024
"""Bytes of a message that is answered without a thread: ten images of raw pixels, or one as numbers."""
MOST = 32
"""Calls that go through their stages together; more would wait for each other longer than they save."""
GRACE = 10
"""Seconds that calls have to end after SIGTERM."""
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

Scope = dict[str, Any]
Send = Callable[[Any], Awaitable[None]]


class Call:
    """What a servicer gets as its context."""

    def abort(self, code: grpc_frames.Code, details: str) -> NoReturn:
        """End the call with a status other than OK."""
        raise Refused(code, details)


class Server:
    """One process of the server; it has what Seldon's microservice asks of a `grpc.Server`."""

    def __init__(self, pool: Executor, options: Sequence[tuple[str, Any]] = ()) -> None:
        """`pool` has the threads; of gRPC's `options`, the largest message that is taken counts (-1: any)."""
        self._pool = pool
        self._limit: int = dict(options).get("grpc.max_receive_message_length", _MAX_MESSAGE)
        self._handlers: list[Any] = []
        self._methods: dict[str, _Method] = {}
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
        """Serve until SIGTERM, then for GRACE what has come until then; the process ends with it."""
        asyncio.run(self._serve())
        sys.exit()

    async def __call__(self, scope: Scope, receive: grpc_frames.Receive, send: Send) -> None:
        """Answer one call (ASGI 3.0 with its extension for trailers)."""
        if scope["type"] != "http":
            return
        try:
            method = self._method(scope["path"])
            messages = grpc_frames.Messages(receive, grpc_frames.encoding_of(scope["headers"]), self._limit)
            if method.is_stream:
                await self._answer_stream(method, messages, send)
                return
            content = await messages.next()
            if content is None:
                details = f'"{scope["path"].encode()!r}" requires exactly one request message.'
                raise Refused(grpc.StatusCode.UNIMPLEMENTED, details)
            body = grpc_frames.frame(await self._answer(method, content))
        except Refused as refused:
            await send(_START)
            await _end(send, b"", refused.code, refused.details)
        else:
            await send(_START)
            await _end(send, body, grpc.StatusCode.OK)

    async def _answer(self, method: _Method, content: bytes) -> bytes:
        loop = asyncio.get_running_loop()
        if not method.has_stages or len(content) > SMALL:
            return await loop.run_in_executor(self._pool, alone, method.answer(content))
        answered: asyncio.Future[bytes] = loop.create_future()
        self._waiting.append((method.answer(content), answered))
        if len(self._waiting) == 1:
            loop.call_soon(self._answer_waiting)
        return await answered

    def _answer_waiting(self) -> None:
        chosen, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._answer_waiting)
        # Whoever has given up has a future that is cancelled.
        asked = [(call, answered) for call, answered in chosen if not answered.done()]
        results = in_step([call for call, _ in asked], Refused)
        for (_, answered), result in zip(asked, results, strict=True):
            if isinstance(result, Refused):
                answered.set_exception(result)
            else:
                answered.set_result(result)

    async def _answer_stream(self, method: _Method, messages: grpc_frames.Messages, send: Send) -> None:
        code, details = grpc.StatusCode.OK, ""
        await send(_START)
        try:
            while (content := await messages.next()) is not None:
                answers = await asyncio.get_running_loop().run_in_executor(self._pool, method.answers, content)
                for each in answers:
                    await send({"type": "http.response.body", "body": grpc_frames.frame(each), "more_body": True})
        except Refused as refused:
            code, details = refused.code, refused.details
        await _end(send, b"", code, details)

    def _method(self, path: str) -> _Method:
        if path not in self._methods:
            found = (each.service(_Details(path, ())) for each in self._handlers)
            handler = next(filter(None, found), None)
            if handler is None:
                raise Refused(grpc.StatusCode.UNIMPLEMENTED, "Method not found!")
            self._methods[path] = _Method(handler)
        return self._methods[path]

    async def _serve(self) -> None:
        config = h2corn.Config(
            bind=(f"fd://{self._listener.fileno()}",),
            grpc=True,
            http1=False,
            lifespan="off",
            access_log=False,
            runtime_threads=1,  # The loop does the rest, and there are as many processes as cores.
            timeout_keep_alive=0,
            timeout_graceful_shutdown=GRACE,
        )
        server = h2corn.Server(self, config)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, server.shutdown)
        await server.serve()


class _Details(NamedTuple):
    """What a generic handler is asked by (grpc.HandlerCallDetails)."""

    method: str
    invocation_metadata: Sequence[Any]


class _Method:
    """A servicer's method as it has registered itself.  Its errors are worded as gRPC's server does."""

    def __init__(self, handler: Any) -> None:
        """`handler` is a grpc.RpcMethodHandler."""
        self._handler = handler
        self._read = handler.request_deserializer or bytes
        self._write = handler.response_serializer or bytes
        self.is_stream: bool = handler.request_streaming
        self.has_stages = inspect.isgeneratorfunction(handler.unary_unary)

    def answer(self, content: bytes) -> Stages[bytes]:
        """From message to message, both serialised.  Raises Refused."""
        request = self._request(content)
        try:
            answer = self._handler.unary_unary(request, Call())
            if self.has_stages:
                answer = yield from answer
        except Refused:
            raise
        except Exception as error:
            _logger.exception("a servicer's method failed")
            raise Refused(grpc.StatusCode.UNKNOWN, f"Exception calling application: {error}") from error
        return self._serialised(answer)

    def answers(self, content: bytes) -> list[bytes]:
        """To one message of a stream.  Raises Refused."""
        return [self._serialised(each) for each in self._handler.stream_stream(iter([self._request(content)]), Call())]

    def _request(self, content: bytes) -> Any:
        try:
            return self._read(content)
        except Exception as error:
            raise Refused(grpc.StatusCode.INTERNAL, "Exception deserializing request!") from error

    def _serialised(self, answer: Any) -> bytes:
        try:
            content: bytes = self._write(answer)
        except Exception as error:
            _logger.exception("an answer cannot be serialised")
            raise Refused(grpc.StatusCode.INTERNAL, "Failed to serialize response!") from error
        return content


async def _end(send: Send, body: bytes, code: grpc_frames.Code, details: str = "") -> None:
    await send({"type": "http.response.body", "body": body})
    await send({"type": "http.response.trailers", "headers": grpc_frames.trailers(code, details)})
