#!/usr/bin/env python3
"""Talks to `mlestar serve` with other programs' clients and parsers, unchanged, and compares their answers.

    mlestar-serve RUN --port 8123 &
    python3 benches/peers/serve_clients.py 8123 IMAGE

Needs numpy, pillow and tritonclient[http]. Uses mlserver (its types and codecs), prometheus_client and
openapi_spec_validator too where they are installed, and says which of them were not.
"""
import importlib.util
import io
import json
import sys
import urllib.request

import numpy as np
import tritonclient.http as triton
from PIL import Image

PORT, IMAGE = sys.argv[1], sys.argv[2]
URL = f"localhost:{PORT}"


def has(module):
    found = importlib.util.find_spec(module) is not None
    if not found:
        print(f"skipped: {module} is not installed")
    return found


def fetch(path, body=None, headers={}):
    request = urllib.request.Request(f"http://{URL}{path}", data=body, headers=headers)
    with urllib.request.urlopen(request) as response:
        return response.read()


def triton_client():
    client = triton.InferenceServerClient(URL)
    assert client.is_server_live() and client.is_server_ready()
    [entry] = client.get_model_repository_index()
    name, version = entry["name"], entry["version"]
    assert client.is_model_ready(name) and client.is_model_ready(name, version)
    metadata = client.get_model_metadata(name)
    client.get_model_config(name)
    _, height, width, _ = metadata["inputs"][0]["shape"]
    pixels = np.random.default_rng(0).integers(0, 256, (5, height, width, 3), dtype=np.uint8)
    answers = {}
    for binary in (True, False):
        tensor = triton.InferInput("images", list(pixels.shape), "UINT8")
        tensor.set_data_from_numpy(pixels, binary_data=binary)
        outputs = [triton.InferRequestedOutput(output["name"], binary_data=binary) for output in metadata["outputs"]]
        result = client.infer(name, [tensor], outputs=outputs, request_id="seven")
        assert result.get_response()["id"] == "seven"
        answers[binary] = {output["name"]: result.as_numpy(output["name"]) for output in metadata["outputs"]}
    for key, values in answers[True].items():
        assert np.array_equal(values, answers[False][key]), key
    content = open(IMAGE, "rb").read()
    files = np.array([content, content], dtype=np.object_)
    tensor = triton.InferInput("raw", [2], "BYTES")
    tensor.set_data_from_numpy(files, binary_data=True)
    wanted = triton.InferRequestedOutput("probabilities", class_count=2)
    [first, _] = client.infer(name, [tensor], outputs=[wanted]).as_numpy("probabilities")
    print(f"tritonclient: model {name}, version {version}: {first[0].decode()}")
    try:
        client.infer("other", [tensor])
    except triton.InferenceServerException as error:
        assert "there is no model" in error.message(), error
    else:
        raise AssertionError("a model that is not there answered")
    return name, pixels, answers[True]["logits"], first[0].decode()


def mlserver_types(name, pixels, logits):
    from mlserver.codecs import NumpyCodec
    from mlserver.types import InferenceRequest, InferenceResponse, MetadataModelResponse, MetadataServerResponse

    MetadataServerResponse.model_validate_json(fetch("/v2"))
    MetadataModelResponse.model_validate_json(fetch(f"/v2/models/{name}"))
    tensor = NumpyCodec.encode_input("images", pixels)
    request = InferenceRequest(inputs=[tensor])
    body = request.model_dump_json(exclude_none=True).encode()
    answer = fetch(f"/v2/models/{name}/infer", body, {"Content-Type": "application/json"})
    response = InferenceResponse.model_validate_json(answer)
    found = NumpyCodec.decode_output(response.outputs[0])
    assert np.array_equal(found.astype(np.float32), logits)
    print("mlserver: its types read our answers, its codecs the numbers")


def kserve_client(name, pixels, logits):
    import asyncio

    from kserve import InferInput, InferRequest, InferenceRESTClient, RESTConfig

    async def ask():
        client = InferenceRESTClient(RESTConfig(protocol="v2"))
        base = f"http://{URL}"
        assert await client.is_server_live(base) and await client.is_server_ready(base)
        assert await client.is_model_ready(base, name)
        tensor = InferInput("images", list(pixels.shape), "UINT8")
        tensor.set_data_from_numpy(pixels, binary_data=True)
        response = await client.infer(base, InferRequest(name, [tensor]), model_name=name)
        outputs = {output.name: output.as_numpy() for output in response.outputs}
        assert np.array_equal(outputs["logits"].reshape(logits.shape), logits)

    asyncio.run(ask())
    print("kserve: its REST client talks to it")


def multipart(top):
    good, bad = open(IMAGE, "rb").read(), b"no image"
    lines = []
    for filename, content in (("good", good), ("bad", bad)):
        lines += [b"--x", f'Content-Disposition: form-data; name="file"; filename="{filename}"'.encode(), b"", content]
    body = b"\r\n".join(lines + [b"--x--", b""])
    answer = json.loads(fetch("/v1/classify?top=1", body, {"Content-Type": "multipart/form-data; boundary=x"}))
    assert answer["images"][0]["class"] == top.split(":", 2)[2] and "error" in answer["images"][1]
    print(f"multipart: {answer['images'][0]['class']} {answer['images'][0]['probability']:.4f}; and {answer['images'][1]['error']}")


def metrics():
    from prometheus_client.openmetrics.parser import text_string_to_metric_families

    families = list(text_string_to_metric_families(fetch("/metrics").decode()))
    assert any(family.name == "mlestar_phase_seconds" for family in families)
    print(f"prometheus_client: reads {len(families)} metrics")


def openapi():
    from openapi_spec_validator import validate

    validate(json.loads(fetch("/openapi.json")))
    print("openapi_spec_validator: the description is valid")


def resized():
    """A photograph goes through the package's own preparation, whatever its size and format."""
    image = Image.open(IMAGE).convert("RGB").resize((300, 200))
    for kind in ("JPEG", "PNG", "WEBP", "BMP"):
        content = io.BytesIO()
        image.save(content, kind)
        answer = json.loads(fetch("/v1/classify", content.getvalue()))
        assert answer["images"][0]["answers"], kind
    print("formats: JPEG, PNG, WebP and BMP are read")


name, pixels, logits, top = triton_client()
if has("mlserver"):
    mlserver_types(name, pixels, logits)
if has("kserve"):
    kserve_client(name, pixels, logits)
multipart(top)
resized()
if has("prometheus_client"):
    metrics()
if has("openapi_spec_validator"):
    openapi()
