"""The fixed models that the other benchmarks read: trained once, with fixed seeds, and kept.

Twelve models, one a line of MODELS: eight of method="smile", which difference bounds prove, and four of
method="paper", which they do not. Twenty small networks of two to six inputs, NETWORKS, for input
splitting. Each is kept as NAME.npz (the snapshot), NAME.json (property, coupling and how it was trained)
and NAME.joblib (the estimator); it is trained again only if its recipe changes. Scores are not the point.

    python benchmarks/models.py [--cache benchmarks/.cache] [--only NAME ...]
"""

import argparse
import json
import time
import warnings
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import torch
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.preprocessing import MinMaxScaler

from smile_sklearn import Fair, GloballyRobust, Monotonic, SMiLEClassifier, SMiLERegressor
from smile_sklearn.datasets import DatasetNotFoundError, fetch_compas, fetch_mnist, make_sine
from smile_sklearn.exceptions import CertificationWarning
from smile_sklearn.network import FreeAuxiliary
from smile_sklearn.network.dense import ReluAuxiliary
from smile_sklearn.network.lipschitz import LipschitzAuxiliary
from smile_sklearn.network.monotone import MonotoneAuxiliary
from smile_sklearn.properties.relation import Relation
from smile_sklearn.snapshot import NetworkSnapshot

CACHE = Path(__file__).resolve().parent / ".cache"

PROPERTIES = {kind.__name__: kind for kind in (Fair, GloballyRobust, Monotonic)}

PAPER = {"method": "paper", "lambda_box": 1.0, "batch_size": 64, "learning_rate_init": 1e-2}


# --- data -----------------------------------------------------------------------------------------


def diabetes():
    return load_diabetes(return_X_y=True, as_frame=True, scaled=False)


def cancer():
    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    return MinMaxScaler().set_output(transform="pandas").fit_transform(X), y


def digits():
    """Zero against the rest, pixels in [0, 1]."""
    X, y = load_digits(return_X_y=True)
    return X / 16.0, (y == 0).astype(int)


def mnist(n_rows=10_000):
    """Zero against the rest, the first training images."""
    bunch = fetch_mnist()
    return bunch.data_train[:n_rows], (bunch.target_train[:n_rows] == 0).astype(int)


def compas():
    bunch = fetch_compas()
    return pd.get_dummies(bunch.data, dtype=float), bunch.target


def synthetic(n_features, seed, unequal=False, n_rows=400):
    """Waves and one product of uniform inputs; ``unequal``: each has a third of the influence of the last."""
    generator = np.random.default_rng(seed)
    X = generator.random((n_rows, n_features))
    influence = 0.35 ** np.arange(n_features) if unequal else np.ones(n_features)
    phase = generator.uniform(0.0, np.pi, n_features)
    y = np.sin(4.0 * X + phase) @ influence + 2.0 * influence[-1] * X[:, 0] * X[:, -1]
    return X, y


DATA = {
    "sine": lambda: make_sine(alpha=2.0, omega=0.6, random_state=0),
    "diabetes": diabetes,
    "breast cancer": cancer,
    "digits": digits,
    "mnist": mnist,
    "compas": compas,
    "synthetic": synthetic,
}


# --- recipes --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Recipe:
    """All that decides a trained model.

    Parameters
    ----------
    name : str
        Of its files.
    group : {"smile", "paper", "network"}
    data : str
        Key of DATA.
    estimator : type
    property : Property
    arguments : dict
        Of the estimator.
    data_arguments : dict
    """

    name: str
    group: str
    data: str
    estimator: type
    property: object
    arguments: dict = field(default_factory=dict)
    data_arguments: dict = field(default_factory=dict)

    def describe(self):
        """The recipe as text: a model kept under another text is trained again."""
        parts = (self.data, self.data_arguments, self.estimator.__name__, self.property, self.arguments)
        return " | ".join(str(part) for part in parts)

    def load(self):
        return DATA[self.data](**self.data_arguments)


def _smile(name, data, estimator, property, **arguments):
    return Recipe(name, "smile", data, estimator, property, arguments)


def _paper(name, data, estimator, property, **arguments):
    return Recipe(name, "paper", data, estimator, property, PAPER | arguments)


NEAR = {"delta": 0.02, "epsilon": 1.0}

MODELS = (
    _smile("sine-monotone", "sine", SMiLERegressor, Monotonic([1])),
    _smile("diabetes-fair", "diabetes", SMiLERegressor, Fair(["sex"], epsilon=10)),
    _smile("diabetes-monotone", "diabetes", SMiLERegressor, Monotonic({"bmi": 1, "bp": 1})),
    _smile("cancer-affine", "breast cancer", SMiLEClassifier, GloballyRobust(**NEAR), auxiliary="affine"),
    _smile("cancer-relu", "breast cancer", SMiLEClassifier, GloballyRobust(**NEAR), auxiliary="relu"),
    _smile(
        "cancer-lipschitz",
        "breast cancer",
        SMiLEClassifier,
        GloballyRobust(**NEAR),
        auxiliary=partial(LipschitzAuxiliary, group=2),
    ),
    _smile("digits-robust", "digits", SMiLEClassifier, GloballyRobust(delta=0.05, epsilon=2.0)),
    # 784-256-256: the hidden layers of this family have one size. (Sorts of two, here and above: the paper's
    # MIP of paper_mip.py can take those, as max and min.)
    _smile(
        "mnist-lipschitz",
        "mnist",
        SMiLEClassifier,
        GloballyRobust(delta=0.1, epsilon=2.0),
        auxiliary=partial(LipschitzAuxiliary, hidden=256, group=2),
        pretrain_iter=1,
        max_iter=4,
        batch_size=256,
    ),
    _paper(
        "paper-diabetes-fair",
        "diabetes",
        SMiLERegressor,
        Fair(["sex"], epsilon=10),
        auxiliary="relu",
        pretrain_iter=40,
        max_iter=150,
    ),
    _paper(
        "paper-cancer-robust",
        "breast cancer",
        SMiLEClassifier,
        GloballyRobust(**NEAR),
        auxiliary="relu",
        pretrain_iter=15,
        max_iter=150,
    ),
    _paper(
        "paper-sine-monotone",
        "sine",
        SMiLERegressor,
        Monotonic([1], tolerance=0.1),
        auxiliary=partial(FreeAuxiliary, hidden=16),
        pretrain_iter=60,
        max_iter=60,
    ),
    _paper(
        "paper-compas-fair",
        "compas",
        SMiLEClassifier,
        Fair("race", epsilon=0.5),
        auxiliary="relu",
        pretrain_iter=5,
        max_iter=20,
        batch_size=256,
    ),
)

LOOSE = 100.0
"""Epsilon of the small networks in training: it never binds, so nothing shapes them but the data."""


def _network(number):
    """Four networks of each number of inputs; a third have inputs of unequal influence."""
    n_features, unequal = 2 + number // 4, number % 3 == 2
    robust = number % 2 == 0
    property = GloballyRobust(0.2, LOOSE) if robust else Fair([0], LOOSE, delta=0.1)
    family = (
        partial(ReluAuxiliary, hidden=8) if number % 4 < 2 else partial(MonotoneAuxiliary, hidden=6, middle=6)
    )
    return Recipe(
        f"network-{number:02d}",
        "network",
        "synthetic",
        SMiLERegressor,
        property,
        {"auxiliary": family, "n_latent": 3, "hidden_layer_sizes": (8,), "max_iter": 40},
        {"n_features": n_features, "seed": number, "unequal": unequal},
    )


NETWORKS = tuple(_network(number) for number in range(20))


# --- what is kept ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Trained:
    """A model as the verifiers see it.

    Parameters
    ----------
    name, group : str
    snapshot : NetworkSnapshot
    relation : Relation
    coupling : str
        The one it was trained for.
    recipe : Recipe
    facts : dict
        Score on the training data, seconds of training, status and verifier of its own certificate.
    folder : Path
    """

    name: str
    group: str
    snapshot: NetworkSnapshot
    relation: Relation
    coupling: str
    recipe: Recipe
    facts: dict
    folder: Path

    def estimator(self):
        return joblib.load(self.folder / f"{self.name}.joblib")


def obtain(recipe, cache=CACHE):
    """The trained model of a recipe, from the cache if it is there, trained and kept if not.

    Returns
    -------
    Trained or None
        None if the data set is not at hand (and then a line says so).
    """
    note = cache / f"{recipe.name}.json"
    if not note.exists() or json.loads(note.read_text())["recipe"] != recipe.describe():
        try:
            data = recipe.load()
        except DatasetNotFoundError as error:
            print(f"{recipe.name}: left out, {error}")
            return None
        cache.mkdir(parents=True, exist_ok=True)
        note.write_text(json.dumps(_train(recipe, data, cache), indent=1))
    kept = json.loads(note.read_text())
    snapshot = NetworkSnapshot.load(cache / f"{recipe.name}.npz")
    property = PROPERTIES[kept["property"]](**kept["parameters"])
    relation = property.resolve(snapshot.domain, n_outputs=snapshot.n_outputs)
    return Trained(
        recipe.name, recipe.group, snapshot, relation, kept["coupling"], recipe, kept["facts"], cache
    )


def _train(recipe, data, cache):
    """Fit, keep the snapshot and the estimator, and return what goes into the note."""
    estimator = recipe.estimator(recipe.property, random_state=0, **recipe.arguments)
    with warnings.catch_warnings():
        # A fit that ends without a proof says so in its facts.
        warnings.simplefilter("ignore", CertificationWarning)
        started = time.perf_counter()
        estimator.fit(*data)
        seconds = time.perf_counter() - started
    estimator.snapshot_.save(cache / f"{recipe.name}.npz")
    joblib.dump(estimator, cache / f"{recipe.name}.joblib")
    certificate = estimator.certificate_
    return {
        "recipe": recipe.describe(),
        "property": type(recipe.property).__name__,
        "parameters": recipe.property.get_params(deep=False),
        "coupling": estimator.couplings_[0],
        "facts": {
            "score": estimator.score(*data),
            "seconds": seconds,
            "status": str(certificate.status),
            "verifier": certificate.verifier,
            "statement": certificate.statement,
        },
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, default=CACHE, help="where the models are kept")
    parser.add_argument("--only", nargs="+", default=None, help="names of models (default: all)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for recipe in (*MODELS, *NETWORKS):
        if options.only is None or recipe.name in options.only:
            trained = obtain(recipe, options.cache)
            if trained is not None:
                print(f"{recipe.name}: {trained.facts}", flush=True)


if __name__ == "__main__":
    main()
