#!/usr/bin/env python3
"""Optuna and its dashboard on a journal that mlestar-tune wrote, and the cost of both journals.

    cargo build --release -p mlestar-tune --example journal
    python3 benches/peers/tune_journal.py target/release/examples/journal --picture study.png

1. Writes a study with our example, reads it with Optuna, and compares every trial.
2. Opens it in optuna-dashboard: its API must list the study, and a headless Chromium takes the picture.
3. Compares the importances of the parameters.
4. Times: per trial (random search, five parameters, three reports; the same for both), and loading 10,000 trials.

Needs optuna and optuna-dashboard, and for the picture chromium. The exit code is 1 if anything differs.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import time
import urllib.request

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

optuna.logging.set_verbosity(optuna.logging.ERROR)
NAME = "simulated training"


def storage(path):
    return JournalStorage(JournalFileBackend(str(path)))


def training(trial):
    """As in crates/mlestar-tune/examples/journal.rs."""
    import math

    rate = math.log10(trial.suggest_float("learning_rate", 1e-5, 1.0, log=True)) - math.log10(0.003)
    dropout = trial.suggest_float("dropout", 0.0, 0.9) - 0.3
    layers = trial.suggest_int("layers", 1, 8) - 5
    if trial.suggest_categorical("optimizer", ["sgd", "adam", "adamw"]) == "sgd":
        trial.suggest_float("momentum", 0.0, 0.99)
    reachable = 0.95 - 0.05 * rate**2 - 0.005 * layers**2 - 0.1 * dropout**2
    accuracy = 0.0
    for epoch in (1, 2, 3):
        accuracy = reachable * (1 - math.exp(-epoch))
        trial.report(accuracy, epoch)
        if trial.should_prune():
            raise optuna.TrialPruned
    return accuracy


def read_ours(path, n):
    study = optuna.load_study(study_name=NAME, storage=storage(path))
    problems = []
    if len(study.trials) != n:
        problems.append(f"{len(study.trials)} trials instead of {n}")
    # The lines themselves, read without Optuna.
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    created = [line for line in lines if line["op_code"] == 4]
    for trial, line in zip(study.trials, created):
        keys = {"learning_rate", "dropout", "layers", "optimizer"} | ({"momentum"} if trial.params["optimizer"] == "sgd" else set())
        if set(trial.params) != keys or trial.params["learning_rate"] != line["params"]["learning_rate"]:
            problems.append(f"trial {trial.number} has {trial.params}")
        if not trial.state.is_finished() or not 1 <= len(trial.intermediate_values) <= 3:
            problems.append(f"trial {trial.number} is {trial.state} after {trial.intermediate_values}")
        for key, distribution in trial.distributions.items():
            if not distribution._contains(distribution.to_internal_repr(trial.params[key])):
                problems.append(f"trial {trial.number}: {key} outside {distribution}")
    print(f"Optuna reads {len(study.trials)} trials, best {study.best_value:.4f} with {study.best_params}")
    return problems


def importances(example, folder):
    """The functional ANOVA of both on the same 300 complete trials: the same order, and shares within 0.1."""
    journal = folder / "importance.log"
    subprocess.run([example, "complete", journal, "300"], check=True, stdout=subprocess.DEVNULL)
    output = subprocess.run([example, "load", journal], capture_output=True, text=True, check=True).stdout
    ours = json.loads(output.splitlines()[1].split("importance ")[1])
    study = optuna.load_study(study_name=NAME, storage=storage(journal))
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    names = ["learning_rate", "layers", "dropout", "optimizer"]
    theirs = optuna.importance.get_param_importances(study, evaluator=evaluator, params=names, normalize=False)
    problems = []
    for name in names:
        print(f"importance of {name:14} ours {ours[name]:.3f} optuna {theirs[name]:.3f}")
        if abs(ours[name] - theirs[name]) > 0.1:
            problems.append(f"importance of {name}: {ours[name]} and {theirs[name]}")
    if sorted(names, key=ours.get)[2:] != sorted(names, key=theirs.get)[2:]:
        problems.append("the importances have another order")
    return problems


def dashboard(path, picture):
    port = 8391
    server = subprocess.Popen(
        [str(pathlib.Path(sys.executable).parent / "optuna-dashboard"), str(path), "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        url = f"http://127.0.0.1:{port}"
        for _ in range(120):
            try:
                found = json.load(urllib.request.urlopen(f"{url}/api/studies", timeout=5))
                break
            except OSError:
                time.sleep(0.5)
        else:
            return ["the dashboard does not answer"]
        names = [study["study_name"] for study in found["study_summaries"]]
        print("optuna-dashboard lists", names)
        if picture:
            subprocess.run(
                ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--window-size=1400,1800", "--virtual-time-budget=20000"]
                + [f"--screenshot={picture}", f"{url}/dashboard/studies/0"],
                check=True,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=180,
            )
            print("picture:", picture)
        return [] if names == [NAME] else [f"the dashboard lists {names}"]
    finally:
        server.terminate()
        server.wait()


def times(example, folder, n_trials, n_loaded):
    ours = subprocess.run([example, "write", folder / "cost-ours.log", str(n_trials)], capture_output=True, text=True, check=True)
    print("ours:  ", ours.stdout.splitlines()[0])
    study = optuna.create_study(
        study_name=NAME,
        storage=storage(folder / "cost-optuna.log"),
        sampler=optuna.samplers.RandomSampler(seed=1),
        direction="maximize",
    )
    begin = time.perf_counter()
    study.optimize(training, n_trials=n_trials)
    seconds = time.perf_counter() - begin
    print(f"optuna: {n_trials} trials in {seconds:.3f} s, {1e3 * seconds / n_trials:.3f} ms each")

    # Both load the same file, Optuna without its snapshots, which its file backend does not have.
    large = folder / "large.log"
    source = (folder / "cost-optuna.log").read_text().splitlines()
    head, body = source[0], source[1:]
    last = max(json.loads(line).get("trial_id", 0) for line in body) + 1
    with large.open("w") as out:
        out.write(head + "\n")
        for copy in range(-(-n_loaded // last)):
            for line in body:
                operation = json.loads(line)
                if "trial_id" in operation:
                    operation["trial_id"] += copy * last
                out.write(json.dumps(operation, separators=(",", ":")) + "\n")
    for turn in range(3):
        begin = time.perf_counter()
        n = len(storage(large).get_all_trials(0, deepcopy=False))
        seconds = time.perf_counter() - begin
        ours = subprocess.run([example, "load", large], capture_output=True, text=True, check=True)
        print(f"load {n} trials: optuna {seconds:.3f} s, ours: {ours.stdout.splitlines()[0]}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("example")
    parser.add_argument("--picture")
    parser.add_argument("--trials", type=int, default=300, help="for the cost of a trial")
    parser.add_argument("--load", type=int, default=10_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        journal = folder / "journal.log"
        workers = [subprocess.Popen([arguments.example, "work", journal, "60"], stdout=subprocess.DEVNULL) for _ in range(3)]
        problems = [f"a worker ended with {code}" for code in (worker.wait() for worker in workers) if code]
        problems += read_ours(journal, 60)
        problems += dashboard(journal, arguments.picture)
        problems += importances(arguments.example, folder)
        times(arguments.example, folder, arguments.trials, arguments.load)
    for problem in problems:
        print("FAIL", problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
