"""By hand: FastAPI, orjson in and out, the model on the event loop."""

import os

import numpy as np
import orjson
from fastapi import FastAPI, Request, Response
from litert import Model

app = FastAPI()
model = Model(os.environ["MODEL"])


@app.get("/ready")
async def ready():
    return {"ready": True}


@app.post("/predict")
async def predict(request: Request):
    images = np.array(orjson.loads(await request.body())["images"], np.uint8)
    content = orjson.dumps({"probabilities": model.probabilities(images)}, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(content, media_type="application/json")
