#!/usr/bin/env python3
"""Optuna's samplers on functions that ours were never tuned on (`mlestar-tune/examples/regret/unseen.rs`), at equal budgets.

    python3 benches/peers/tune_unseen.py > optuna.jsonl
    cargo run --release -p mlestar-tune --example regret -- --unseen --trials 60 --seeds 20 --samplers tpe gp cma-es > ours.jsonl
    python3 benches/peers/tune_unseen.py --compare ours.jsonl optuna.jsonl

The comparison prints median regrets and, for each function, which is ahead by a sign test over the seeds (two-sided, 5 %).
Needs what `tune.py` needs.
"""
import argparse
import math
import statistics
import sys

import tune

TRIALS = 60
SAMPLERS = {"tpe": "tpe-multivariate", "gp": "gp", "cma-es": "cma-es"}


def camel(x, y):
    return (4 - 2.1 * x**2 + x**4 / 3) * x**2 + x * y + (4 * y**2 - 4) * y**2


def camel2(trial):
    return camel(trial.suggest_float("x0", -3, 3), trial.suggest_float("x1", -2, 2)) + 1.031628453489877


def levy4(trial):
    w = [1 + (x - 1) / 4 for x in tune.floats(trial, 4, -10, 10)]
    middle = sum((v - 1) ** 2 * (1 + 10 * math.sin(math.pi * v + 1) ** 2) for v in w[:-1])
    return math.sin(math.pi * w[0]) ** 2 + middle + (w[-1] - 1) ** 2 * (1 + math.sin(2 * math.pi * w[-1]) ** 2)


SHEKEL_BETA = [0.1, 0.2, 0.2, 0.4, 0.4, 0.6, 0.3, 0.7, 0.5, 0.5]
SHEKEL_PLACES = [[4, 1, 8, 6, 3, 2, 5, 8, 6, 7], [4, 1, 8, 6, 7, 9, 3, 1, 2, 3.6]] * 2


def shekel4(trial):
    x = tune.floats(trial, 4, 0, 10)
    far = [sum((v - place[at]) ** 2 for v, place in zip(x, SHEKEL_PLACES)) for at in range(10)]
    return 10.536443153483528 - sum(1 / (d + b) for d, b in zip(far, SHEKEL_BETA))


def griewank5(trial):
    x = tune.floats(trial, 5, -300, 600)
    waves = math.prod(math.cos(v / math.sqrt(n)) for n, v in enumerate(x, 1))
    return sum(v * v for v in x) / 4000 - waves + 1


def michalewicz5(trial):
    x = tune.floats(trial, 5, 0, math.pi)
    return 4.687658179088148 - sum(math.sin(v) * math.sin(n * v * v / math.pi) ** 20 for n, v in enumerate(x, 1))


def styblinski6(trial):
    return sum(0.5 * (v**4 - 16 * v**2 + 5 * v) + 39.16616570377142 for v in tune.floats(trial, 6, -5, 5))


def dixon8(trial):
    x = tune.floats(trial, 8, -10, 10)
    return (x[0] - 1) ** 2 + sum(n * (2 * b * b - a) ** 2 for n, (a, b) in enumerate(zip(x, x[1:]), 2))


def zakharov10(trial):
    x = tune.floats(trial, 10, -5, 10)
    s = sum(0.5 * n * v for n, v in enumerate(x, 1))
    return sum(v * v for v in x) + s**2 + s**4


def choices(trial):
    """Two choices of a function each; after Func2C of Ru et al. 2020."""
    first = int(trial.suggest_categorical("first", ["0", "1", "2"]))
    second = int(trial.suggest_categorical("second", ["0", "1", "2", "3", "4"]))
    x, y = (2 * v for v in tune.floats(trial, 2, -1, 1))
    rosenbrock = (100 * (y - x * x) ** 2 + (1 - x) ** 2) / 300
    beale = ((1.5 - x + x * y) ** 2 + (2.25 - x + x * y**2) ** 2 + (2.625 - x + x * y**3) ** 2) / 50
    of = [rosenbrock, camel(x, y) / 10, beale]
    return of[first] + [of[0], of[1], 2 * of[1], 2 * of[2], 3 * of[2]][second] + 3 * 0.1031628453489877


def tree(trial):
    """A tree of parameters of which each exists only beside some values of others: Jenatton et al. 2017."""
    if trial.suggest_categorical("b1", ["0", "1"]) == "0":
        shift = trial.suggest_float("shift8", 0, 1)
        leaf, depth = ("leaf4", 0.0) if trial.suggest_categorical("b2", ["0", "1"]) == "0" else ("leaf5", 0.1)
    else:
        shift = trial.suggest_float("shift9", 0, 1)
        leaf, depth = ("leaf6", 0.2) if trial.suggest_categorical("b3", ["0", "1"]) == "0" else ("leaf7", 0.3)
    return trial.suggest_float(leaf, -1, 1) ** 2 + shift + depth


FUNCTIONS = [camel2, levy4, shekel4, griewank5, michalewicz5, styblinski6, dixon8, zakharov10, choices, tree]


def ahead(ours, peer):
    """Who is lower on more seeds, with the probability of such a share or a larger one by chance; ties count for nobody."""
    wins, losses = sum(a < b for a, b in zip(ours, peer)), sum(a > b for a, b in zip(ours, peer))
    n, most = wins + losses, max(wins, losses)
    chance = min(1.0, 2 * sum(math.comb(n, k) for k in range(most, n + 1)) / 2**n)
    name = "-" if chance >= 0.05 else "ours" if wins > losses else "Optuna"
    return name, wins, losses, chance


def compare(ours, peer):
    ours, peer = tune.read(ours), tune.read(peer)
    print("| function | sampler | seeds | ours | Optuna | ours lower : higher | p | ahead |")
    print("|---|---|---|---|---|---|---|---|")
    for function in FUNCTIONS:
        for sampler, of_optuna in SAMPLERS.items():
            a, b = ours.get((function.__name__, sampler, TRIALS)), peer.get((function.__name__, of_optuna, TRIALS))
            if not a or not b:
                continue
            name, wins, losses, chance = ahead(a, b)
            medians = f"{statistics.median(a):.3g} | {statistics.median(b):.3g}"
            print(f"| {function.__name__} | {sampler} | {min(len(a), len(b))} | {medians} | {wins} : {losses} | {chance:.3f} | {name} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--trials", type=int, default=TRIALS)
    parser.add_argument("--samplers", nargs="*", default=list(SAMPLERS.values()))
    parser.add_argument("--functions", nargs="*")
    parser.add_argument("--compare", nargs=2, metavar=("OURS", "OPTUNA"))
    arguments = parser.parse_args()
    if arguments.compare:
        compare(*arguments.compare)
    else:
        tune.FUNCTIONS = {function.__name__: function for function in FUNCTIONS}
        tune.measure(arguments)


if __name__ == "__main__":
    sys.exit(main())
