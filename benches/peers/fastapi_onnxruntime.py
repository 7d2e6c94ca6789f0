#!/usr/bin/env python3
"""A server as many people write it: FastAPI, uvicorn and ONNX Runtime, with the model of a package.

    python3 benches/peers/fastapi_onnxruntime.py PACKAGE --port 8124 --threads 2

`POST /v1/classify` takes an image file as the body and answers as `mlestar serve` does. It decodes with Pillow, scales and
crops as the package says (triangle filter, then the centre), and runs one image at a time in a pool of threads.
Needs fastapi, uvicorn, onnxruntime, numpy and pillow.
"""
import argparse
import io
import json
import pathlib

import numpy as np
import onnxruntime
import uvicorn
from fastapi import FastAPI, HTTPException, Request
from PIL import Image, ImageOps
from starlette.concurrency import run_in_threadpool

arguments = argparse.ArgumentParser()
arguments.add_argument("package", type=pathlib.Path)
arguments.add_argument("--port", type=int, default=8124)
arguments.add_argument("--threads", type=int, default=2)
arguments = arguments.parse_args()

[manifest_path] = [path for path in (arguments.package / name for name in ("manifest.json", "model.json")) if path.exists()]
manifest = json.loads(manifest_path.read_text())
manifest = manifest.get("content", manifest.get("data", manifest))
classes, preparation = manifest["classes"], manifest["preparation"]
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = arguments.threads
session = onnxruntime.InferenceSession(str(arguments.package / "model.onnx"), options, providers=["CPUExecutionProvider"])
input_name = session.get_inputs()[0].name
app = FastAPI()


def classify(content):
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(content))).convert("RGB")
    size = (preparation["width"], preparation["height"])
    if image.size != size:
        image = ImageOps.fit(image, size, Image.Resampling.BILINEAR)
    [probabilities] = session.run(["probabilities"], {input_name: np.asarray(image)[None]})[0]
    order = np.argsort(-probabilities)[:3]
    answers = [
        {"class_index": int(at), "class": classes[at], "probability": float(probabilities[at])} for at in order
    ]
    return {"images": [{"class": answers[0]["class"], "probability": answers[0]["probability"], "answers": answers}]}


@app.post("/v1/classify")
async def answer(request: Request):
    content = await request.body()
    try:
        return await run_in_threadpool(classify, content)
    except OSError as error:
        raise HTTPException(422, str(error)) from error


uvicorn.run(app, port=arguments.port, log_level="warning")
