"""A program for the serving environment: gRPC's own server and ours, asked the same by gRPC's client.

Prints as JSON what each answered, [code, details, answer in hex] by question, and what only ours is asked.
"""

from __future__ import annotations

import json
import multiprocessing
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from grpc_reflection.v1alpha import reflection
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest
from grpc_reflection.v1alpha.reflection_pb2_grpc import ServerReflectionStub

from deploy.fashion_classifier.grpc_server import SMALL, Server
from deploy.fashion_classifier.stages import Stages

TIMEOUT = 60
OPTIONS = [("grpc.enable_http_proxy", 0), ("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
LARGE = bytes(range(256)) * 16_000
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


def staged(message: bytes, context: Any) -> Stages[bytes]:
    """The message in capitals, unless it says what is to happen."""
    yield
    if message == b"abort":
        context.abort(grpc.StatusCode.NOT_FOUND, WORDS)
    yield
    if message == b"fail":
        raise ValueError(WORDS)
    yield
    return message.upper()


def plain(message: bytes, context: Any) -> bytes:
    """What `staged` is to gRPC's own server."""
    calls = staged(message, context)
    try:
        while True:
            next(calls)
    except StopIteration as end:
        result: bytes = end.value
        return result


def slow(message: bytes, _context: Any) -> bytes:
    """The same, after a second."""
    time.sleep(1)
    return message


def refuse(_message: Any) -> Any:
    """What neither reads nor writes a message."""
    raise ValueError(WORDS)


def register(server: Any, is_ours: bool) -> int:
    """Give a server its methods; the port."""
    unary = grpc.unary_unary_rpc_method_handler
    handlers = {
        "Echo": unary(echo),
        "Fail": unary(fail),
        "Abort": unary(abort),
        "Staged": unary(staged if is_ours else plain),
        "Slow": unary(slow),
        "Unreadable": unary(echo, request_deserializer=refuse),
        "Unwritable": unary(echo, response_serializer=refuse),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Service", handlers),))
    reflection.enable_server_reflection(("test.Service", reflection.SERVICE_NAME), server)
    port: int = server.add_insecure_port("127.0.0.1:0")
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
    answers["another service"] = outcome(channel.unary_unary("/other/Echo").future(b"", timeout=TIMEOUT))
    requests = [ServerReflectionRequest(list_services=""), ServerReflectionRequest(file_by_filename="no.proto")]
    found = ServerReflectionStub(channel).ServerReflectionInfo(iter(requests), timeout=TIMEOUT)
    answers["reflection"] = [str(each) for each in found]
    return answers


def crowd(channel: Any) -> list[str]:
    """Many calls at once, small and large, that succeed or fail: those that got another answer than their own."""
    kinds = (b"abort", b"fail", b"small %d", b"large %d " + b"x" * SMALL)
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


def ask_last(channel: Any, process: multiprocessing.Process) -> list[str]:
    """A call during which the server gets SIGTERM."""
    call = channel.unary_unary("/test.Service/Slow").future(b"last", timeout=TIMEOUT)
    threading.Timer(0.3, process.terminate).start()
    return outcome(call)


def main() -> None:
    """Ask both servers."""
    pool = ThreadPoolExecutor(4)
    ours = Server(pool)
    port = register(ours, is_ours=True)
    process = multiprocessing.Process(target=ours.start)
    process.start()
    theirs = grpc.server(pool)
    other = register(theirs, is_ours=False)
    theirs.start()
    result: dict[str, Any] = {}
    with grpc.insecure_channel(f"127.0.0.1:{other}", OPTIONS) as channel:
        result["theirs"] = ask(channel)
    theirs.stop(None).wait()
    with grpc.insecure_channel(f"127.0.0.1:{port}", OPTIONS) as channel:
        result["ours"], result["mixed up"], result["after"] = ask(channel), crowd(channel), give_up(channel)
        result["last"] = ask_last(channel, process)
    process.join(TIMEOUT)
    result["exit"] = process.exitcode
    print(json.dumps(result))


if __name__ == "__main__":
    main()
