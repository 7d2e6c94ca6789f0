"""Trains the reference network on CIFAR-10 in PyTorch, beside which `torch_training.toml` is run.

    python torch_training.py IMAGE_FOLDER [--epochs 6] [--threads 2] [--seed 0] [--bf16]

IMAGE_FOLDER holds train/<class>/*.jpg and test/<class>/*.jpg. Prints, after every epoch, the accuracy on the test
folder and the seconds spent training, without reading pictures and testing. With --bf16 training steps run under
autocast to bfloat16. Needs torch, numpy and pillow.
"""

import argparse
import time
from pathlib import Path

import torch
import torch.nn.functional as F

from torch_reference import network

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
BATCH, LEARNING_RATE = 128, 0.2


def load(folder, split):
    import numpy as np
    from PIL import Image

    classes = sorted(p.name for p in (Path(folder) / split).iterdir())
    images, labels = [], []
    for label, name in enumerate(classes):
        for path in sorted((Path(folder) / split / name).iterdir()):
            images.append(np.asarray(Image.open(path).convert("RGB")))
            labels.append(label)
    x = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float().div_(255)
    x = (x - torch.tensor(MEAN).view(1, 3, 1, 1)) / torch.tensor(STD).view(1, 3, 1, 1)
    return x, torch.tensor(labels)


def train(args):
    torch.manual_seed(args.seed)
    x, t = load(args.path, "train")
    xt, tt = load(args.path, "test")
    padded = F.pad(x, (4,) * 4, mode="reflect")
    model = network(dropout=0.0).to(memory_format=torch.channels_last)
    steps = len(x) // BATCH * args.epochs
    opt = torch.optim.SGD(model.parameters(), LEARNING_RATE, momentum=0.9, nesterov=True, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(opt, LEARNING_RATE, total_steps=steps, pct_start=0.25)
    spent = 0.0
    for epoch in range(1, args.epochs + 1):
        start = time.perf_counter()
        model.train()
        order = torch.randperm(len(x))
        for i in range(len(x) // BATCH):
            idx = order[i * BATCH : (i + 1) * BATCH]
            dy, dx = torch.randint(0, 9, (2,))
            batch = padded[idx, :, dy : dy + 32, dx : dx + 32]
            flip = torch.rand(len(idx), 1, 1, 1) < 0.5
            batch = torch.where(flip, batch.flip(3), batch).contiguous(memory_format=torch.channels_last)
            opt.zero_grad(set_to_none=True)
            with torch.autocast("cpu", torch.bfloat16, enabled=args.bf16):
                logits = model(batch)
            loss = F.cross_entropy(logits.float(), t[idx], label_smoothing=0.1)
            loss.backward()
            opt.step()
            schedule.step()
        spent += time.perf_counter() - start
        model.eval()
        with torch.inference_mode():
            hits = sum((model(xt[i : i + 500]).argmax(1) == tt[i : i + 500]).sum().item() for i in range(0, len(xt), 500))
        print(f"epoch {epoch:3}  test accuracy {hits / len(xt):.4f}  training {spent:8.1f} s", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bf16", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    train(arguments)
