"""LitServe: its LitAPI, two workers."""

import os

import litserve as ls
import numpy as np
from litert import Model


class Clothes(ls.LitAPI):
    def setup(self, device):  # noqa: ARG002 - LitServe's signature
        self.model = Model(os.environ["MODEL"])

    def decode_request(self, request):
        return np.array(request["images"], np.uint8)

    def predict(self, images):
        return self.model.probabilities(images)

    def encode_response(self, probabilities):
        return {"probabilities": probabilities.tolist()}


if __name__ == "__main__":
    server = ls.LitServer(Clothes(), accelerator="cpu", workers_per_device=2)
    server.run(host="127.0.0.1", port=int(os.environ["PORT"]), log_level="warning", generate_client_file=False)
