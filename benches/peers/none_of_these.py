"""Compares scores for "none of these": the table of docs/packages.md.

    V/bin/python benches/peers/none_of_these.py MODEL.onnx IMAGES OTHERS

MODEL.onnx is a package's model that was trained without the classes cat and truck of CIFAR-10, IMAGES the folder of all
ten classes (train/<class>/*.jpg and test/<class>/*.jpg, 32 x 32), OTHERS a folder of photographs of other things (found
recursively). Prints the AUROC against test images of the model's classes, and the share detected at 5 % false alarms.
Needs numpy, pillow, onnx, onnxruntime and scikit-learn.
"""

import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from PIL import Image, ImageOps
from sklearn.metrics import roc_auc_score

CLASSES = "airplane automobile bird deer dog frog horse ship".split()


def session(path):
    """The model with the features before its linear layer as a further output."""
    model = onnx.load(path)
    flat = next(node for node in model.graph.node if node.op_type == "Flatten").output[0]
    model.graph.output.append(onnx.helper.make_tensor_value_info(flat, 1, None))
    return onnxruntime.InferenceSession(model.SerializeToString()), flat


def run(model, images):
    network, flat = model
    logits, features = [], []
    for start in range(0, len(images), 500):
        scores, values = network.run(["logits", flat], {"images": images[start : start + 500]})
        # Several views of an image give as many rows of features.
        features.append(values.reshape(-1, len(scores), values.shape[1]).mean(0))
        logits.append(scores)
    return np.concatenate(logits), np.concatenate(features)


def read(paths):
    def one(path):
        image = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
        return np.asarray(ImageOps.fit(image, (32, 32), Image.BILINEAR))

    return np.stack([one(path) for path in paths])


def energy(logits):
    top = logits.max(1)
    return top + np.log(np.exp(logits - top[:, None]).sum(1))


def gaussian(features):
    covariance = np.cov(features.T)
    size = len(covariance)
    return np.linalg.inv(covariance + 1e-4 * np.eye(size) * np.trace(covariance) / size)


def scores_of(logits, features, labels):
    """Each score by name; higher means more familiar. Fitted on the training images."""
    means = np.stack([features[labels == label].mean(0) for label in range(len(CLASSES))])
    within, overall, centre = gaussian(features - means[labels]), gaussian(features), features.mean(0)
    distance = lambda f, m, p: np.einsum("ij,jk,ik->i", f - m, p, f - m)
    nearest = lambda f: np.min([distance(f, mean, within) for mean in means], 0)
    unit = lambda f: f / np.linalg.norm(f, axis=1, keepdims=True)
    stored = unit(features)[::4]
    rest = np.linalg.eigh(np.cov(features.T))[1][:, : -features.shape[1] // 2]
    alpha = logits.max(1).mean() / np.linalg.norm((features - centre) @ rest, axis=1).mean()
    softmax = lambda l: np.exp(l - energy(l)[:, None])
    return {
        "largest probability": lambda l, f: softmax(l).max(1),
        "largest logit": lambda l, f: l.max(1),
        "familiarity": lambda l, f: energy(l),
        "Mahalanobis distance of features": lambda l, f: -nearest(f),
        "relative Mahalanobis distance": lambda l, f: distance(f, centre, overall) - nearest(f),
        "10th nearest neighbour": lambda l, f: np.sort(unit(f) @ stored.T, 1)[:, -10],
        "ViM": lambda l, f: energy(l) - alpha * np.linalg.norm((f - centre) @ rest, axis=1),
    }


def main():
    model, images, others = session(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
    of = lambda split, name, n: read(sorted((images / split / name).glob("*.jpg"))[:n])
    train = np.concatenate([of("train", name, 1500) for name in CLASSES])
    labels = np.repeat(np.arange(len(CLASSES)), 1500)
    scores = scores_of(*run(model, train), labels)
    known = run(model, np.concatenate([of("test", name, 500) for name in CLASSES]))
    random = np.random.default_rng(0)
    strange = {
        "cats": of("test", "cat", 1000),
        "trucks": of("test", "truck", 1000),
        "others": read(sorted(others.rglob("*.jpg"))),
        "noise": random.integers(0, 256, (500, 32, 32, 3), dtype=np.uint8),
        "flat colour": np.repeat(np.repeat(random.integers(0, 256, (500, 1, 1, 3), dtype=np.uint8), 32, 1), 32, 2),
    }
    strange = {name: run(model, pixels) for name, pixels in strange.items()}
    print("| score |", " | ".join(strange), "|")
    for name, score in scores.items():
        familiar = score(*known)
        limit = np.quantile(familiar, 0.05)
        cells = []
        for found in strange.values():
            values = score(*found)
            truth = np.r_[np.ones(len(familiar)), np.zeros(len(values))]
            cells.append(f"{roc_auc_score(truth, np.r_[familiar, values]):.3f}, {np.mean(values < limit):.2f}")
        print(f"| {name} |", " | ".join(cells), "|")


if __name__ == "__main__":
    main()
