"""Whether method="smile" is as good as what promises nothing, and as what is fair by construction."""

import pandas as pd

UNCONSTRAINED = ("agnostic", "boosting", "linear")

FAIR = ("boosting, no race", "agnostic, no race", "boosting, race clipped", "linear, race clipped")
"""Epsilon-fair references: those without race for every epsilon, the clipped ones for their own."""

WITHIN_AGNOSTIC = {"accuracy": 0.003, "R2": 0.01}
WITHIN_UNCONSTRAINED = {"accuracy": 0.008, "R2": 0.008}
WITHIN_FAIR = {"accuracy": 0.003, "R2": 0.003}

USED_LITTLE = 0.2
"""Share of epsilon below which the measured variation asks for an explanation."""


def against_targets(table, tasks):
    """One row a task and epsilon: smile beside the three references, and which of them it reaches.

    Parameters
    ----------
    table : DataFrame
        Means over the seeds, with the columns task, model, setting and quality.
    tasks : sequence of Task

    Returns
    -------
    DataFrame
    """
    rows = []
    for task in tasks:
        found = table[table["task"] == task.name]
        for epsilon in task.epsilons:
            smile = found[(found["model"] == "smile") & (found["setting"] == epsilon)]
            if len(smile):
                rows.append(_compare(task, epsilon, smile.iloc[0], found))
    return pd.DataFrame(rows)


def _compare(task, epsilon, smile, found):
    allowed = found[(found["setting"] == 0.0) | (found["setting"] == epsilon)]
    agnostic = _best(found, ("agnostic",))
    unconstrained = _best(found, UNCONSTRAINED)
    fair = _best(allowed, FAIR)
    gaps = {
        "agnostic": (agnostic[0] - smile["quality"], WITHIN_AGNOSTIC),
        "unconstrained": (unconstrained[0] - smile["quality"], WITHIN_UNCONSTRAINED),
        "fair reference": (fair[0] - smile["quality"], WITHIN_FAIR),
    }
    reached = [name for name, (gap, limit) in gaps.items() if gap <= limit[task.quality]]
    return {
        "task": task.name,
        "epsilon": epsilon,
        "smile": smile["quality"],
        **{f"gap to {name}": gap for name, (gap, _) in gaps.items()},
        "best unconstrained": unconstrained[1],
        "best fair reference": fair[1],
        "reached": ", ".join(reached) or "none",
        "largest bound": smile["largest bound"],
        "variation / epsilon": smile["largest variation"] / epsilon,
        "uses little": smile["largest variation"] < USED_LITTLE * epsilon,
    }


def _best(found, models):
    """Quality and name of the best of some models, (nan, "") where none was run."""
    rows = found[found["model"].isin(models)]
    if not len(rows):
        return float("nan"), ""
    best = rows.loc[rows["quality"].idxmax()]
    return best["quality"], best["model"]
