"""Compares our preparation of image files with Pillow and torchvision: the pixels, then the speed.

    python benches/peers/decode.py FOLDER [--threads 2] [--binary target/release/examples/decode]

FOLDER holds photographs (JPEG). Build the binary with `cargo build --release -p mlestar-image --example decode`.
"""

import argparse
import io
import json
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torchvision import io as torch_io
from torchvision import transforms

SIDE = 224


def ours(binary, what, rule, last, files):
    arguments = [binary, what, str(SIDE), *rule, str(last), *map(str, files)]
    return subprocess.run(arguments, check=True, capture_output=True, text=True).stdout


def our_pixels(binary, rule, files):
    with tempfile.NamedTemporaryFile(suffix=".rgb") as out:
        ours(binary, "pixels", rule, out.name, files)
        return np.fromfile(out.name, dtype=np.uint8).reshape(len(files), SIDE, SIDE, 3)


def transform(resize_side, name):
    interpolation = getattr(transforms.InterpolationMode, name.upper())
    steps = [transforms.Resize(resize_side, interpolation), transforms.CenterCrop(SIDE)]
    return transforms.Compose(steps)


def show(what, a, b):
    apart = np.abs(a.astype(int) - b.astype(int))
    print(f"  {what}: largest difference {apart.max()}, mean {apart.mean():.4f}, equal {(apart == 0).mean():.2%} of {apart.size} bytes")


def compare_pixels(binary, photographs):
    """Resizing alone, on photographs saved without loss; then decoding as well."""
    with tempfile.TemporaryDirectory() as folder:
        lossless = []
        for index, path in enumerate(photographs):
            lossless.append(Path(folder) / f"{index}.png")
            Image.open(path).convert("RGB").save(lossless[-1], compress_level=1)
        for name in ["bilinear", "bicubic"]:
            for side in [224, 256]:
                rule = transform(side, name)
                expected = np.stack([np.asarray(rule(Image.open(path))) for path in lossless])
                show(f"resizing to {side}, {name}", our_pixels(binary, [str(side), name], lossless), expected)
    rule = transform(256, "bilinear")
    expected = np.stack([np.asarray(rule(Image.open(path).convert("RGB"))) for path in photographs])
    show("decoding and resizing to 256", our_pixels(binary, ["256", "bilinear"], photographs), expected)


def best_speed(threads, work, contents):
    """Images per second, the best of three repetitions."""
    with ThreadPoolExecutor(threads) as pool:
        seconds = []
        for _ in range(3):
            start = time.perf_counter()
            list(pool.map(work, contents))
            seconds.append(time.perf_counter() - start)
    return len(contents) / min(seconds)


def compare_speed(binary, what, files, threads):
    contents = [path.read_bytes() for path in files]
    rule = transform(256, "bilinear")

    def pillow(content):
        Image.open(io.BytesIO(content)).convert("RGB").load()

    def pillow_prepare(content):
        rule(Image.open(io.BytesIO(content)).convert("RGB"))

    def pillow_draft(content):
        image = Image.open(io.BytesIO(content))
        image.draft("RGB", (512, 512))
        rule(image.convert("RGB"))

    def torchvision(content):
        torch_io.decode_jpeg(torch.frombuffer(bytearray(content), dtype=torch.uint8), torch_io.ImageReadMode.RGB)

    def torchvision_prepare(content):
        data = torch.frombuffer(bytearray(content), dtype=torch.uint8)
        rule(torch_io.decode_jpeg(data, torch_io.ImageReadMode.RGB))

    torch.set_num_threads(1)
    print(f"{what}: {len(files)} files, {threads} threads, images per second")
    for name, work in [("pillow", (pillow, pillow_prepare)), ("pillow, draft", (None, pillow_draft)), ("torchvision", (torchvision, torchvision_prepare))]:
        speeds = ["-" if one is None else f"{best_speed(threads, one, contents):.1f}" for one in work]
        print(f"  {name}: decode {speeds[0]}, prepare {speeds[1]}")
    measured = json.loads(ours(binary, "time", ["256", "bilinear"], threads, files))
    print(f"  ours: decode {measured['decode']}, prepare {measured['prepare']}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--binary", default="target/release/examples/decode")
    parser.add_argument("--number", type=int, default=100)
    options = parser.parse_args()
    photographs = sorted(options.folder.rglob("*.jpg"))[: options.number]
    print(f"{len(photographs)} photographs of {options.folder}")
    compare_pixels(options.binary, photographs)
    compare_speed(options.binary, "as they are", photographs, options.threads)
    with tempfile.TemporaryDirectory() as folder:
        for width, height, n in [(500, 375, 100), (4000, 3000, 12)]:
            files = []
            for index, path in enumerate(photographs[:n]):
                files.append(Path(folder) / f"{width}-{index}.jpg")
                image = Image.open(path).convert("RGB").resize((width, height), Image.BICUBIC)
                image.save(files[-1], quality=90)
            compare_speed(options.binary, f"{width} x {height}", files, options.threads)


main()
