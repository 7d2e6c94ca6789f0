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
    "conv_branch": "branch",
    "linear_branch_attention_reduce": "branch.attention.reduce",
    "linear_branch_attention_expand": "branch.attention.expand",
    "conv_wide": "wide",
    "conv_wide_attention_conv": "wide.attention.conv",
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
        self.conv_branch = nn.Conv2d(5, 5, 3, padding=1)
        self.linear_branch_attention_reduce = nn.Linear(5, 3)
        self.linear_branch_attention_expand = nn.Linear(3, 5)
        self.conv_wide = nn.Conv2d(5, 19, 3, stride=2, padding=1)
        self.conv_wide_attention_conv = nn.Conv2d(2, 1, 7, padding=3)
        self.linear_head = nn.Linear(19, 4)

    def network(self, x0):
        """Normalised images [n, 3, 9, 7] to logits."""
        x1 = F.relu(self.conv_stem(x0))
        x2 = self.conv_branch(x1)
        reduced = F.relu(self.linear_branch_attention_reduce(x2.mean(dim=(2, 3))))
        factors = self.linear_branch_attention_expand(reduced).sigmoid()[:, :, None, None]
        x3 = F.relu(x2 * factors + x1)
        x4 = self.conv_wide(x3)
        factors = self.conv_wide_attention_conv(torch.stack([x4.mean(1), x4.amax(1)], 1)).sigmoid()
        x5 = F.silu(x4 * factors)
        x6 = x5.mean(dim=(2, 3), keepdim=True)
        x7 = self.linear_head(x6.flatten(1))
        return x7

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
