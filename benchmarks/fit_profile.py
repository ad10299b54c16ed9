"""Where the time of a fit goes: shares by phase, and by part within training.

Run ``python benchmarks/fit_profile.py [--repeats 3]``. Times are CPU seconds of one thread, the smallest of
the repeats; shares matter, seconds are those of one machine.
"""

import argparse
import contextlib
import time
import warnings

import numpy as np
import torch
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.preprocessing import minmax_scale

from smile_sklearn import Fair, GloballyRobust, SMiLEClassifier, SMiLERegressor
from smile_sklearn.base import BaseSMiLE
from smile_sklearn.network import SMiLENetwork
from smile_sklearn.training import SMiLEMethod
from smile_sklearn.training.bounds import DifferenceMeasure
from smile_sklearn.training.envelope import EnvelopeMeasure
from smile_sklearn.training.net import PhaseNet
from smile_sklearn.training.pool import PoolSearch
from smile_sklearn.training.projection import HeadScaling

PHASES = {
    "pretrain": (SMiLEMethod, "pretrain"),
    "train": (SMiLEMethod, "train"),
    "posttrain": (SMiLEMethod, "posttrain"),
    "certificate": (BaseSMiLE, "_certify_fit"),
}
"""Methods whose whole time is a phase's; the rest is "prepare": data, domain, building."""

PARTS = {
    "effective weights": (SMiLENetwork, "auxiliary_graph"),
    "forward pass": (SMiLENetwork, "forward"),
    "difference bounds": (DifferenceMeasure, "bounds"),
    "V of the pool": (EnvelopeMeasure, "violations"),
    "search of pairs": (PoolSearch, "refresh"),
    "losses": (PhaseNet, "get_loss"),
    "backward pass": (torch.Tensor, "backward"),
    "optimiser": (torch.optim.AdamW, "step"),
    "batches and callbacks": (PhaseNet, "run_single_epoch"),
    "projection": (HeadScaling, "__call__"),
}
"""Methods whose own time, without that of other parts called within, is a part's."""


class Stopwatch:
    """Times methods of classes, each without what it spends in another timed one."""

    def __init__(self, methods):
        self.methods, self.seconds, self._running = methods, dict.fromkeys(methods, 0.0), []

    @contextlib.contextmanager
    def running(self):
        """Replace the methods by timed ones for a while."""
        originals = {label: getattr(owner, name) for label, (owner, name) in self.methods.items()}
        try:
            for label, (owner, name) in self.methods.items():
                setattr(owner, name, self._timed(label, originals[label]))
            yield self
        finally:
            for label, (owner, name) in self.methods.items():
                setattr(owner, name, originals[label])

    def _timed(self, label, method):
        def timed(*args, **kwargs):
            started, inner = time.process_time(), [0.0]
            self._running.append(inner)
            try:
                return method(*args, **kwargs)
            finally:
                self._running.pop()
                spent = time.process_time() - started
                self.seconds[label] += spent - inner[0]
                if self._running:
                    self._running[-1][0] += spent

        return timed


def shares(model, data, methods, rest):
    """Seconds of one fit, and the share of every label."""
    watch = Stopwatch(methods)
    with watch.running(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        started = time.process_time()
        model.fit(*data)
        total = time.process_time() - started
    parts = {**watch.seconds, rest: total - sum(watch.seconds.values())}
    return total, {label: seconds / total for label, seconds in parts.items()}


def fits():
    """Name, model and data of the fits that are looked at."""
    table, target = load_diabetes(return_X_y=True, as_frame=True, scaled=False)
    rows, classes = load_breast_cancer(return_X_y=True)
    rows = minmax_scale(rows)
    images = np.random.default_rng(0).uniform(size=(1024, 784))
    wide = {"max_iter": 3, "pretrain_iter": 1, "posttrain_iter": 0, "hidden_layer_sizes": (256, 256)}
    for alpha in (1.0, 0.5):
        options = {"alpha": alpha, "random_state": 0}
        yield f"diabetes, alpha {alpha:g}", SMiLERegressor(Fair("sex", 10.0), **options), (table, target)
        robust = SMiLEClassifier(GloballyRobust(0.02, 1.0), **options)
        yield f"breast cancer, alpha {alpha:g}", robust, (rows, classes)
    robust = SMiLEClassifier(GloballyRobust(0.1, 1.0), random_state=0, batch_size=256, **wide)
    yield "784 features, lipschitz", robust, (images, images[:, 0] > 0.5)


def main():
    """Print both tables of every fit."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    torch.set_num_threads(1)
    warm = SMiLERegressor(Fair([0], 1.0), max_iter=1, pretrain_iter=1, random_state=0)
    warm.fit(np.eye(8), np.arange(8.0))
    for name, model, data in fits():
        for methods, rest in ((PHASES, "prepare"), (PARTS, "everything else")):
            runs = [shares(model, data, methods, rest) for _ in range(repeats)]
            total, parts = min(runs, key=lambda run: run[0])
            listed = ", ".join(f"{label} {share:.0%}" for label, share in parts.items() if share >= 0.005)
            print(f"{name}: {total:.2f} s: {listed}", flush=True)


if __name__ == "__main__":
    main()
