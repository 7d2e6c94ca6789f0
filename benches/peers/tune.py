#!/usr/bin/env python3
"""Optuna's samplers on the functions of `mlestar-tune/examples/regret/main.rs`, at equal budgets.

    python3 benches/peers/tune.py --seeds 20 > optuna.jsonl
    python3 benches/peers/tune.py --samplers gp --trials 60 >> optuna.jsonl
    cargo run --release -p mlestar-tune --example regret -- --seeds 20 > ours.jsonl
    python3 benches/peers/tune.py --compare ours.jsonl optuna.jsonl

Every line has the regret (best value so far minus the minimum) after 30, 60, 100 and 200 trials. Needs optuna, cmaes, scipy and torch
(the Gaussian process).
"""
import argparse
import json
import math
import statistics
import sys
import time
import warnings

CHECKPOINTS = [30, 60, 100, 200]

HARTMANN_3 = (
    [[3, 10, 30], [0.1, 10, 35], [3, 10, 30], [0.1, 10, 35]],
    [[0.3689, 0.1170, 0.2673], [0.4699, 0.4387, 0.7470], [0.1091, 0.8732, 0.5547], [0.0381, 0.5743, 0.8828]],
)
HARTMANN_6 = (
    [[10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14], [3, 3.5, 1.7, 10, 17, 8], [17, 8, 0.05, 10, 0.1, 14]],
    [
        [0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886],
        [0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991],
        [0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650],
        [0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381],
    ],
)


def hartmann(x, constants):
    total = 0.0
    for weight, a, p in zip([1.0, 1.2, 3.0, 3.2], *constants):
        total += weight * math.exp(-sum(ai * (xi - pi) ** 2 for ai, xi, pi in zip(a, x, p)))
    return -total


def floats(trial, n, low, high):
    return [trial.suggest_float(f"x{i}", low, high) for i in range(n)]


def branin(trial):
    x, y = trial.suggest_float("x0", -5, 10), trial.suggest_float("x1", 0, 15)
    b, c = 5.1 / (4 * math.pi**2), 5 / math.pi
    return (y - b * x * x + c * x - 6) ** 2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10 - 0.39788735772973816


def ackley5(trial):
    # Shifted, so that the optimum is not the centre of the space.
    x = [v - s for v, s in zip(floats(trial, 5, -32.768, 32.768), [7.3, -11.1, 3.7, 15.2, -5.9])]
    a = -20 * math.exp(-0.2 * math.sqrt(sum(v * v for v in x) / 5))
    return a - math.exp(sum(math.cos(2 * math.pi * v) for v in x) / 5) + 20 + math.e


def rosenbrock4(trial):
    x = floats(trial, 4, -5, 10)
    return sum(100 * (b - a * a) ** 2 + (1 - a) ** 2 for a, b in zip(x, x[1:]))


def mixed(trial):
    """A training: the best rate and decay depend on the optimizer."""
    optimizer = trial.suggest_categorical("optimizer", ["sgd", "adam", "adamw"])
    rate = math.log10(trial.suggest_float("rate", 1e-5, 1.0, log=True))
    layers = trial.suggest_int("layers", 1, 8)
    dropout = trial.suggest_float("dropout", 0.0, 0.9)
    best_rate, penalty = {"sgd": (-1.0, 0.05), "adam": (-3.0, 0.0), "adamw": (-2.7, 0.02)}[optimizer]
    return penalty + (rate - best_rate) ** 2 / 4 + 0.02 * (layers - 5) ** 2 + (dropout - 0.3) ** 2


def categories(trial):
    """Five categorical parameters whose effects interact in pairs, and two real ones."""
    chosen = [int(trial.suggest_categorical(f"c{i}", ["0", "1", "2", "3"])) for i in range(5)]
    target = [2, 0, 3, 1, 2]
    wrong = [c != t for c, t in zip(chosen, target)]
    x, y = trial.suggest_float("x", 0, 1), trial.suggest_float("y", 0, 1)
    pairs = sum(a and b for a, b in zip(wrong, wrong[1:]))
    return sum(wrong) * 0.5 + 0.25 * pairs + (x - 0.2 - 0.1 * chosen[0]) ** 2 + (y - 0.7) ** 2


FUNCTIONS = {
    "branin": branin,
    "hartmann3": lambda trial: hartmann(floats(trial, 3, 0, 1), HARTMANN_3) + 3.8627797869493365,
    "hartmann6": lambda trial: hartmann(floats(trial, 6, 0, 1), HARTMANN_6) + 3.3223680114155147,
    "ackley5": ackley5,
    "rosenbrock4": rosenbrock4,
    "mixed": mixed,
    "categories": categories,
}


def samplers():
    import optuna

    return {
        "random": lambda seed: optuna.samplers.RandomSampler(seed=seed),
        "qmc": lambda seed: optuna.samplers.QMCSampler(seed=seed, scramble=True),
        "tpe": lambda seed: optuna.samplers.TPESampler(seed=seed),
        "tpe-multivariate": lambda seed: optuna.samplers.TPESampler(seed=seed, multivariate=True),
        "tpe-group": lambda seed: optuna.samplers.TPESampler(seed=seed, multivariate=True, group=True),
        "cma-es": lambda seed: optuna.samplers.CmaEsSampler(seed=seed),
        "gp": lambda seed: optuna.samplers.GPSampler(seed=seed, deterministic_objective=True),
    }


def measure(arguments):
    import optuna

    warnings.filterwarnings("ignore")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if "gp" in arguments.samplers:
        import torch

        torch.set_num_threads(1)
    for name, function in FUNCTIONS.items():
        if arguments.functions and name not in arguments.functions:
            continue
        for sampler in arguments.samplers:
            for seed in range(arguments.seeds):
                begin = time.perf_counter()
                study = optuna.create_study(sampler=samplers()[sampler](seed))
                study.optimize(function, n_trials=arguments.trials)
                values = [trial.value for trial in study.trials]
                line = {
                    "function": name,
                    "sampler": sampler,
                    "seed": seed,
                    "regret": {str(n): min(values[:n]) for n in CHECKPOINTS if n <= arguments.trials},
                    "seconds": time.perf_counter() - begin,
                }
                print(json.dumps(line), flush=True)


def read(path):
    table = {}
    with open(path) as lines:
        for line in map(json.loads, lines):
            for n, regret in line["regret"].items():
                table.setdefault((line["function"], line["sampler"], int(n)), []).append(regret)
    return table


def compare(ours, peer):
    """The medians over seeds, and the seeds' ranks: the share of pairs in which ours is lower."""
    ours, peer = read(ours), read(peer)
    print(f"{'function':12} {'sampler':17} {'trials':>6} {'n':>3} {'ours':>11} {'optuna':>11} {'ours lower':>10}")
    for key in sorted(set(ours) & set(peer)):
        a, b = ours[key], peer[key]
        wins = sum((x < y) + 0.5 * (x == y) for x in a for y in b) / (len(a) * len(b))
        row = f"{statistics.median(a):11.3g} {statistics.median(b):11.3g} {wins:10.2f}"
        print(f"{key[0]:12} {key[1]:17} {key[2]:6} {len(a):3} {row}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--samplers", nargs="*", default=["random", "qmc", "tpe", "tpe-multivariate", "cma-es"])
    parser.add_argument("--functions", nargs="*")
    parser.add_argument("--compare", nargs=2, metavar=("OURS", "OPTUNA"))
    arguments = parser.parse_args()
    if arguments.compare:
        compare(*arguments.compare)
    else:
        measure(arguments)


if __name__ == "__main__":
    sys.exit(main())
