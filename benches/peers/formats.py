"""Runs every format of a model in other programs and compares their logits with ours.

    cargo xtask bench formats PACKAGE --test DIR --train DIR --out DIR    writes the files
    python formats.py DIR [--threads N]                                   runs them and prints a table

DIR has model.onnx, model.int8.onnx, model.safetensors, model.py, images.u8, labels.u32, logits.f32 (ours in f32),
int8_logits.f32 (ours, quantised) and formats.json. Needs numpy; without onnxruntime, openvino or torch their rows
say so. Ends with 1 if the logits of a format in f32 differ from ours by more than 1e-4.
"""

import argparse
import importlib.util
import json
import platform
import sys
from datetime import date
from importlib.metadata import version
from pathlib import Path

import numpy as np

LIMIT = 1e-4
BATCH = 250


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    folder, threads = arguments.folder, arguments.threads
    facts = json.loads((folder / "formats.json").read_text())
    n, height, width = facts["n"], facts["height"], facts["width"]
    images = np.fromfile(folder / "images.u8", np.uint8).reshape(n, height, width, 3)
    labels = np.fromfile(folder / "labels.u32", "<u4")
    ours = {
        name: np.fromfile(folder / name, "<f4").reshape(n, -1) for name in ("logits.f32", "int8_logits.f32")
    }
    jobs = [
        ("ONNX Runtime", "model.onnx", "logits.f32", onnx_runtime),
        ("OpenVINO", "model.onnx", "logits.f32", openvino),
        ("PyTorch", "model.py", "logits.f32", pytorch),
        ("ONNX Runtime", "model.int8.onnx", "int8_logits.f32", onnx_runtime),
        ("OpenVINO", "model.int8.onnx", "int8_logits.f32", openvino),
    ]
    print("| program | file | bytes | accuracy | agreement with f32 | largest difference | mean difference |")
    print("|---|---|---|---|---|---|---|")
    for name, file in (("ours", "logits.f32"), ("ours, quantised", "int8_logits.f32")):
        print_row(name, "", "-", ours[file], ours, file, labels)
    failed = False
    for program, file, reference, run in jobs:
        try:
            logits = run(folder / file, images, threads)
        except ImportError as error:
            print(f"| {program} | {file} | not available: {error} | | | | |")
            continue
        size = (folder / file).stat().st_size
        if file == "model.py":
            size += (folder / "model.safetensors").stat().st_size
        print_row(program, file, f"{size:,}", logits, ours, reference, labels)
        failed |= reference == "logits.f32" and np.abs(logits - ours[reference]).max() > LIMIT
    print_facts(facts, threads)
    sys.exit(1 if failed else 0)


def print_row(program, file, size, logits, ours, reference, labels):
    """Accuracy; how often the class is that of our f32 model; differences from our logits of the same precision."""
    accuracy = (logits.argmax(1) == labels).mean()
    agreement = (logits.argmax(1) == ours["logits.f32"].argmax(1)).mean()
    difference = np.abs(logits - ours[reference])
    differences = f"{difference.max():.2g} | {difference.mean():.2g}" if file else "- | -"
    print(f"| {program} | {file or '-'} | {size} | {accuracy:.4f} | {agreement:.4f} | {differences} |", flush=True)


def in_batches(images, run):
    """The logits of all images."""
    return np.concatenate([run(images[start : start + BATCH]) for start in range(0, len(images), BATCH)])


def onnx_runtime(path, images, threads):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return in_batches(images, lambda batch: session.run(["logits"], {"images": batch})[0])


def openvino(path, images, threads):
    import openvino

    core = openvino.Core()
    # Without the hint, OpenVINO computes in bfloat16 where the processor can.
    settings = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}
    compiled = core.compile_model(str(path), "CPU", settings)
    return in_batches(images, lambda batch: compiled({"images": batch})["logits"])


def pytorch(path, images, threads):
    import torch

    torch.set_num_threads(threads)
    spec = importlib.util.spec_from_file_location("model", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    model = module.load(path.parent)
    with torch.inference_mode():
        probabilities = model.probabilities(torch.from_numpy(images[:2]))
        assert torch.allclose(probabilities.sum(1), torch.ones(2)), "rows of probabilities must sum to 1"
        return in_batches(images, lambda batch: model(torch.from_numpy(batch)).numpy())


def print_facts(facts, threads):
    """What the figures are of."""
    figures, chosen = facts["figures"], facts["quantization"]
    names = ("numpy", "onnxruntime", "openvino", "torch")
    versions = [f"{name} {version(name)}" for name in names if importlib.util.find_spec(name)]
    kept = [layer["layer"] for layer in chosen["kept_in_f32"]]
    interval = figures["accuracy_kept_interval"]
    print()
    print(f"- {facts['n']} test images, {threads} threads, {platform.machine()}, {date.today()}")
    print(f"- {', '.join(versions)}, Python {platform.python_version()}")
    method = " ".join(str(value) for value in chosen["method"].values())
    print(f"- ranges: {method}; layers kept in f32: {kept or 'none'}")
    if interval:
        print(
            f"- accuracy kept, ours: {figures['accuracy_kept']:.4f} "
            f"[{interval['low']:.4f}, {interval['high']:.4f}]"
        )


if __name__ == "__main__":
    main()
