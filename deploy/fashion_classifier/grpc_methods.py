"""Servicers' methods as the gRPC server calls them: from message to message, alone or in stages.

Codes and words of what fails are those of gRPC's own server.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import grpc  # type: ignore[import-untyped,unused-ignore]

from . import grpc_frames
from .grpc_frames import Refused
from .stages import Stages, alone

SMALL = 8 * 1024
"""Bytes of a message that may be quick, which is ten images of raw pixels, or one as a tensor."""

_logger = logging.getLogger(__name__)

Scope = dict[str, Any]
"""What ASGI tells of a request."""


class Call:
    """What a servicer gets as its context."""

    def __init__(self, scope: Scope) -> None:
        """`scope` is ASGI's."""
        self._scope = scope

    def abort(self, code: grpc_frames.Code, details: str) -> NoReturn:
        """End the call with a status other than OK."""
        raise Refused(code, details)

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        """The call's headers."""
        return tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in self._scope["headers"])

    def peer(self) -> str:
        """Who calls, as gRPC writes it: "ipv4:address:port"."""
        host, port = self._scope.get("client") or ("", 0)
        return f"ipv6:[{host}]:{port}" if ":" in host else f"ipv4:{host}:{port}"

    def time_remaining(self) -> None:
        """Seconds until the deadline, which this server does not keep."""


def in_stages(is_quick: Callable[[bytes], bool]) -> Callable[[Callable[..., Stages[Any]]], Callable[..., Any]]:
    """Make a servicer's method of one with stages, which quick calls take together and all others alone.

    `is_quick` tells by a message's bytes, at most SMALL, whether it takes no longer to read than others of its size.
    """

    def mark(stages: Callable[..., Stages[Any]]) -> Callable[..., Any]:
        @functools.wraps(stages)
        def method(servicer: Any, request: Any, context: Any) -> Any:
            return alone(stages(servicer, request, context))

        vars(method).update(stages=stages, is_quick=is_quick)
        return method

    return mark


class Method:
    """A servicer's method as it has registered itself.  Its errors are worded as gRPC's server does."""

    def __init__(self, path: str, handler: Any) -> None:
        """`handler` is a grpc.RpcMethodHandler."""
        self.path = path
        self.is_stream: bool = handler.request_streaming
        self._method = handler.stream_stream if self.is_stream else handler.unary_unary
        self._read = handler.request_deserializer or bytes
        self._write = handler.response_serializer or bytes

    def is_quick(self, content: bytes) -> bool:
        """Whether a message can be answered in step with others."""
        return len(content) <= SMALL and hasattr(self._method, "stages") and self._method.is_quick(content)

    def answer(self, content: bytes, call: Call) -> bytes:
        """From message to message, both serialised.  Raises Refused."""
        with self._refusing():
            answer = self._method(self._request(content), call)
        return self._serialised(answer)

    def answer_in_stages(self, content: bytes, call: Call) -> Stages[bytes]:
        """The same, of a method that has stages."""
        with self._refusing():
            answer = yield from self._method.stages(self._method.__self__, self._request(content), call)
        return self._serialised(answer)

    def answers(self, content: bytes, call: Call) -> list[bytes]:
        """To one message of a stream.  Raises Refused."""
        with self._refusing():
            answers = list(self._method(iter([self._request(content)]), call))
        return [self._serialised(each) for each in answers]

    @contextmanager
    def _refusing(self) -> Iterator[None]:
        try:
            yield
        except Refused:
            raise
        except Exception as error:
            _logger.exception("%s failed", self.path)
            raise Refused(grpc.StatusCode.UNKNOWN, f"Exception calling application: {error}") from error

    def _request(self, content: bytes) -> Any:
        try:
            return self._read(content)
        except Exception as error:
            raise Refused(grpc.StatusCode.INTERNAL, "Exception deserializing request!") from error

    def _serialised(self, answer: Any) -> bytes:
        try:
            content: bytes = self._write(answer)
        except Exception as error:
            _logger.exception("an answer of %s cannot be serialised", self.path)
            raise Refused(grpc.StatusCode.INTERNAL, "Failed to serialize response!") from error
        return content
