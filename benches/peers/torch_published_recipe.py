"""Trains the network of a published recipe on CIFAR-10 in PyTorch: what does it reach on these pictures?

    python torch_published_recipe.py FOLDER [--epochs 8] [--threads 2] [--seed 0] [--hold-out PREDICTIONS]

FOLDER holds the binary version of CIFAR-10 (data_batch_1.bin ... test_batch.bin). The recipe is that of Jordan
(https://github.com/KellerJordan/cifar10-airbench, airbench94_muon.py), of which its author gives a mean accuracy of
0.9401 on the original test pictures in 8 epochs of all 50,000, with six views of each picture; here in f32 on a CPU.
All 50,000 pictures are trained on, and the test pictures are read once, at the end. With `--hold-out` the pictures
of PREDICTIONS, the `validation_predictions.jsonl` of a run on the same folder, are kept to measure on instead, and
the test pictures are not read. Needs torch and numpy.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
BATCH, WIDTHS, LABEL_SMOOTHING, PADDING = 2000, (64, 256, 256), 0.2, 2
MUON_RATE, MUON_MOMENTUM, BIAS_RATE, HEAD_RATE, SGD_MOMENTUM, DECAY = 0.24, 0.6, 0.053, 0.67, 0.85, 2e-6 * BATCH
WHITENING_BIAS_EPOCHS = 3
FILES, RECORDS = [f"data_batch_{i}.bin" for i in range(1, 6)], 10_000


def records(folder, names):
    data = np.concatenate([np.fromfile(Path(folder) / name, np.uint8).reshape(-1, 3073) for name in names])
    x = torch.from_numpy(data[:, 1:].reshape(-1, 3, 32, 32).copy()).float().div_(255)
    x = (x - torch.tensor(MEAN).view(1, 3, 1, 1)) / torch.tensor(STD).view(1, 3, 1, 1)
    return x, torch.from_numpy(data[:, 0].astype(np.int64))


def hold_out(x, t, predictions):
    """The pictures that a run validated on, such as `data_batch_3.bin#17`, go to the second set."""
    mask = torch.zeros(len(t), dtype=torch.bool)
    for line in Path(predictions).read_text().splitlines():
        name, record = json.loads(line)["origin"].split("#")
        mask[FILES.index(name) * RECORDS + int(record)] = True
    return (x[~mask], t[~mask]), (x[mask], t[mask])


def convolution(channels_in, channels_out):
    layer = nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False)
    nn.init.dirac_(layer.weight.data[:channels_in])
    return layer


def batch_norm(channels):
    layer = nn.BatchNorm2d(channels, eps=1e-12, momentum=0.4)
    layer.weight.requires_grad = False
    return layer


class Stage(nn.Module):
    def __init__(self, channels_in, channels_out):
        super().__init__()
        self.conv1, self.norm1 = convolution(channels_in, channels_out), batch_norm(channels_out)
        self.conv2, self.norm2 = convolution(channels_out, channels_out), batch_norm(channels_out)

    def forward(self, x):
        x = F.gelu(self.norm1(F.max_pool2d(self.conv1(x), 2)))
        return F.gelu(self.norm2(self.conv2(x)))


class Network(nn.Module):
    def __init__(self, pictures):
        super().__init__()
        self.stem = nn.Conv2d(3, 24, 2)
        self.stem.weight.requires_grad = False
        self.stem.weight.data = whitening(pictures)
        self.stages = nn.Sequential(*(Stage(i, o) for i, o in zip((24, *WIDTHS), WIDTHS)))
        self.head = nn.Linear(WIDTHS[-1], 10, bias=False)
        self.head.weight.data /= self.head.weight.data.std()

    def forward(self, x, train_stem_bias=False):
        bias = self.stem.bias if train_stem_bias else self.stem.bias.detach()
        x = self.stages(F.gelu(F.conv2d(x, self.stem.weight, bias)))
        return self.head(F.max_pool2d(x, 3).flatten(1)) / WIDTHS[-1]


def whitening(pictures):
    patches = F.unfold(pictures, 2).transpose(1, 2).reshape(-1, 12)
    values, vectors = torch.linalg.eigh(patches.T @ patches / len(patches))
    filters = (vectors / torch.sqrt(values + 5e-4)).T.reshape(12, 3, 2, 2)
    return torch.cat([filters, -filters]).contiguous()


def orthogonalised(gradient):
    x = gradient / (gradient.norm() + 1e-7)
    tall = x.size(0) > x.size(1)
    x = x.T if tall else x
    for _ in range(3):
        a = x @ x.T
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return x.T if tall else x


def moved(padded, side):
    """A random crop of each picture."""
    shifts = torch.randint(0, 2 * PADDING + 1, (len(padded), 2))
    out = torch.empty(len(padded), 3, side, side)
    for dy in range(2 * PADDING + 1):
        for dx in range(2 * PADDING + 1):
            here = (shifts[:, 0] == dy) & (shifts[:, 1] == dx)
            out[here] = padded[here, :, dy : dy + side, dx : dx + side]
    return out


def accuracy(model, x, t, views):
    def pair(x):
        return (model(x) + model(x.flip(3))) / 2

    def logits(x):
        if views == 1:
            return model(x)
        if views == 2:
            return pair(x)
        p = F.pad(x, (1,) * 4, mode="reflect")
        return pair(x) / 2 + (pair(p[..., :-2, :-2]) + pair(p[..., 2:, 2:])) / 4

    model.eval()
    with torch.inference_mode():
        hits = sum((logits(x[i : i + 500]).argmax(1) == t[i : i + 500]).sum().item() for i in range(0, len(x), 500))
    return hits / len(x)


def train(args):
    torch.manual_seed(args.seed)
    x, t = records(args.folder, FILES)
    held = None
    if args.hold_out:
        (x, t), held = hold_out(x, t, args.hold_out)
    model = Network(x[:5000]).to(memory_format=torch.channels_last)
    filters = [p for p in model.stages.parameters() if p.dim() == 4]
    shifts = [p for p in model.stages.parameters() if p.dim() == 1 and p.requires_grad]
    groups = [([model.stem.bias], BIAS_RATE), (shifts, BIAS_RATE), ([model.head.weight], HEAD_RATE)]
    groups = [dict(params=params, lr=rate, rate=rate, weight_decay=DECAY / rate) for params, rate in groups]
    sgd = torch.optim.SGD(groups, momentum=SGD_MOMENTUM, nesterov=True)
    momenta = [torch.zeros_like(p) for p in filters]
    steps_per_epoch = len(x) // BATCH
    steps, stem_steps = args.epochs * steps_per_epoch, WHITENING_BIAS_EPOCHS * steps_per_epoch
    flipped = torch.where(torch.rand(len(x), 1, 1, 1) < 0.5, x.flip(3), x)
    padded = F.pad(flipped, (PADDING,) * 4, mode="reflect")
    step, spent = 0, 0.0
    for epoch in range(1, args.epochs + 1):
        start, hits = time.perf_counter(), 0
        model.train()
        pictures = moved(padded, x.size(3))
        if epoch % 2 == 0:
            pictures = pictures.flip(3)
        order = torch.randperm(len(x))
        for i in range(steps_per_epoch):
            idx = order[i * BATCH : (i + 1) * BATCH]
            logits = model(pictures[idx].contiguous(memory_format=torch.channels_last), step < stem_steps)
            F.cross_entropy(logits, t[idx], label_smoothing=LABEL_SMOOTHING, reduction="sum").backward()
            hits += (logits.argmax(1) == t[idx]).sum().item()
            left = 1 - step / steps
            for group in sgd.param_groups:
                group["lr"] = group["rate"] * left
            sgd.param_groups[0]["lr"] = BIAS_RATE * max(0.0, 1 - step / stem_steps)
            sgd.step()
            with torch.no_grad():
                for p, m in zip(filters, momenta):
                    m.mul_(MUON_MOMENTUM).add_(p.grad)
                    update = orthogonalised(p.grad.add(m, alpha=MUON_MOMENTUM).flatten(1)).view_as(p)
                    p.mul_(len(p) ** 0.5 / p.norm()).sub_(update, alpha=MUON_RATE * left)
            model.zero_grad(set_to_none=True)
            step += 1
        spent += time.perf_counter() - start
        line = f"epoch {epoch:3}  training accuracy {hits / (steps_per_epoch * BATCH):.4f}  training {spent:8.1f} s"
        if held:
            line += f"  held-out accuracy {accuracy(model, *held, 1):.4f}"
        print(line, flush=True)
    name, (x, t) = ("held-out", held) if held else ("test", records(args.folder, ["test_batch.bin"]))
    for views in (1, 2, 6):
        print(f"{name} accuracy of {views} views {accuracy(model, x, t, views):.4f}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--hold-out", help="validation_predictions.jsonl of a run")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    train(arguments)
