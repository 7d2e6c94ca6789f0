"""An image classifier in PyTorch, written by mlestar-export.

    from model import CLASSES, load

    model = load("folder")                  # the folder that holds model.safetensors
    logits = model(images)                  # images: RGB bytes, uint8 [n, 9, 7, 3]
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
    "conv_stem": "stem",
    "conv_block_conv1": "block.conv1",
    "conv_block_shortcut": "block.shortcut",
    "conv_block_conv2": "block.conv2",
    "linear_head": "head",
}


class Model(nn.Module):
    """Images of RGB bytes, uint8 [n, 9, 7, 3], to logits [n, 4].

    Batch norm is folded into the convolutions.
    """

    def __init__(self):
        super().__init__()
        # Of pixels from 0 to 1.
        self.register_buffer("mean", torch.tensor([0.4914, 0.4822, 0.4465]), persistent=False)
        self.register_buffer("std", torch.tensor([0.247, 0.2435, 0.2616]), persistent=False)
        self.conv_stem = nn.Conv2d(3, 5, 3, padding=1)
        self.conv_block_conv1 = nn.Conv2d(5, 7, 3, stride=2, padding=1)
        self.conv_block_shortcut = nn.Conv2d(5, 7, 1, stride=2)
        self.conv_block_conv2 = nn.Conv2d(7, 7, 3, padding=1)
        self.linear_head = nn.Linear(7, 4)

    def network(self, x0):
        """Normalised images [n, 3, 9, 7] to logits."""
        x1 = F.relu(self.conv_stem(x0))
        x2 = F.relu(self.conv_block_conv1(x1))
        x3 = self.conv_block_shortcut(x1)
        x4 = F.relu(self.conv_block_conv2(x2) + x3)
        x5 = x4.mean(dim=(2, 3), keepdim=True)
        x6 = self.linear_head(x5.flatten(1))
        return x6

    def forward(self, images):
        """RGB bytes to logits."""
        x = (images.to(self.mean) / 255 - self.mean) / self.std
        x = x.permute(0, 3, 1, 2)
        return self.network(x)

    def probabilities(self, images):
        """RGB bytes to the calibrated probability of each class; rows sum to 1."""
        return (self(images) / 1.0).softmax(1)


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
