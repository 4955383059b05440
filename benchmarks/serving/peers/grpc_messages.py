"""Asks a Seldon gRPC server each kind of message, and keeps them as frames: `grpc_messages.py PORT PIXELS FOLDER`.

Prints the probabilities of each answer as JSON; the files in FOLDER are request bodies of gRPC's HTTP/2 mapping, for a
load generator that speaks HTTP/2 only.
"""

import json
import struct
import sys
from pathlib import Path

import grpc
import numpy as np
from seldon_core.proto.prediction_pb2 import SeldonMessage
from seldon_core.proto.prediction_pb2_grpc import SeldonStub
from seldon_core.utils import get_data_from_proto

DT_UINT8 = 4


def messages(pixels):
    tensor, tftensor, raw = SeldonMessage(), SeldonMessage(), SeldonMessage(binData=pixels)
    tensor.data.tensor.shape.extend([1, 28, 28])
    tensor.data.tensor.values.extend(pixels)
    tftensor.data.tftensor.dtype = DT_UINT8
    for size in (1, 28, 28):
        tftensor.data.tftensor.tensor_shape.dim.add(size=size)
    tftensor.data.tftensor.tensor_content = pixels
    return {"tensor": tensor, "tftensor": tftensor, "raw": raw}


def probabilities(answer):
    if answer.data.WhichOneof("data_oneof") == "tftensor":
        tensor = answer.data.tftensor
        return np.frombuffer(tensor.tensor_content, np.float32) if tensor.tensor_content else tensor.float_val
    return get_data_from_proto(answer)


if __name__ == "__main__":
    address, pixels, folder = f"127.0.0.1:{sys.argv[1]}", Path(sys.argv[2]).read_bytes(), Path(sys.argv[3])
    stub = SeldonStub(grpc.insecure_channel(address))
    answers = {}
    for kind, message in messages(pixels).items():
        answer = stub.Predict(message, timeout=60, wait_for_ready=True)
        answers[kind] = np.ravel(probabilities(answer)).tolist()
        content = message.SerializeToString()
        (folder / f"{kind}.grpc").write_bytes(struct.pack(">BI", 0, len(content)) + content)
    print(json.dumps(answers))
