"""Random tables, domains, properties and estimators: every one of them a fit that must end in HOLDS."""

import warnings

import numpy as np
import pandas as pd

from smile_sklearn import (
    Fair,
    GloballyRobust,
    InputDomain,
    Monotonic,
    Relational,
    SMiLEClassifier,
    SMiLERegressor,
)
from smile_sklearn.training import SMiLEMethod
from smile_sklearn.verification.replay import sample_pairs

TASKS = ("regression", "two classes", "three classes")
AUXILIARIES = ("auto", "affine", "relu", "monotone", "lipschitz")
NUMERIC = ("a", "b", "c")
GROUP = ("g_x", "g_y", "g_z")


def random_table(generator):
    """Numeric columns of any scale and offset, an integer, a binary and a constant one, and a group."""
    n_rows = int(generator.integers(6, 30))
    offset, scale = generator.normal(size=3), 10.0 ** generator.integers(-9, 10, size=3)
    table = pd.DataFrame(generator.normal(size=(n_rows, 3)) * scale + offset * scale, columns=NUMERIC)
    table["k"] = generator.integers(-2, 4, n_rows).astype(float)
    table["sex"] = generator.integers(0, 2, n_rows).astype(float)
    table["fixed"] = generator.normal() * 100
    table[list(GROUP)] = np.eye(3)[generator.integers(0, 3, n_rows)]
    return table


def random_domain(generator, table):
    """Learned from the table, or given: wider, with the integer column and the group declared or not."""
    if generator.random() < 0.4:
        return "auto"
    lower, upper = table.min().to_numpy(), table.max().to_numpy()
    room = generator.choice([0.0, 0.5]) * (upper - lower)
    lower, upper = lower - room, upper + room
    integer, groups = [], {}
    if generator.random() < 0.6:
        integer = ["k", "sex"]
        lower[3:5], upper[3:5] = np.floor(lower[3:5]), np.ceil(upper[3:5])
    if generator.random() < 0.6:
        kind = "one_hot_at_most_one" if generator.random() < 0.3 else "one_hot"
        groups, lower[6:], upper[6:] = {kind: ["g"]}, 0.0, 1.0
    return InputDomain(lower, upper, integer=integer, feature_names=list(table.columns), **groups)


def random_target(generator, task, table):
    """Some function of the table, for a regression of any scale."""
    signal = table["k"] + 3 * table["sex"] + generator.normal(size=len(table))
    if task == "regression":
        return signal * 10.0 ** generator.integers(-6, 7) + generator.choice([0.0, 1e3])
    if task == "two classes":
        codes = (signal > signal.median()).to_numpy().astype(int)
    else:
        codes = np.digitize(signal, np.quantile(signal, [0.3, 0.6]))
    codes[: 2 if task == "two classes" else 3] = range(2 if task == "two classes" else 3)
    return codes


def random_epsilon(generator, unit):
    """Positive, from far below to far above what a model does."""
    return float(unit * 10.0 ** generator.choice([-12, -3, -1, 0, 3]))


def random_property(generator, table, unit, n_margins, group):
    """One property of any kind that can be met; ``group`` is how the columns of the group are named."""
    spread = table.max() - table.min()
    numeric = list(generator.choice(NUMERIC, size=generator.integers(1, 4), replace=False))
    delta = {name: float(spread[name] * generator.choice([0.0, 0.01, 0.3, 2.0])) for name in numeric}
    delta |= {"k": float(generator.integers(0, 3))}
    epsilon = random_epsilon(generator, unit)
    kinds = ["fair", "robust", "relational"] + ["monotonic"] * (n_margins == 1)
    kind = generator.choice(kinds)
    if kind == "fair":
        protected = generator.choice(
            ["sex", "k", "a", group, "fixed"], size=generator.integers(1, 3), replace=False
        )
        near = {name: value for name, value in delta.items() if name not in protected}
        limit = 0.0 if generator.random() < 0.3 else epsilon
        return Fair(list(protected), limit, delta=near if generator.random() < 0.4 else 0)
    if kind == "robust":
        if generator.random() < 0.3:
            delta |= {group: 1.0}
        return GloballyRobust(delta, 0.0 if generator.random() < 0.1 else epsilon)
    if kind == "monotonic":
        names = [*numeric, "k", "sex"]
        signs = {name: int(generator.choice([-1, 1])) for name in names}
        return Monotonic(signs, tolerance=0.0 if generator.random() < 0.6 else epsilon)
    low = {name: -value * generator.choice([0.0, 1.0]) for name, value in delta.items()}
    ends = [-epsilon, random_epsilon(generator, unit)]
    if n_margins > 1:
        ends[1] = epsilon
    else:
        ends[generator.integers(2)] *= float(generator.choice([0.0, 1.0]))
        if generator.random() < 0.2:
            ends[1] = np.inf
    return Relational(low, delta, *(float(end) for end in ends))


def random_fit(seed, **fixed):
    """Fit one random model; return it with the arguments that made it.

    Parameters
    ----------
    seed : int
    **fixed
        Arguments of the estimator that are not drawn.
    """
    generator = np.random.default_rng(seed)
    task = str(generator.choice(TASKS))
    table = random_table(generator)
    domain, target = random_domain(generator, table), random_target(generator, task, table)
    unit = float(np.std(target)) if task == "regression" else 1.0
    n_margins = 3 if task == "three classes" else 1
    group = "g" if isinstance(domain, str) or domain.groups else "g_y"
    properties = random_property(generator, table, unit or 1.0, n_margins, group)
    for _ in range(int(generator.choice([0, 0, 1, 2]))):
        properties = properties & random_property(generator, table, unit or 1.0, n_margins, group)
    options = {
        "auxiliary": str(generator.choice(AUXILIARIES)),
        "alpha": float(generator.choice([0.0, 0.5, 1.0])),
        "coupling": str(generator.choice(["auto", "auto", "box", "shared"])),
        "domain": domain,
        "method": SMiLEMethod(search_every=2, shared_embedding=bool(generator.random() < 0.7)),
        "hidden_layer_sizes": (4,),
        "n_latent": int(generator.integers(1, 5)),
        "pretrain_iter": int(generator.integers(0, 2)),
        "max_iter": int(generator.integers(1, 4)),
        "posttrain_iter": int(generator.integers(0, 4)),
        "learning_rate_init": float(generator.choice([1e-3, 1e-2, 1.0])),
        "random_state": 0,
    }
    weights = generator.choice([0.0, 0.5, 3.0], size=len(table)) if generator.random() < 0.3 else None
    if weights is not None:
        weights[:6] = 1.0
    estimator = SMiLERegressor if task == "regression" else SMiLEClassifier
    model = estimator(properties, **{**options, **fixed})
    with warnings.catch_warnings():
        # A property that says nothing, rows outside the domain, an epsilon below rounding: all fitted.
        warnings.simplefilter("ignore")
        model.fit(table, target, sample_weight=weights)
    return model


def worst_changes(model, relation, n_pairs=400, seed=0):
    """Least and largest f(x') - f(x'') of random related pairs, over all margins; (0, 0) if none is drawn."""
    first, second = sample_pairs(relation, n_pairs=n_pairs, seed=seed)
    if not len(first):
        return 0.0, 0.0
    changes = model._output(first) - model._output(second)
    if changes.shape[1] > 1:
        a, b = np.triu_indices(changes.shape[1], k=1)
        outputs = model._output(first), model._output(second)
        changes = (outputs[0][:, a] - outputs[0][:, b]) - (outputs[1][:, a] - outputs[1][:, b])
    return float(changes.min()), float(changes.max())
