"""A program for the serving environment: gRPC's own server and ours, asked the same by gRPC's client.

Prints as JSON what each answered, [code, details, answer in hex] by question, and what only ours is asked.
"""

from __future__ import annotations

import json
import multiprocessing
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import opentracing
from grpc_opentracing import open_tracing_server_interceptor
from grpc_opentracing.grpcext import intercept_server
from grpc_reflection.v1alpha import reflection
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest
from grpc_reflection.v1alpha.reflection_pb2_grpc import ServerReflectionStub

from deploy.fashion_classifier.grpc_methods import SMALL, in_stages
from deploy.fashion_classifier.grpc_server import Server
from deploy.fashion_classifier.stages import Stages

TIMEOUT = 60
OPTIONS = [("grpc.enable_http_proxy", 0), ("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
LARGE = bytes(range(256)) * 16_000
HAS_COME, MAY_END = multiprocessing.Event(), multiprocessing.Event()
"""Of a slow call, between the processes."""
WORDS = 'refused: é % ~ "\\ \n\t end'


def echo(message: bytes, _context: Any) -> bytes:
    """The same."""
    return message


def fail(_message: bytes, _context: Any) -> bytes:
    """Raise."""
    raise ValueError(WORDS)


def abort(_message: bytes, context: Any) -> bytes:
    """Refuse."""
    context.abort(grpc.StatusCode.NOT_FOUND, WORDS)
    raise AssertionError("a call goes on after abort")


class Servicer:
    """Has a method with stages."""

    @in_stages(lambda message: not message.startswith(b"slow"))
    def staged(self, message: bytes, context: Any) -> Stages[bytes]:
        """The message in capitals, unless it says what is to happen."""
        yield
        if message == b"abort":
            context.abort(grpc.StatusCode.NOT_FOUND, WORDS)
        yield
        if message == b"fail":
            raise ValueError(WORDS)
        yield
        return message.upper()


def slow(message: bytes, _context: Any) -> bytes:
    """The same, once it may."""
    HAS_COME.set()
    assert MAY_END.wait(TIMEOUT)
    return message


def refuse(_message: Any) -> Any:
    """What neither reads nor writes a message."""
    raise ValueError(WORDS)


def register(server: Any, listening: Any) -> int:
    """Give a server its methods; the port of `listening`, in front of which it may stand."""
    unary = grpc.unary_unary_rpc_method_handler
    handlers = {
        "Echo": unary(echo),
        "Fail": unary(fail),
        "Abort": unary(abort),
        "Staged": unary(Servicer().staged),
        "Slow": unary(slow),
        "Unreadable": unary(echo, request_deserializer=refuse),
        "Unwritable": unary(echo, response_serializer=refuse),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Service", handlers),))
    reflection.enable_server_reflection(("test.Service", reflection.SERVICE_NAME), server)
    port: int = listening.add_insecure_port("127.0.0.1:0")
    return port


def outcome(call: Any) -> list[str]:
    """Code, details and answer of a call that has begun."""
    error = call.exception(timeout=TIMEOUT)
    return ["OK", "", call.result().hex()[:100]] if error is None else [error.code().name, error.details(), ""]


def ask(channel: Any) -> dict[str, list[str]]:
    """What a server answers to each question."""

    def unary(method: str, message: bytes, **how: Any) -> list[str]:
        return outcome(channel.unary_unary(f"/test.Service/{method}").future(message, timeout=TIMEOUT, **how))

    def stream(method: str, *messages: bytes) -> list[str]:
        return outcome(channel.stream_unary(f"/test.Service/{method}").future(iter(messages), timeout=TIMEOUT))

    methods = ("Echo", "Fail", "Abort", "Staged", "Unreadable", "Unwritable", "Missing")
    answers = {method: unary(method, b"hello") for method in methods}
    answers |= {f"Staged {each.decode()}": unary("Staged", each) for each in (b"", b"abort", b"fail")}
    for name, message in {"large": LARGE, "at the limit": bytes(4 << 20), "too large": bytes((4 << 20) + 1)}.items():
        answers[name] = unary("Staged", message)
    for encoding in (grpc.Compression.Gzip, grpc.Compression.Deflate):
        answers[encoding.name] = unary("Staged", b"hello" * 100, compression=encoding)
        answers[f"{encoding.name}, too large"] = unary("Echo", bytes(5_000_000), compression=encoding)
    answers["no message"], answers["two messages"] = stream("Echo"), stream("Echo", b"one", b"two")
    answers["metadata"] = unary("Echo", b"hello", metadata=[(f"name{number}", "value") for number in range(150)])
    answers["another service"] = outcome(channel.unary_unary("/other/Echo").future(b"", timeout=TIMEOUT))
    requests = [ServerReflectionRequest(list_services=""), ServerReflectionRequest(file_by_filename="no.proto")]
    found = ServerReflectionStub(channel).ServerReflectionInfo(iter(requests), timeout=TIMEOUT)
    answers["reflection"] = [str(each) for each in found]
    return answers


def crowd(channel: Any) -> list[str]:
    """Many calls at once, small and large, that succeed or fail: those that got another answer than their own."""
    kinds = (b"abort", b"fail", b"quick %d", b"slow %d", b"large %d " + b"x" * SMALL)
    messages = [kind % number if b"%" in kind else kind for number in range(200) for kind in kinds]
    method = channel.unary_unary("/test.Service/Staged")
    calls = [method.future(each, timeout=TIMEOUT) for each in messages]
    expected = {
        b"abort": ["NOT_FOUND", WORDS, ""],
        b"fail": ["UNKNOWN", f"Exception calling application: {WORDS}", ""],
    }
    return [
        message.decode()[:20]
        for message, call in zip(messages, calls, strict=True)
        if outcome(call) != expected.get(message, ["OK", "", message.upper().hex()[:100]])
    ]


def give_up(channel: Any) -> list[str]:
    """Calls that are cancelled, also in the middle of a message, and one after them."""
    method = channel.unary_unary("/test.Service/Staged")
    for _ in range(200):
        method.future(LARGE, timeout=TIMEOUT).cancel()
        method.future(b"hello", timeout=TIMEOUT).cancel()
    return outcome(method.future(b"after", timeout=TIMEOUT))


def ask_one(channel: Any, message: bytes) -> list[str]:
    """A call of the method with stages."""
    return outcome(channel.unary_unary("/test.Service/Staged").future(message, timeout=TIMEOUT))


def ask_last(channel: Any, process: multiprocessing.Process, port: int) -> list[str]:
    """A call during which the server gets SIGTERM, and whether it takes connections after that."""
    call = channel.unary_unary("/test.Service/Slow").future(b"last", timeout=TIMEOUT)
    assert HAS_COME.wait(TIMEOUT)
    process.terminate()
    deadline, is_listening = time.monotonic() + TIMEOUT, True
    while is_listening and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT).close()
        except ConnectionResetError:
            continue  # It was in the queue when the server stopped listening.
        except ConnectionRefusedError:
            is_listening = False
    MAY_END.set()
    return [*outcome(call), "listening" if is_listening else "refused"]


def serve(ports: Any, interceptor: Any) -> None:
    """Our server, in a process of its own as Seldon has it."""
    server = Server(ThreadPoolExecutor(4))
    ports.put(register(intercept_server(server, interceptor) if interceptor else server, server))
    server.start()


def start(interceptor: Any = None) -> tuple[multiprocessing.Process, int]:
    """That process and its port; before any channel exists, since gRPC does not survive a fork."""
    ports: Any = multiprocessing.Queue()
    process = multiprocessing.Process(target=serve, args=(ports, interceptor))
    process.start()
    return process, ports.get(timeout=TIMEOUT)


def main() -> None:
    """Ask both servers, and ours with the interceptor that Seldon puts in front of it for tracing."""
    process, port = start()
    traced_process, traced_port = start(open_tracing_server_interceptor(opentracing.Tracer()))
    theirs = grpc.server(ThreadPoolExecutor(4))
    other = register(theirs, theirs)
    theirs.start()
    result: dict[str, Any] = {}
    with grpc.insecure_channel(f"127.0.0.1:{other}", OPTIONS) as channel:
        result["theirs"] = ask(channel)
    theirs.stop(None).wait()
    with grpc.insecure_channel(f"127.0.0.1:{traced_port}", OPTIONS) as channel:
        result["traced"] = ask_one(channel, b"traced")
    traced_process.terminate()
    with grpc.insecure_channel(f"127.0.0.1:{port}", OPTIONS) as channel:
        result["ours"], result["mixed up"], result["after"] = ask(channel), crowd(channel), give_up(channel)
        result["last"] = ask_last(channel, process, port)
    for each in (process, traced_process):
        each.join(TIMEOUT)
    result["exit"] = [process.exitcode, traced_process.exitcode]
    print(json.dumps(result))


if __name__ == "__main__":
    main()
