"""Figure 2 of the paper, y = x^3 through the three phases of training, for both methods side by side.

One latent unit; the model must be half as steep as the cube on every interval of length 0.1. method="smile"
is shown as it is by default, which lowers difference bounds, and with alpha 0, which resolves counterexamples
and leaves the proof to the end. Writes figure_2.csv (after each phase how much f and how much the box may
change) and figure_2.png.

    python benchmarks/paper/figure_2.py [--quick] [--output docs/study]
"""

import time
from functools import partial

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from results import output_folder, study_parser

from smile_sklearn import GloballyRobust, SMiLERegressor
from smile_sklearn.network import freeze_backbone
from smile_sklearn.training import make_method
from smile_sklearn.verification import make_verifier

DELTA = 0.1
STEEPEST = 1 - (1 - DELTA) ** 3
"""Largest change of the cube within delta: at the ends of [-1, 1]."""

EPSILON = round(STEEPEST / 2, 4)
PHASES = ("pretrain", "train", "posttrain")
SETTINGS = {"n_latent": 1, "auxiliary": "relu", "lambda_box": 0.1, "batch_size": 64, "random_state": 1}
EPOCHS = {"pretrain_iter": 100, "max_iter": 100}
MODELS = {
    "paper": {"method": "paper"},
    "smile": {"method": "smile"},
    "smile, alpha 0": {"method": "smile", "alpha": 0.0},
}
QUICK = {"pretrain_iter": 2, "max_iter": 2, "posttrain_iter": 2}
GRID = np.linspace(-1, 1, 401)
COLORS = {"lo": "tab:blue", "hi": "tab:cyan", "h": "tab:orange", "f": "black"}


class Recorder:
    """A method that does what another does, and keeps the network as each phase leaves it."""

    def __init__(self, method):
        self.default_coupling, self.build = method.default_coupling, method.build
        self.records = {}
        for phase in PHASES:
            setattr(self, phase, partial(self._run, phase, getattr(method, phase)))

    def _run(self, phase, work, state):
        result = work(state)
        backbone = freeze_backbone(state.network.backbone, 1, row_by_row=False)
        self.records[phase] = state.snapshot(), backbone
        return result


def curves(snapshot, backbone):
    """lo, hi, h and f on the grid, in units of y: the head, of one weight, is applied to each."""
    unit = snapshot.domain.to_unit(GRID[:, None])
    embedding = backbone(unit)
    lower, upper = snapshot.bounds(unit)
    # Where the ends flip, lo wins; and a negative weight turns the box over.
    ends = np.stack([snapshot.head(lower)[:, 0], snapshot.head(np.maximum(lower, upper))[:, 0]])
    return {
        "lo": ends.min(axis=0),
        "hi": ends.max(axis=0),
        "h": snapshot.head(embedding)[:, 0],
        "f": snapshot.forward(unit, embedding)[:, 0],
    }


def largest_change(first, second):
    """Largest difference ``first(x') - second(x'')`` of grid points at most delta apart."""
    reach = round(DELTA / (GRID[1] - GRID[0]))
    shifts = range(-reach, reach + 1)
    pairs = [
        (first[max(0, k) : len(GRID) + min(0, k)], second[max(0, -k) : len(GRID) - max(0, k)]) for k in shifts
    ]
    return max(float((above - below).max()) for above, below in pairs)


def fit(name, quick):
    """Fit one model; return its records and what to say of each phase."""
    arguments = {**MODELS[name], **SETTINGS, **(QUICK if quick else EPOCHS)}
    recorder = Recorder(make_method(arguments.pop("method")))
    model = SMiLERegressor(GloballyRobust(DELTA, EPSILON), method=recorder, **arguments)
    started = time.process_time()
    model.fit(GRID[:, None], GRID**3)
    seconds = time.process_time() - started
    rows = []
    for phase, (snapshot, backbone) in recorder.records.items():
        lines = curves(snapshot, backbone)
        certificate = make_verifier("difference").verify(snapshot, model.relations_[0], coupling="box")
        rows.append(
            {
                "model": name,
                "after": phase,
                "change of f": largest_change(lines["f"], lines["f"]),
                "change of the box": largest_change(lines["hi"], lines["lo"]),
                "proven by difference bounds": certificate.variation,
                "allowed": EPSILON,
                "R2": 1.0 - np.mean((lines["f"] - GRID**3) ** 2) / np.var(GRID**3),
                "status": str(model.certificate_.status) if phase == PHASES[-1] else "",
                "searches": sum(record.generator_calls for record in model.history_ if record.phase == phase),
                "fit seconds": seconds,
            }
        )
    return recorder.records, rows


def draw(records, table, path):
    """One row of panels a model, one column a phase."""
    figure = Figure(figsize=(10, 2.9 * len(records) + 0.4), layout="constrained")
    panels = figure.subplots(len(records), len(PHASES), sharex=True, sharey=True)
    for line, (name, phases) in zip(panels, records.items(), strict=True):
        for panel, (phase, record) in zip(line, phases.items(), strict=True):
            values = curves(*record)
            panel.fill_between(GRID, values["lo"], values["hi"], color=COLORS["lo"], alpha=0.15)
            panel.plot(GRID[::20], GRID[::20] ** 3, "o", color="0.6", markersize=3, label="data")
            for part, color in COLORS.items():
                style = {"linestyle": "--"} if part == "h" else {"linewidth": 2 if part == "f" else 1}
                panel.plot(GRID, values[part], color=color, label=part, **style)
            row = table[(table["model"] == name) & (table["after"] == phase)].iloc[0]
            panel.set_title(
                f"{name}, after {phase}ing\n"
                f"f changes by {row['change of f']:.3f}, the box by {row['change of the box']:.3f}",
                fontsize=9,
            )
    panels[0, 0].set(ylim=(-1.2, 1.2))
    panels[0, 0].legend(frameon=False, fontsize=8)
    figure.suptitle(f"Largest change within {DELTA}; allowed: {EPSILON}")
    figure.savefig(path, dpi=120)


def main(arguments=None):
    options = study_parser(__doc__.splitlines()[0]).parse_args(arguments)
    torch.set_num_threads(1)
    folder = output_folder(options)
    folder.mkdir(parents=True, exist_ok=True)
    records, rows = {}, []
    for name in MODELS:
        records[name], found = fit(name, options.quick)
        rows += found
    table = pd.DataFrame(rows)
    table.to_csv(folder / "figure_2.csv", index=False, float_format="%.4g")
    draw(records, table, folder / "figure_2.png")
    print(table.to_string(index=False, float_format="{:.4g}".format))


if __name__ == "__main__":
    main()
