"""An image classifier in PyTorch, written by mlestar-export.

    from model import CLASSES, load

    model = load("folder")                  # the folder that holds model.safetensors
    logits = model(images)                  # images: RGB bytes, uint8 [n, 13, 15, 3]
    probabilities = model.probabilities(images)
"""

import json
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

CLASSES = ["class \"0\" é","class \"1\" é","class \"2\" é","class \"3\" é"]

# The name of each layer in model.safetensors.
TENSORS = {
    "conv_conv0": "conv0",
    "conv_conv1": "conv1",
    "linear_head": "head",
}


class Model(nn.Module):
    """Images of RGB bytes, uint8 [n, 13, 15, 3], to logits [n, 4].

    Batch norm is folded into the convolutions.
    """

    def __init__(self):
        super().__init__()
        # Of pixels from 0 to 1.
        self.register_buffer("mean", torch.tensor([0.4914, 0.4822, 0.4465]), persistent=False)
        self.register_buffer("std", torch.tensor([0.247, 0.2435, 0.2616]), persistent=False)
        self.conv_conv0 = nn.Conv2d(3, 6, 3, padding=1)
        self.conv_conv1 = nn.Conv2d(6, 18, 3, padding=1, groups=2)
        self.linear_head = nn.Linear(18, 4)

    def network(self, x0):
        """Normalised images [n, 3, 13, 15] to logits."""
        x1 = F.relu(self.conv_conv0(x0))
        x2 = F.max_pool2d(x1, 2, 2, 0)
        x3 = self.conv_conv1(x2)
        x4 = F.silu(F.max_pool2d(x3, 3, 2, 1))
        x5 = x4.mean(dim=(2, 3), keepdim=True)
        x6 = self.linear_head(x5.flatten(1))
        return x6

    def forward(self, images):
        """RGB bytes to logits."""
        x = (images.to(self.mean) / 255 - self.mean) / self.std
        x = x.permute(0, 3, 1, 2)
        views = [x, shifted(x, 1), shifted(x, -1)]
        views += [view.flip(3) for view in views]
        return torch.stack([self.network(view) for view in views]).mean(0)

    def probabilities(self, images):
        """RGB bytes to the calibrated probability of each class; rows sum to 1."""
        return (self(images) / 1.0).softmax(1)


def shifted(x, offset):
    """Images whose row i is row i + offset of x, and whose columns likewise, reflected at the border."""
    for dim in (2, 3):
        side = x.shape[dim]
        source = (torch.arange(side, device=x.device) + offset).abs()
        source = torch.where(source < side, source, (2 * (side - 1) - source).clamp(min=0))
        x = x.index_select(dim, source)
    return x


def load(folder="."):
    """The model with the weights of `folder`/model.safetensors, ready to predict."""
    tensors = read_safetensors(Path(folder) / "model.safetensors")
    model = Model()
    model.load_state_dict(
        {
            f"{layer}.{part}": tensors[f"{name}.{part}"]
            for layer, name in TENSORS.items()
            for part in ("weight", "bias")
        }
    )
    return model.eval()


def read_safetensors(path):
    """The float32 tensors of a safetensors file, by name."""
    content = Path(path).read_bytes()
    begin = 8 + int.from_bytes(content[:8], "little")
    tensors = {}
    for name, entry in json.loads(content[8:begin]).items():
        if name != "__metadata__":
            start, end = (begin + offset for offset in entry["data_offsets"])
            values = torch.frombuffer(bytearray(content[start:end]), dtype=torch.float32)
            tensors[name] = values.reshape(entry["shape"])
    return tensors
