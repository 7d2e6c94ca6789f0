#!/usr/bin/env python3
"""The importances of parameters (functional ANOVA) by Optuna and by mlestar-tune, on the same studies that Optuna ran.

    cargo build --release -p mlestar-tune --example importance
    python3 benches/peers/importance.py target/release/examples/importance

For functions whose shares are known exactly those stand beside both. `within` is the largest difference between the two for one parameter. The
exit code is 1 if, with 200 random trials or more, ours are farther than 0.1 from the exact shares, or farther from Optuna's where no parameter is
categorical. (Optuna 5.0 turns a categorical parameter into one column per choice and averages over columns that contradict each other, which
raises its share: 0.84 instead of 0.40 for `logarithmic`.) Needs optuna and scikit-learn.
"""
import argparse
import json
import math
import subprocess
import sys
import time
import warnings

import optuna

optuna.logging.set_verbosity(optuna.logging.ERROR)
warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
LIMIT = 0.1


def additive(trial):
    """Variances 1/12, (1/2)^2/12 and (1/4)^2/12: shares 16/21, 4/21, 1/21. `unused` has none."""
    trial.suggest_float("unused", -3, 3)
    return trial.suggest_float("a", 0, 1) + 0.5 * trial.suggest_float("b", 0, 1) + 0.25 * trial.suggest_float("c", 0, 1)


def logarithmic(trial):
    """Of kinds with values 0, 0 and 1 (variance 2/9) and log10(rate) / 2 (range 2, variance 1/3): shares 2/5 and 3/5."""
    kind = {"a": 0, "b": 0, "c": 1}[trial.suggest_categorical("kind", ["a", "b", "c"])]
    return kind + 0.5 * math.log10(trial.suggest_float("rate", 1e-4, 1, log=True))


def product(trial):
    """x * y on the unit square: 3/7 each alone, 1/7 together."""
    return trial.suggest_float("x", 0, 1) * trial.suggest_float("y", 0, 1)


def training(trial):
    """A training with six parameters, of which two matter little and one not at all; noisy."""
    rate = math.log10(trial.suggest_float("rate", 1e-5, 1, log=True)) + 2.5
    layers = trial.suggest_int("layers", 1, 8) - 5
    dropout = trial.suggest_float("dropout", 0, 0.9) - 0.3
    batch = trial.suggest_categorical("batch", [32, 64, 128, 256])
    optimizer = {"sgd": 0.05, "adam": 0, "adamw": 0}[trial.suggest_categorical("optimizer", ["sgd", "adam", "adamw"])]
    trial.suggest_float("unused", 0, 1)
    noise = math.sin(1e4 * (rate + dropout)) * 0.01
    return -0.05 * rate**2 - 0.005 * layers**2 - 0.1 * dropout**2 - optimizer - 1e-4 * batch + noise


EXACT = {
    "additive": {"a": 16 / 21, "b": 4 / 21, "c": 1 / 21, "unused": 0},
    "logarithmic": {"kind": 2 / 5, "rate": 3 / 5},
    "product": {"x": 3 / 7, "y": 3 / 7},
}
STUDIES = [
    (function, sampler, n)
    for function in [additive, logarithmic, product, training]
    for sampler, n in [("random", 50), ("random", 200), ("random", 1000), ("tpe", 200)]
]


def space(study):
    described = {}
    for name, given in study.trials[0].distributions.items():
        if isinstance(given, optuna.distributions.CategoricalDistribution):
            described[name] = {"type": "categorical", "choices": list(given.choices)}
        else:
            kind = "int" if isinstance(given, optuna.distributions.IntDistribution) else "float"
            described[name] = {"type": kind, "low": given.low, "high": given.high, "log": given.log}
    return described


def as_line(study):
    trials = [
        {"number": t.number, "state": "complete", "parameters": t.params, "value": t.value, "intermediate": [], "message": None}
        for t in study.trials
    ]
    return json.dumps({"space": space(study), "trials": trials})


def distance(a, b):
    return max(abs(a[name] - b[name]) for name in a)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("example", help="the compiled example `importance`")
    arguments = parser.parse_args()
    samplers = {"random": optuna.samplers.RandomSampler, "tpe": optuna.samplers.TPESampler}
    studies = []
    for function, sampler, n in STUDIES:
        study = optuna.create_study(sampler=samplers[sampler](seed=1), direction="maximize")
        study.optimize(function, n_trials=n)
        studies.append(study)
    lines = "\n".join(map(as_line, studies))
    output = subprocess.run([arguments.example], input=lines, capture_output=True, text=True, check=True).stdout
    worst = 0
    for (function, sampler, n), study, line in zip(STUDIES, studies, output.splitlines()):
        found = json.loads(line)
        ours = found["importance"]["shares"]
        begin = time.perf_counter()
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
        theirs = optuna.importance.get_param_importances(study, evaluator=evaluator, normalize=False)
        seconds = time.perf_counter() - begin
        name = function.__name__
        within = distance(ours, theirs)
        exact = EXACT.get(name)
        known = f"from exact: ours {distance(exact, ours):.3f} optuna {distance(exact, theirs):.3f}" if exact else ""
        print(f"{name:12} {sampler:6} {n:5} within {within:.3f} {known}")
        print("    " + ", ".join(f"{key} {ours[key]:.3f}/{theirs[key]:.3f}" for key in sorted(ours, key=ours.get, reverse=True)), end="")
        print(f"; chance {found['importance']['chance']:.3f}; ours {found['seconds']:.3f} s, optuna {seconds:.3f} s")
        if sampler == "random" and n >= 200:
            has_choices = any("choices" in described for described in space(study).values())
            worst = max(worst, 0 if has_choices else within, distance(exact, ours) if exact else 0)
    print(f"200 random trials and more: ours at most {worst:.3f} from the exact shares, and from Optuna's without categorical parameters")
    return 1 if worst > LIMIT else 0


if __name__ == "__main__":
    sys.exit(main())
