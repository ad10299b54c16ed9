"""The paper's monotone tasks: how close a certified network comes to what any monotone function can do.

Nine tasks y = x + alpha sin(omega x) on [-10, 10], 1000 rows each, all models at one setting for all nine;
method="smile" at the defaults of the estimator. Isotonic regression is the best of all nondecreasing
functions on the training rows. Writes monotonicity_raw.csv (one row a fit), monotonicity.csv and
monotonicity.png.

    python benchmarks/paper/monotonicity.py [--quick] [--seeds 3] [--models NAME ...] [--output docs/study]
"""

import time
import warnings

import numpy as np
import torch
from matplotlib.figure import Figure
from results import Results, mean_and_spread, output_folder, study_parser
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import r2_score

from smile_sklearn import Monotonic, SMiLERegressor
from smile_sklearn.datasets import make_sine
from smile_sklearn.exceptions import CertificationWarning
from smile_sklearn.inspection import without_backbone

TASKS = [(alpha, omega) for alpha in (2, 3, 4) for omega in (0.4, 0.6, 0.8)]

GRID = np.linspace(-10.0, 10.0, 10_001).reshape(-1, 1)
"""Where monotonicity is measured in the floats that ``predict`` returns."""

N_SINGLE = 50
"""Neighbouring pairs of the grid that are also predicted one row a call."""

FRESH = 1_000
"""Added to the seed of the training sample for the sample that no model has seen."""

PAPER = {"pretrain_iter": 100, "max_iter": 150, "lambda_box": 1.0, "batch_size": 64}
"""What the documentation recommends for ``method="paper"``, as in benchmarks/methods.py."""

QUICK = {"pretrain_iter": 1, "max_iter": 2, "posttrain_iter": 2, "time_limit": 5.0}
"""Shows that the script runs; the numbers mean nothing."""

MONOTONE = Monotonic({0: 1})

MODELS = {
    "smile": lambda seed, limits: SMiLERegressor(MONOTONE, random_state=seed, **limits),
    "isotonic": lambda seed, limits: IsotonicRegression(out_of_bounds="clip"),
    "boosting": lambda seed, limits: HistGradientBoostingRegressor(monotonic_cst=[1], random_state=seed),
    "unconstrained": lambda seed, limits: SMiLERegressor(random_state=seed, **limits),
    "paper": lambda seed, limits: SMiLERegressor(
        MONOTONE, method="paper", random_state=seed, **{**PAPER, **limits}
    ),
}
"""Constructor of each model from the seed and the limits of --quick; the order is that of the runs."""

ONE_SEED = {"paper"}
"""A fit takes minutes: one seed."""

MEASURED = ("train R2", "gap to isotonic", "fresh R2", "without h", "violation", "fit seconds")


def run(name, alpha, omega, seed, limits):
    """Fit one model on one task and return its row."""
    X, y = make_sine(alpha, omega, random_state=seed)
    X_fresh, y_fresh = make_sine(alpha, omega, random_state=FRESH + seed)
    model = MODELS[name](seed, limits)
    with warnings.catch_warnings():
        # A fit that ends without a proof says so in the column status.
        warnings.simplefilter("ignore", CertificationWarning)
        started = time.process_time()
        model.fit(X, y)
        seconds = time.process_time() - started
    limit = r2_score(y, IsotonicRegression().fit(X, y).predict(X))
    score = r2_score(y, model.predict(X))
    is_network = isinstance(model, SMiLERegressor)
    ablated = r2_score(y, without_backbone(model, X).predict(X)) if is_network else np.nan
    return {
        "train R2": score,
        "gap to isotonic": limit - score,
        "fresh R2": r2_score(y_fresh, model.predict(X_fresh)),
        "without h": ablated,
        "violation": violation(model),
        **proof(getattr(model, "certificate_", None)),
        "fit seconds": seconds,
    }


def violation(model):
    """Return the largest fall of ``predict`` between neighbours on the grid; 0.0 is an exact zero.

    In one call, and for some neighbours in one call a row: a sum that depends on a row's place in its
    batch would break monotonicity in the last bits.
    """
    together = model.predict(GRID)
    start = np.linspace(0, len(GRID) - 2, N_SINGLE).astype(int)
    alone = np.array([[model.predict(GRID[[row]])[0] for row in (i, i + 1)] for i in start])
    falls = np.concatenate([-np.diff(together), alone[:, 0] - alone[:, 1], together[start] - alone[:, 1]])
    return float(max(0.0, falls.max()))


def proof(certificate):
    """What was proven, in columns; empty for a model that proves nothing."""
    if certificate is None:
        return {"status": "", "bound": np.nan, "rigor": "", "verifier": ""}
    return {
        "status": str(certificate.status),
        "bound": certificate.bound,
        "rigor": certificate.rigor,
        "verifier": certificate.verifier,
    }


def summarise(raw):
    """One row a task and model: means over the seeds, the worst violation, statuses counted."""
    keys = ["alpha", "omega", "model"]
    table = mean_and_spread(raw, keys, MEASURED)
    grouped = raw.fillna({"status": "", "rigor": ""}).groupby(keys, sort=False)
    table["largest gap"] = grouped["gap to isotonic"].max().to_numpy()
    table["violation"] = grouped["violation"].max().to_numpy()
    table["status"] = grouped["status"].agg(counted).to_numpy()
    table["rigor"] = grouped["rigor"].agg(counted).to_numpy()
    columns = [
        *keys, "train R2", "train R2 spread", "gap to isotonic", "gap to isotonic spread", "largest gap",
        "fresh R2", "fresh R2 spread", "without h", "violation", "status", "rigor", "fit seconds", "runs",
    ]  # fmt: skip
    order = {name: rank for rank, name in enumerate(MODELS)}
    return table[columns].sort_values(keys, key=lambda column: column.replace(order), ignore_index=True)


def counted(values):
    """Write ``3 HOLDS`` or ``2 HOLDS, 1 BOUNDED``."""
    return ", ".join(f"{count} {value}" for value, count in values[values != ""].value_counts().items())


def draw(table, path, limits):
    """Training R2 of the monotone models as in figure 3 of the paper, and one task with its fits."""
    names = [name for name in ("isotonic", "smile", "paper", "boosting") if name in set(table["model"])]
    figure = Figure(figsize=(2.3 * len(names) + 4.6, 3.0), layout="constrained")
    panels = figure.subplots(1, len(names) + 1, width_ratios=[1.0] * len(names) + [1.9])
    for panel, name in zip(panels[:-1], names, strict=True):
        draw_heatmap(panel, table[table["model"] == name], name)
    draw_curves(panels[-1], limits)
    figure.savefig(path, dpi=120)


def draw_heatmap(panel, rows, name):
    """Mean training R2 over alpha (down) and omega (across)."""
    values = rows.pivot(index="alpha", columns="omega", values="train R2").astype(float)
    panel.imshow(values, vmin=0.9, vmax=1.0, cmap="viridis")
    for row, column in np.ndindex(values.shape):
        value = values.iloc[row, column]
        color = "white" if value < 0.95 else "black"
        panel.text(column, row, f"{value:.4f}", ha="center", va="center", color=color, fontsize=9)
    panel.set_xticks(range(values.shape[1]), values.columns)
    panel.set_yticks(range(values.shape[0]), values.index)
    panel.set(title=name, xlabel="omega", ylabel="alpha")


def draw_curves(panel, limits, alpha=4, omega=0.8):
    """The hardest task: its function and the fits that need no minutes."""
    X, y = make_sine(alpha, omega, random_state=0)
    panel.plot(GRID, GRID + alpha * np.sin(omega * GRID), color="0.7", linewidth=3, label="function")
    styles = {"isotonic": ("black", "--"), "smile": ("tab:blue", "-"), "boosting": ("tab:orange", "-")}
    for name, (color, line) in styles.items():
        curve = MODELS[name](0, limits).fit(X, y).predict(GRID)
        panel.plot(GRID, curve, line, color=color, linewidth=1.2, label=name)
    panel.set(title=f"alpha {alpha}, omega {omega}, seed 0", xlabel="x", ylabel="y")
    panel.legend(frameon=False, fontsize=8)


def main(arguments=None):
    parser = study_parser(__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS), help=f"of {[*MODELS]}")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)  # the networks are small: threads would only wait for each other
    limits = QUICK if options.quick else {}
    folder = output_folder(options)
    results = Results(folder / "monotonicity_raw.csv", ("model", "alpha", "omega", "seed"))
    for name in options.models:
        for seed in range(1 if options.quick or name in ONE_SEED else options.seeds):
            for alpha, omega in TASKS[-1:] if options.quick else TASKS:
                key = {"model": name, "alpha": alpha, "omega": omega, "seed": seed}
                if not results.has(**key):
                    results.add(**key, **run(name, alpha, omega, seed, limits))
    table = summarise(results.frame())
    table.to_csv(folder / "monotonicity.csv", index=False, float_format="%.5g")
    draw(table, folder / "monotonicity.png", limits)
    print(table.to_string(index=False, float_format="{:.4g}".format))


if __name__ == "__main__":
    main()
