"""gRPC's own Python server with the forward pass alone behind it: `bare_grpc.py PORT MODEL WORKERS THREADS`.

A request is 784 pixels and an answer ten float32, as they lie in memory: no message is read or written, nothing is
counted.  More than this no wrapper answers that hands each call to a thread of this server's.
"""

import multiprocessing
import sys
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
from litert import Model


class Forward(grpc.GenericRpcHandler):
    """Answers every method."""

    def __init__(self, path, threads):
        self._models = [Model(path) for _ in range(threads)]

    def service(self, _details):
        return grpc.unary_unary_rpc_method_handler(self._answer)

    def _answer(self, pixels, _context):
        model = self._models.pop()
        try:
            return model.probabilities(np.frombuffer(pixels, np.uint8).reshape(1, 28, 28)).tobytes()
        finally:
            self._models.append(model)


def run(port, path, threads):
    server = grpc.server(ThreadPoolExecutor(threads), options=[("grpc.so_reuseport", 1)])
    server.add_generic_rpc_handlers((Forward(path, threads),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    port, path, workers, threads = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    servers = [multiprocessing.Process(target=run, args=(port, path, threads)) for _ in range(workers)]
    for each in servers:
        each.start()
    for each in servers:
        each.join()
