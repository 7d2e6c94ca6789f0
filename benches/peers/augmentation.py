"""Compares our augmentation operations with torchvision's on fixed strengths, then the speed of whole augmentations.

    python benches/peers/augmentation.py PHOTOGRAPH [--binary target/release/examples/operations]

Build the binary with `cargo build --release -p mlestar-data --example operations`.
"""

import argparse
import json
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torchvision import transforms
from torchvision.transforms import functional as F
from torchvision.transforms.autoaugment import _apply_op

SIZE = (224, 224)
NEAREST = transforms.InterpolationMode.NEAREST


def cases():
    """Our operation, torchvision's name and its strength."""
    for share in [0.0, 0.1, 1 / 3, 0.5, 0.77, 0.99]:
        for sign in [1, -1]:
            value = sign * share
            yield {"shear-x": value}, "ShearX", value
            yield {"shear-y": value}, "ShearY", value
            yield {"translate-x": int(value * 60)}, "TranslateX", value * 60
            yield {"translate-y": int(value * 60)}, "TranslateY", value * 60
            for name in ["Brightness", "Color", "Contrast", "Sharpness"]:
                yield {name.lower(): 1 + value}, name, value
    for degrees in [0, 4.5, 17, 45, 90, 117, 135, -30, -90, 180]:
        yield {"rotate": float(degrees)}, "Rotate", float(degrees)
    for bits in range(1, 9):
        yield {"posterize": bits}, "Posterize", bits
    for limit in [0.0, 51.0, 127.5, 178.5, 255.0]:
        yield {"solarize": limit}, "Solarize", limit
    yield "auto-contrast", "AutoContrast", 0.0
    yield "equalize", "Equalize", 0.0
    yield "identity", "Identity", 0.0


def compare(binary, image):
    planar = np.asarray(image).transpose(2, 0, 1)
    wanted = list(cases())
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        planar.tofile(folder / "in.rgb")
        (folder / "operations.json").write_text(json.dumps([ours for ours, _, _ in wanted]))
        height, width = map(str, planar.shape[1:])
        files = [folder / "in.rgb", folder / "operations.json", folder / "out.rgb"]
        subprocess.run([binary, "apply", height, width, *map(str, files)], check=True)
        results = np.fromfile(folder / "out.rgb", dtype=np.uint8).reshape(len(wanted), *planar.shape)
    worst = {}
    for (_, name, strength), result in zip(wanted, results):
        expected = np.asarray(_apply_op(image, name, strength, NEAREST, None)).transpose(2, 0, 1)
        apart = np.abs(expected.astype(int) - result.astype(int))
        before = worst.get(name, (0, 0.0))
        worst[name] = (max(before[0], apart.max()), max(before[1], (apart > 0).mean()))
    for name, (largest, share) in worst.items():
        print(f"  {name}: largest difference {largest}, at most {share:.3%} of the bytes differ")


AUGMENTATIONS = {
    "flip and normalise": ({"horizontal_flip_probability": 0.5}, [transforms.RandomHorizontalFlip()], []),
    "random resized crop": ({"random_resized_crop_scale": [0.08, 1.0]}, [transforms.RandomResizedCrop(SIZE)], []),
    "TrivialAugmentWide": ({"policy": "trivial-augment-wide"}, [transforms.TrivialAugmentWide()], []),
    "RandAugment": ({"policy": "rand-augment"}, [transforms.RandAugment()], []),
    "random erasing": ({"random_erasing_probability": 1.0}, [], [transforms.RandomErasing(p=1.0)]),
    "crop, flip, TrivialAugmentWide, erasing": (
        {
            "random_resized_crop_scale": [0.08, 1.0],
            "horizontal_flip_probability": 0.5,
            "policy": "trivial-augment-wide",
            "random_erasing_probability": 0.1,
        },
        [transforms.RandomResizedCrop(SIZE), transforms.RandomHorizontalFlip(), transforms.TrivialAugmentWide()],
        [transforms.RandomErasing(p=0.1)],
    ),
}


def measure(binary, image, number):
    torch.set_num_threads(1)
    normalize = [transforms.PILToTensor(), transforms.ConvertImageDtype(torch.float), transforms.Normalize([0.5] * 3, [0.25] * 3)]
    for name, (config, before, after) in AUGMENTATIONS.items():
        whole = transforms.Compose([*before, *normalize, *after])
        seconds = []
        for _ in range(3):
            start = time.perf_counter()
            for _ in range(number):
                whole(image)
            seconds.append(time.perf_counter() - start)
        with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
            file.write("\n".join(f"{key} = {json.dumps(value)}" for key, value in config.items()))
            file.flush()
            arguments = [binary, "time", str(SIZE[0]), str(SIZE[1]), file.name, str(number)]
            ours = float(subprocess.run(arguments, check=True, capture_output=True, text=True).stdout)
        theirs = number / min(seconds)
        print(f"  {name}: ours {ours:.0f}, torchvision {theirs:.0f}, ratio {ours / theirs:.2f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photograph", type=Path)
    parser.add_argument("--binary", default="target/release/examples/operations")
    parser.add_argument("--number", type=int, default=300)
    options = parser.parse_args()
    image = Image.open(options.photograph).convert("RGB")
    print(f"operations on {image.height} x {image.width} pixels")
    compare(options.binary, image)
    print(f"images of {SIZE[0]} x {SIZE[1]} per second and thread, {options.number} images, best of 3")
    measure(options.binary, F.center_crop(image, SIZE), options.number)


main()
