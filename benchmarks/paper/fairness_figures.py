"""Figures 4 and 5 of the paper, redrawn from the tables of the fairness study."""

from matplotlib.colors import Normalize
from matplotlib.figure import Figure

SERIES = {
    "smile": ("o", "tab:blue", "smile"),
    "paper": ("s", "tab:cyan", 'method="paper"'),
    "certifair": ("^", "tab:orange", "CertiFair-style penalty"),
    "agnostic": ("X", "black", "agnostic"),
    "agnostic, no race": ("P", "grey", "agnostic, no race"),
    "boosting": ("D", "tab:green", "boosting"),
    "boosting, race clipped": ("d", "tab:olive", "boosting, race clipped"),
    "linear": ("*", "tab:red", "linear"),
}
"""Marker, colour and label of each model of figure 4."""

LINEAR_PART = {"accuracy": 0.1, "R2": 0.01}
"""Variation up to which the axis is linear: models without race are at 0."""


def draw_quality(table, tasks, path):
    """Figure 4: quality against the largest counterfactual variation on test rows, means over the seeds.

    A line joins the settings of one method; models differ in that line by epsilon or lambda.
    """
    tasks = [task for task in tasks if (table["task"] == task.name).any()]
    figure = Figure(figsize=(10.5, 7.0), layout="constrained")
    grid = figure.subplots(2, -(-len(tasks) // 2), squeeze=False).ravel()
    panels = grid[: len(tasks)]
    for empty in grid[len(tasks) :]:
        empty.axis("off")
    for axes, task in zip(panels, tasks, strict=True):
        rows = table[table["task"] == task.name]
        for model, (marker, colour, label) in SERIES.items():
            part = rows[rows["model"] == model].sort_values("setting")
            if not len(part):
                continue
            line = "-" if len(part) > 1 else ""
            axes.plot(
                part["variation"], part["quality"], line, marker=marker, color=colour, label=label, alpha=0.8
            )
        axes.set_xscale("symlog", linthresh=LINEAR_PART[task.quality])
        axes.set_xlim(left=-0.1 * LINEAR_PART[task.quality])
        axes.set(title=task.name, xlabel="counterfactual variation", ylabel=task.quality)
        axes.grid(alpha=0.3)
    labelled = {line.get_label(): line for axes in panels for line in axes.get_lines()}
    figure.legend(handles=list(labelled.values()), loc="outside lower center", ncols=4, frameon=False)
    figure.savefig(path, dpi=120)


def draw_pairs(pairs, features, path):
    """Figure 5: every test pair of crime on two features, coloured by its variation, one panel an epsilon.

    Parameters
    ----------
    pairs : DataFrame
        The two features and one column an epsilon; ``"0"`` is the agnostic network.
    features : tuple of str
    path : Path
    """
    models = [name for name in pairs.columns if name not in features]
    figure = Figure(figsize=(2.6 * len(models), 3.1), layout="constrained")
    panels = figure.subplots(1, len(models), squeeze=False, sharex=True, sharey=True)[0]
    # One scale for all, up to what the largest epsilon allows: the agnostic network saturates it.
    norm = Normalize(0.0, max(float(name) for name in models) or None)
    # The agnostic network first, then from the largest epsilon to the smallest.
    order = sorted(models, key=lambda name: float(name) or float("inf"), reverse=True)
    for axes, name in zip(panels, order, strict=True):
        dots = axes.scatter(
            pairs[features[0]], pairs[features[1]], c=pairs[name], s=7, norm=norm, cmap="viridis_r"
        )
        largest = pairs[name].max()
        label = "agnostic" if float(name) == 0 else f"epsilon {name}"
        axes.set(title=f"{label}\nlargest {largest:.3f}", xlabel=features[0])
    panels[0].set_ylabel(features[1])
    figure.colorbar(dots, ax=panels, label="variation", extend="max")
    figure.savefig(path, dpi=120)
