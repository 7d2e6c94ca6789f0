"""Measures PyTorch, ONNX Runtime and OpenVINO on the networks of `cargo xtask bench peers`.

    python torch_reference.py throughput [--compile]   training and prediction in both memory layouts
    python torch_reference.py throughput --compile --bf16   prediction alone, under autocast to bfloat16
    python torch_reference.py onnx OUT.onnx            exports the network, quantises it, runs it in ONNX Runtime
    python torch_reference.py openvino OUT.onnx        the same in OpenVINO
    python torch_reference.py train-memory             trains a few steps and prints the peak memory

All take --threads N and --batch N. README.md beside this file describes the printed lines. The network
has random weights and random pictures: they do not change what it costs. Needs torch; the jobs onnx and openvino also
onnx, onnxscript and onnxruntime, the latter openvino, and --compile a C++ compiler. The network resnet-18 needs torchvision,
efficientnet-lite0 needs timm.
"""

import argparse
import os
import platform
import resource
import statistics
import sys
import time

import torch
from torch import nn

CLASSES = 10
# Stem channels; channels and stride of each stage's first block; blocks of a stage; dropout.
NETWORKS = {
    "reference": (64, ((64, 2), (128, 2), (256, 2)), 2, 0.5),
    "small": (16, ((16, 2), (32, 2), (64, 2)), 1, 0.0),
}
PUBLISHED = ("resnet-18", "efficientnet-lite0")
LEARNING_RATE, WEIGHT_DECAY = 1e-3, 1e-4
WARM_UP_RUNS, RUNS, SHORT_RUNS, MEMORY_STEPS = 3, 9, 51, 4


def normalised(channels_in, channels_out, kernel, stride):
    """A convolution without bias and its batch normalisation."""
    convolution = nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(channels_out))


class Residual(nn.Module):
    """Two 3x3 convolutions beside the identity, or beside a 1x1 projection where shapes differ."""

    def __init__(self, channels_in, channels_out, stride):
        super().__init__()
        self.branch = nn.Sequential(
            normalised(channels_in, channels_out, 3, stride),
            nn.ReLU(inplace=True),
            normalised(channels_out, channels_out, 3, 1),
        )
        differs = stride > 1 or channels_in != channels_out
        self.shortcut = normalised(channels_in, channels_out, 1, stride) if differs else nn.Identity()

    def forward(self, pictures):
        return torch.relu(self.branch(pictures) + self.shortcut(pictures))


def side(name):
    """Width and height of a network's pictures."""
    return 224 if name in PUBLISHED else 32


def network(name):
    if name == "resnet-18":
        import torchvision

        version("torchvision", torchvision.__version__)
        return torchvision.models.resnet18(num_classes=CLASSES)
    if name == "efficientnet-lite0":
        import timm

        version("timm", timm.__version__)
        return timm.create_model("tf_efficientnet_lite0", num_classes=CLASSES)
    channels, stages, blocks, dropout = NETWORKS[name]
    layers = [normalised(3, channels, 3, 1), nn.ReLU(inplace=True)]
    for stage_channels, stride in stages:
        for block in range(blocks):
            layers.append(Residual(channels, stage_channels, stride if block == 0 else 1))
            channels = stage_channels
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout), nn.Linear(channels, CLASSES)]
    return nn.Sequential(*layers)


def median_seconds(work, runs):
    for _ in range(WARM_UP_RUNS):
        work()
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def training(model, batch, size, layout):
    """A function that takes one training step and reads its loss."""
    pictures = torch.randn(batch, 3, size, size).to(memory_format=layout)
    labels = torch.arange(batch) % CLASSES
    optimizer = torch.optim.Adam(model.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss = nn.functional.cross_entropy(model(pictures), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def throughput(options):
    size = side(options.network)
    for name, layout in (("contiguous", torch.contiguous_format), ("channels_last", torch.channels_last)):
        if options.bf16 and name == "contiguous":
            continue
        model = network(options.network).to(memory_format=layout)
        if options.compile:
            model = torch.compile(model)
        train_seconds = None
        if not options.bf16:
            train_seconds = median_seconds(training(model.train(), options.batch, size, layout), RUNS)

        model.eval()
        many = torch.randn(options.batch, 3, size, size).to(memory_format=layout)
        one = many[:1].clone(memory_format=torch.preserve_format)
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=options.bf16):
            many_seconds = median_seconds(lambda: model(many), RUNS)
            one_seconds = median_seconds(lambda: model(one), SHORT_RUNS)
        train = f" train {options.batch / train_seconds:.1f} img/s" if train_seconds else ""
        print(
            f"{name} {'bf16' if options.bf16 else 'f32'}{train}"
            f" infer {options.batch / many_seconds:.1f} img/s single {one_seconds * 1e3:.3f} ms",
            flush=True,
        )


def export(options):
    """Writes the network to the given path, in f32; returns the path of a file in int8 beside it."""
    import onnx as onnx_format
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    if options.path is None:
        sys.exit(f"{options.job} needs a path to write to")
    size = side(options.network)
    # Two pictures, because an axis of length 1 cannot be exported as one of any length.
    example = torch.randn(2, 3, size, size)
    any_batch = ({0: torch.export.Dim("n")},)
    model = network(options.network).eval()
    torch.onnx.export(model, (example,), options.path, dynamo=True, dynamic_shapes=any_batch, verbose=False, external_data=False)

    name = onnx_format.load(options.path, load_external_data=False).graph.input[0].name

    class Calibration(CalibrationDataReader):
        batches = [torch.randn(8, 3, size, size).numpy() for _ in range(2)]

        def get_next(self):
            return {name: self.batches.pop()} if self.batches else None

    prepared, quantised = options.path + ".prepared.onnx", options.path + ".int8.onnx"
    quant_pre_process(options.path, prepared, skip_symbolic_shape=True)
    quantize_static(prepared, quantised, Calibration(), quant_format=QuantFormat.QDQ, per_channel=True)
    return quantised


def measure_batches(program, precision, options, run):
    for batch, runs in ((1, SHORT_RUNS), (options.batch, RUNS)):
        pictures = torch.randn(batch, 3, side(options.network), side(options.network)).numpy()
        seconds = median_seconds(lambda: run(pictures), runs)
        print(
            f"{program} {precision} batch {batch}: {seconds * 1e3:.3f} ms {batch / seconds:.1f} img/s", flush=True
        )


def onnx(options):
    import onnxruntime

    version("onnxruntime", onnxruntime.__version__)
    quantised = export(options)
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = options.threads
    for precision, path in (("f32", options.path), ("int8", quantised)):
        session = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
        [pictures] = session.get_inputs()
        measure_batches(
            "onnxruntime", precision, options, lambda values: session.run(None, {pictures.name: values})
        )


def openvino(options):
    import openvino as ov

    version("openvino", ov.__version__.split("-")[0])
    quantised = export(options)
    core = ov.Core()
    for precision, path in (("f32", options.path), ("bf16", options.path), ("int8", quantised)):
        settings = {
            "INFERENCE_NUM_THREADS": options.threads,
            "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
            "PERFORMANCE_HINT": "LATENCY",
        }
        compiled = {}
        for batch in (1, options.batch):
            model = core.read_model(path)
            model.reshape([batch, 3, side(options.network), side(options.network)])
            compiled[batch] = core.compile_model(model, "CPU", settings).create_infer_request()
        measure_batches(
            "openvino", precision, options, lambda values: compiled[len(values)].infer([values], share_inputs=True)
        )


def train_memory(options):
    model = network(options.network).to(memory_format=torch.channels_last).train()
    step = training(model, options.batch, side(options.network), torch.channels_last)
    for _ in range(MEMORY_STEPS):
        step()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # macOS counts in bytes, everybody else in kilobytes.
    print(f"peak_memory_bytes {peak if sys.platform == 'darwin' else peak * 1024}")


def version(name, number):
    print(f"version {name} {number}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    jobs = {"throughput": throughput, "onnx": onnx, "openvino": openvino, "train-memory": train_memory}
    parser.add_argument("job", choices=list(jobs))
    parser.add_argument("path", nargs="?", help="where the jobs onnx and openvino write")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--network", choices=[*NETWORKS, *PUBLISHED], default="reference")
    parser.add_argument("--bf16", action="store_true", help="measure predictions under autocast to bfloat16")
    parser.add_argument("--compile", action="store_true", help="measure torch.compile instead of eager")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    version("python", platform.python_version())
    version("torch", torch.__version__)
    jobs[options.job](options)


if __name__ == "__main__":
    main()
