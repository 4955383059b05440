"""KServe: a custom model behind its model server, two workers, the V2 protocol."""

import os
import socket

from kserve import InferOutput, InferResponse, Model, ModelServer
from kserve.utils.utils import generate_uuid
from litert import Model as Engine

_bind = socket.socket.bind


def _bind_loopback(self, address):
    _bind(self, ("127.0.0.1", *address[1:]) if isinstance(address, tuple) else address)


# The model server has no option for its address.
socket.socket.bind = _bind_loopback


class Clothes(Model):
    def load(self):
        self.engine = Engine(os.environ["MODEL"])
        self.ready = True
        return self.ready

    async def predict(self, payload, headers=None, response_headers=None):  # noqa: ARG002 - KServe's signature
        probabilities = self.engine.probabilities(payload.inputs[0].as_numpy())
        output = InferOutput("probabilities", list(probabilities.shape), "FP32")
        output.set_data_from_numpy(probabilities, binary_data=False)
        return InferResponse(response_id=payload.id or generate_uuid(), model_name=self.name, infer_outputs=[output])


if __name__ == "__main__":
    model = Clothes("clothes")
    model.load()
    ModelServer(http_port=int(os.environ["PORT"]), workers=2, enable_grpc=False).start([model])
