"""The gRPC server: finds a call's handler, checks its token, and turns the state's errors into statuses."""

from __future__ import annotations

import hmac
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc

from localcluster.pachyderm.errors import PachdError, Unauthenticated, Unimplemented, defect
from localcluster.pachyderm.servicer import content, validation
from localcluster.pachyderm.servicer.calls import CALLS, Call, Kind
from localcluster.pachyderm.servicer.session import CallerGone, Session
from localcluster.pachyderm.state.store import Store

log = logging.getLogger("pachd")

LARGEST_MESSAGE = 21 * 1024 * 1024
"""The SDK sends file contents 19 MiB at a time."""

THREADS = 1024
"""Calls in progress at once; a waiting or subscribed client takes one.  Threads are made as they are needed."""

OPTIONS = (
    ("grpc.max_receive_message_length", LARGEST_MESSAGE),
    ("grpc.max_send_message_length", LARGEST_MESSAGE),
    ("grpc.so_reuseport", 0),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
)


def serve(store: Store, token: str, address: str) -> grpc.Server:
    """Start to serve `store` at `address` ("127.0.0.1:30650").  Raises RuntimeError where it cannot be bound."""
    server = grpc.server(ThreadPoolExecutor(THREADS, "call"), handlers=[_Handlers(store, token)], options=OPTIONS)
    server.add_insecure_port(address)
    server.start()
    return server


class _Handlers(grpc.GenericRpcHandler):  # type: ignore[type-arg]
    def __init__(self, store: Store, token: str) -> None:
        self._store = store
        self._token = token.encode()
        self._handlers = {f"/{call.name}": self._handler(call) for call in CALLS}

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any]:
        method = str(handler_call_details.method)
        return self._handlers.get(method) or grpc.stream_stream_rpc_method_handler(self._unserved(method))

    def _handler(self, call: Call) -> grpc.RpcMethodHandler[Any, Any]:
        decode = call.request.FromString
        if call.kind is Kind.SERVER_STREAM:
            return grpc.unary_stream_rpc_method_handler(self._streaming(call), decode, bytes)
        if call.kind is Kind.CLIENT_STREAM:
            return grpc.stream_unary_rpc_method_handler(self._unary(call), content.decode, bytes)
        return grpc.unary_unary_rpc_method_handler(self._unary(call), decode, bytes)

    def _unary(self, call: Call) -> Callable[[Any, grpc.ServicerContext], Any]:
        def answer(request: Any, context: grpc.ServicerContext) -> Any:
            with self._refusing(call, context):
                validation.check(request, "validate request")
                return call.handler(request, Session(self._store, context))

        return answer

    def _streaming(self, call: Call) -> Callable[[Any, grpc.ServicerContext], Iterator[Any]]:
        def answer(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
            with self._refusing(call, context):
                validation.check(request, "validate recv")
                yield from call.handler(request, Session(self._store, context))

        return answer

    def _unserved(self, method: str) -> Callable[[Any, grpc.ServicerContext], Iterator[Any]]:
        def handler(_request: Any, _session: Session) -> Iterator[Any]:
            raise Unimplemented(f"{method.lstrip('/')} is not served by the local cluster's pachd")

        service, _, name = method.lstrip("/").rpartition("/")
        return self._streaming(Call(service, name, Kind.SERVER_STREAM, None, None, handler))

    @contextmanager
    def _refusing(self, call: Call, context: grpc.ServicerContext) -> Iterator[None]:
        """Check the caller's token, then answer a PachdError raised in the block with its code and words."""
        try:
            if not call.open:
                self._authenticate(context)
            yield
        except PachdError as error:
            context.abort(grpc.StatusCode[error.code], str(error))
        except (CallerGone, grpc.RpcError):
            log.info("%s: the caller went away; nothing was changed", call.name)
            context.abort(grpc.StatusCode.CANCELLED, "the caller went away")
        except Exception as error:
            log.exception("%s: a defect of pachd", call.name)
            context.abort(grpc.StatusCode.INTERNAL, defect(error))

    def _authenticate(self, context: grpc.ServicerContext) -> None:
        token = dict(context.invocation_metadata()).get("authn-token")
        if not token:
            raise Unauthenticated("no authentication token (try logging in)")
        given = token if isinstance(token, bytes) else token.encode()
        if not hmac.compare_digest(given, self._token):
            raise Unauthenticated("provided auth token is corrupted or has expired (try logging in again)")
