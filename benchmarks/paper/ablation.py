"""What each part of method="smile" is worth: one part changed at a time, everything else at its default.

Five tasks on random splits, a quarter of the rows for the score; no setting was chosen on them: all are the
defaults of the estimators, but for fewer epochs on compas. Writes ablation_raw.csv (one row a fit),
ablation.csv and ablation.png.

    python benchmarks/paper/ablation.py [--quick] [--seeds 3] [--tasks NAME ...] [--output docs/study]
"""

import time
import warnings

import numpy as np
import torch
from ablation_variants import DEFAULT, TASKS, VARIANTS, changes
from matplotlib.figure import Figure
from results import Results, mean_and_spread, output_folder, study_parser
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler

from smile_sklearn import SMiLEClassifier
from smile_sklearn.exceptions import CertificationWarning
from smile_sklearn.inspection import backbone_importance

LIMITS = {"time_limit": 10.0}
"""A variant whose proof needs a solver gets so many seconds; the default needs none."""

QUICK = {"pretrain_iter": 1, "max_iter": 1, "posttrain_iter": 2, "time_limit": 0.5}
"""Shows that the script runs; the numbers mean nothing."""

NO_BACKBONE = "h replaced by its mean"


# --- one fit --------------------------------------------------------------------------------------


def run(task, variant, seed, quick):
    """Fit one variant on one split and return its row."""
    X, y = task.load()
    labels = y if issubclass(task.estimator, SMiLEClassifier) else None
    X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=seed, stratify=labels)
    common = {"properties": task.properties, **LIMITS, **task.arguments, **(QUICK if quick else {})}
    arguments = {**common, **variant.arguments}
    scaler = MinMaxScaler().set_output(transform="pandas") if task.scaled else FunctionTransformer()
    model = make_pipeline(scaler, task.estimator(random_state=seed, **arguments))
    with warnings.catch_warnings():
        # A fit that ends without a proof says so in the column status.
        warnings.simplefilter("ignore", CertificationWarning)
        started = time.process_time()
        model.fit(X_train, y_train)
        seconds = time.process_time() - started
    network, worth = model[-1], backbone_importance(model, X_test, y_test)
    return {
        "score": worth.score,
        "without h": worth.ablated_score,
        **proof(network),
        "backbone used": network.backbone_utilisation_.inactive_clip,
        "fit seconds": seconds,
    }


def proof(network):
    """What was proven, in columns; empty without a property."""
    certificate = network.certificate_
    if certificate is None:
        return {"status": "", "bound": np.nan, "variation / epsilon": np.nan}
    parts = certificate.parts or (certificate,)
    shares = [
        part.variation / relation.epsilon_upper
        for part, relation in zip(parts, network.relations_, strict=True)
        if relation.epsilon_upper > 0  # an epsilon of 0 is one-sided and bounds no variation
    ]
    return {
        "status": str(certificate.status),
        "bound": certificate.bound,
        "variation / epsilon": max(shares, default=np.nan),
    }


# --- tables and figure ----------------------------------------------------------------------------


ORDER = {declared.name: place for place, declared in enumerate((*TASKS, *VARIANTS))}

MEASURED = ("score", "without h", "bound", "variation / epsilon", "backbone used", "fit seconds")


def summarise(raw):
    """One row a task and variant; the change is paired: each seed against the default on its own split."""
    default = raw[raw["variant"] == DEFAULT].set_index(["task", "seed"])["score"]
    raw = raw.assign(change=raw["score"] - default.reindex(raw.set_index(["task", "seed"]).index).to_numpy())
    table = mean_and_spread(raw, ("task", "variant"), ("score", "change", *MEASURED[1:]))
    statuses = raw.fillna({"status": ""}).groupby(["task", "variant"], sort=False)["status"].agg(counted)
    keep = ["task", "variant", "score", "score spread", "change", "change spread", *MEASURED[1:], "runs"]
    table = table[keep]
    table.insert(6, "status", statuses.to_numpy())
    # As declared, in whatever order the rows were computed.
    return table.sort_values(["task", "variant"], key=lambda names: names.map(ORDER), kind="stable")


def counted(values):
    """Write ``3 HOLDS`` or ``2 HOLDS, 1 BOUNDED``."""
    return ", ".join(f"{count} {value}" for value, count in values[values != ""].value_counts().items())


def draw(table, path):
    """One panel a task: the change of the score of every variant; hollow where not every seed HOLDS."""
    tasks = list(dict.fromkeys(table["task"]))
    names = sorted(set(table["variant"]) - {DEFAULT}, key=ORDER.get)
    figure = Figure(figsize=(2.6 * len(tasks) + 2.4, 0.3 * len(names) + 2.2), layout="constrained")
    panels = figure.subplots(1, len(tasks), sharey=True, squeeze=False)[0]
    for panel, task in zip(panels, tasks, strict=True):
        rows = table[table["task"] == task].set_index("variant")
        default = rows.loc[DEFAULT]
        panel.axvspan(-default["score spread"], default["score spread"], color="0.92", linewidth=0)
        panel.axvline(0.0, color="0.6", linewidth=1)
        for name, row in rows.drop(DEFAULT).iterrows():
            proven = row["status"] in ("", f"{row['runs']} HOLDS")
            panel.errorbar(
                row["change"],
                names.index(name),
                xerr=row["change spread"],
                marker="o",
                color="tab:blue" if proven else "tab:red",
                markerfacecolor="tab:blue" if proven else "white",
            )
        panel.plot(default["without h"] - default["score"], len(names), "D", color="black", markersize=5)
        panel.set(title=f"{task}\ndefault {default['score']:.3f}", xlabel="change of the score")
        panel.set_xscale("symlog", linthresh=0.02)
        panel.set_xticks([-1, -0.1, -0.01, 0, 0.01, 0.1], ["-1", "-.1", "-.01", "0", ".01", ".1"])
        panel.grid(axis="y", color="0.93")
        panel.set_axisbelow(True)
    panels[0].set_yticks(range(len(names) + 1), [*names, NO_BACKBONE])
    panels[0].invert_yaxis()
    figure.savefig(path, dpi=120)


def write(results, folder):
    """Write the table and the figure of the rows so far."""
    raw = results.frame()
    complete = raw.groupby("task", sort=False).filter(lambda rows: DEFAULT in set(rows["variant"]))
    table = summarise(complete)
    table.to_csv(folder / "ablation.csv", index=False, float_format="%.4g")
    draw(table, folder / "ablation.png")
    return table


def main(arguments=None):
    parser = study_parser(__doc__.splitlines()[0])
    names = [task.name for task in TASKS]
    parser.add_argument(
        "--tasks", nargs="+", choices=names, default=names, metavar="NAME", help=f"of {names}"
    )
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)  # the networks are small: threads would only wait for each other
    folder = output_folder(options)
    path = folder / "ablation_raw.csv"
    if options.quick:
        path.unlink(missing_ok=True)  # it is to show that the script runs, not that it has run
    results = Results(path, ("task", "variant", "seed"))
    run(TASKS[0], VARIANTS[0], 0, quick=True)  # loads what a first fit loads; not counted
    tasks = [task for task in TASKS if task.name in options.tasks]
    for seed in range(1 if options.quick else options.seeds):
        for task in tasks:
            for variant in VARIANTS:
                key = {"task": task.name, "variant": variant.name, "seed": seed}
                if changes(variant, task) and not results.has(**key):
                    results.add(**key, **run(task, variant, seed, options.quick))
        table = write(results, folder)
    print(table.to_string(index=False, float_format="{:.3g}".format))


if __name__ == "__main__":
    main()
