#!/usr/bin/env python3
"""Latency and throughput of `mlestar serve` beside FastAPI with ONNX Runtime, with the same model and image.

    cargo build --release -p mlestar-serve --bins --examples
    python3 benches/peers/serve_load.py PACKAGE IMAGE [--rates 50 100 200] [--seconds 10] [--rounds 3] [--threads 2]

Starts one server at a time, on this machine, and sends requests by `examples/load.rs` (open loop, Poisson arrivals).
The servers take turns in each round. Prints a line for each server and rate: medians over the rounds.
Everything shares the machine's cores, the sender too. Needs what fastapi_onnxruntime.py needs.
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import time
import urllib.request

HERE = pathlib.Path(__file__).parent
parser = argparse.ArgumentParser()
parser.add_argument("package")
parser.add_argument("image")
parser.add_argument("--rates", type=float, nargs="+", default=[50, 100, 200, 400])
parser.add_argument("--seconds", type=float, default=10)
parser.add_argument("--rounds", type=int, default=3)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--target", default=str(HERE.parents[1] / "target/release"), help="the folder of the built programs")
options = parser.parse_args()
PORT = 8125


def servers():
    threads = ["--port", str(PORT), "--threads", str(options.threads)]
    yield "mlestar-serve", [f"{options.target}/mlestar-serve", options.package, *threads]
    yield "FastAPI + ONNX Runtime", [sys.executable, str(HERE / "fastapi_onnxruntime.py"), options.package, *threads]


def wait_until_up(image):
    for _ in range(600):
        try:
            request = urllib.request.Request(f"http://127.0.0.1:{PORT}/v1/classify", data=image)
            return json.load(urllib.request.urlopen(request))["images"][0]
        except OSError:
            time.sleep(0.1)
    raise SystemExit("the server does not answer")


def load(rate, seed):
    program = f"{options.target}/examples/load"
    words = [program, "--port", str(PORT), "--file", options.image, "--rate", str(rate), "--seconds", str(options.seconds)]
    return json.loads(subprocess.check_output([*words, "--seed", str(seed)]))


image = open(options.image, "rb").read()
figures = {}
for turn in range(options.rounds):
    for name, command in servers():
        server = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            first = wait_until_up(image)
            if turn == 0:
                print(f"{name}: {first['class']} {first['probability']:.6f}")
            for rate in options.rates:
                figures.setdefault((name, rate), []).append(load(rate, 1 + turn))
        finally:
            server.terminate()
            server.wait()

for (name, rate), rounds in figures.items():
    median = {key: statistics.median(one[key] or float("nan") for one in rounds) for key in ("answered_per_second", "p50_ms", "p99_ms")}
    refused = sum(count for one in rounds for status, count in one["statuses"].items() if status != "200")
    print(
        f"{name:32} rate {rate:6.0f}/s  answered {median['answered_per_second']:7.1f}/s  "
        f"p50 {median['p50_ms']:8.2f} ms  p99 {median['p99_ms']:8.2f} ms  not 200: {refused}"
    )
