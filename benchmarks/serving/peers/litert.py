"""The engine that every peer has: LiteRT on one thread, which is what the wrapper runs."""

import threading

from ai_edge_litert.interpreter import Interpreter


class Model:
    """The exported model; one interpreter behind a lock."""

    def __init__(self, path):
        self._path = path
        self._interpreter = Interpreter(model_path=path, num_threads=1)
        self._interpreter.allocate_tensors()
        self._running = threading.Lock()

    def __reduce__(self):
        # KServe hands its models to the processes that it spawns.
        return Model, (self._path,)

    def probabilities(self, images):
        """float32 [n, 10] of images uint8 [n, 28, 28]."""
        model = self._interpreter
        with self._running:
            source = model.get_input_details()[0]
            if tuple(source["shape"]) != images.shape:
                model.resize_tensor_input(source["index"], images.shape)
                model.allocate_tensors()
            model.set_tensor(source["index"], images)
            model.invoke()
            return model.get_tensor(model.get_output_details()[0]["index"])
