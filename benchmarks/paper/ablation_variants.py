"""The variants of the ablation, and the tasks on which they are fitted."""

from dataclasses import dataclass, field, replace
from functools import partial

import pandas as pd
import torch
from sklearn.datasets import load_breast_cancer, load_diabetes
from torch import nn

from smile_sklearn import Fair, GloballyRobust, Monotonic, SMiLEClassifier, SMiLERegressor
from smile_sklearn.datasets import fetch_compas, make_sine
from smile_sklearn.network import FreeAuxiliary
from smile_sklearn.training.smile_method import SMiLEMethod

DEFAULT = "default"

# --- what is varied -------------------------------------------------------------------------------


class LateProperties(SMiLEMethod):
    """No multipliers while the data are looked at: the properties are met in posttraining alone."""

    def train(self, state):
        """Train as without properties."""
        return super().train(replace(state, goals=()))


class ConstantModule(nn.Module):
    """A backbone that reads nothing."""

    def __init__(self, n_inputs, n_latent):
        super().__init__()
        self.embedding = nn.Parameter(torch.zeros(n_latent, dtype=torch.float64))

    def forward(self, inputs):
        """Return the same embedding for every row."""
        return self.embedding.expand(len(inputs), -1)


@dataclass(frozen=True)
class Variant:
    """One change of the default.

    Parameters
    ----------
    name : str
    arguments : dict
        Of the estimator.
    needs : frozenset of str
        Traits of the tasks on which it changes anything.
    """

    name: str
    arguments: dict
    needs: frozenset = frozenset()


PENALTY, SHARED, READS, EMBEDDED, APART = (
    frozenset({trait}) for trait in ("penalty", "shared", "reads", "embedded", "apart")
)
"""Traits: training has a violation to lower (epsilon > 0; else signs do it all); the default coupling is
shared; the backbone reads some feature; by default lo and hi read an embedding of these, or do not."""

VARIANTS = (
    Variant(DEFAULT, {}),
    Variant("without properties", {"properties": None}),
    Variant("pretraining off", {"pretrain_iter": 0}),
    *(Variant(f"alpha {alpha:g}", {"alpha": alpha}, PENALTY) for alpha in (0.0, 0.5, 1.0)),
    *(
        Variant(f"alpha 0.5, pool of {size}", {"alpha": 0.5, "method": SMiLEMethod(pool_size=size)}, PENALTY)
        for size in (8, 128)
    ),
    Variant("properties in posttraining only", {"method": LateProperties()}, PENALTY),
    Variant("projection only", {"method": LateProperties(), "posttrain_iter": 0}, PENALTY),
    *(Variant(f"lambda_box {weight:g}", {"lambda_box": weight}) for weight in (0.0, 0.1, 1.0)),
    # The difference bounds of free ends are no goal of training under the box coupling: counterexamples only.
    Variant("alpha 0, free lo and hi", {"alpha": 0.0, "auxiliary": partial(FreeAuxiliary, hidden=16)}),
    Variant("shared embedding off", {"method": SMiLEMethod(shared_embedding=False)}, EMBEDDED),
    Variant("shared embedding on", {"method": SMiLEMethod(shared_embedding=True)}, APART),
    Variant("box coupling", {"coupling": "box"}, SHARED),
    Variant("trained without h", {"backbone": ConstantModule}, READS),
)


def changes(variant, task):
    """Whether the variant differs from the default on this task at all."""
    default = task.estimator().get_params(deep=False) | {"properties": task.properties}
    same = all(default[name] == value for name, value in variant.arguments.items())
    return variant.name == DEFAULT or (not same and variant.needs <= task.traits)


# --- on what --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Task:
    """A data set, the property asked of it, its `traits` (see `Variant`), and what all variants share.

    ``load()`` returns (X, y); ``arguments`` go to the estimator; ``scaled`` puts MinMaxScaler first, for the
    properties that have one delta for all features.
    """

    name: str
    load: object
    estimator: type
    properties: object
    traits: frozenset
    arguments: dict = field(default_factory=dict)
    scaled: bool = False


def load_compas():
    """Two races, words one-hot as bool columns, which the estimator reads as groups."""
    people = fetch_compas(races=("African-American", "Caucasian"))
    return pd.get_dummies(people.data), people.target


TASKS = (
    Task(
        "diabetes, fair",
        partial(load_diabetes, return_X_y=True, as_frame=True, scaled=False),
        SMiLERegressor,
        Fair("sex", epsilon=10.0),
        PENALTY | SHARED | READS | APART,
    ),
    Task(
        "diabetes, monotone and fair",
        partial(load_diabetes, return_X_y=True, as_frame=True, scaled=False),
        SMiLERegressor,
        Monotonic({"bmi": 1, "bp": 1}) & Fair("sex", epsilon=10.0),
        PENALTY | SHARED | READS | EMBEDDED,
    ),
    Task(
        "breast cancer, robust",
        partial(load_breast_cancer, return_X_y=True, as_frame=True),
        SMiLEClassifier,
        GloballyRobust(delta=0.02, epsilon=1.0),
        PENALTY | READS,
        scaled=True,
    ),
    Task(
        "compas, fair",
        load_compas,
        SMiLEClassifier,
        Fair("race", epsilon=0.4),
        PENALTY | SHARED | READS | APART,
    ),
    Task(
        "sine, monotone",
        partial(make_sine, alpha=4.0, omega=0.8, random_state=0),
        SMiLERegressor,
        Monotonic({0: 1}),
        SHARED,
    ),
)
