"""Refutation: related pairs that break the property, or show how far its bound can fall."""

from numbers import Integral

import numpy as np

from smile_sklearn.snapshot.graph import DENSE_NODE_TYPES
from smile_sklearn.verification.base import BoundPair, Proof, Verifier
from smile_sklearn.verification.falsifying.envelope_search import climb, repaired
from smile_sklearn.verification.falsifying.output_search import search_outputs
from smile_sklearn.verification.falsifying.pair_space import PairSpace
from smile_sklearn.verification.replay import replay


class Falsifier(Verifier):
    """Searches related pairs with a large V, and with an f that breaks the property; proves nothing.

    First V, by gradient steps (:mod:`~smile_sklearn.verification.falsifying.envelope_search`): its
    largest violation of an exactly related pair is the certificate's ``attained``. A pair on which f
    breaks the property has V > epsilon too, so f is searched only where such pairs were found, from
    them, and through ``predict`` alone: its gradient is not known here. A counterexample is repaired and
    replayed.

    Parameters
    ----------
    n_pairs : int
        Random pairs, half of them corners, that the search begins with; a quarter of them climb.
    n_steps : int
        Gradient steps on V, and rounds on f, at most.
    random_state : int
        Seed of all draws: equal calls without a time limit give equal answers.
    """

    name = "falsifier"
    couplings = ("box", "shared")
    node_types = DENSE_NODE_TYPES
    refutes = True

    def __init__(self, n_pairs=512, n_steps=24, random_state=0):
        for name, value in (("n_pairs", n_pairs), ("n_steps", n_steps), ("random_state", random_state)):
            if not isinstance(value, Integral) or value < (name == "n_pairs"):
                raise ValueError(
                    f"Got {name}={value!r}, expected a whole number from {int(name == 'n_pairs')}."
                )
        self.n_pairs = n_pairs
        self.n_steps = n_steps
        self.random_state = random_state

    def _verify(self, snapshot, relation, couplings, context):
        is_over = lambda: context.remaining() == 0.0
        climbers = climb(
            snapshot,
            relation,
            couplings,
            n_pairs=self.n_pairs,
            n_steps=self.n_steps,
            random_state=self.random_state,
            is_over=is_over,
        )
        worst = repaired(snapshot, relation, couplings, climbers, n_best=1)
        attained = float(worst.violation[0]) if len(worst) else -np.inf
        counterexample = None
        if attained > 0.0 and context.predict is not None:
            counterexample = replay(relation, worst.first[0], worst.second[0], context.predict)
            if counterexample is None:
                counterexample = search_outputs(
                    relation,
                    context.predict,
                    PairSpace(relation),
                    (climbers.first, climbers.second),
                    n_rounds=self.n_steps,
                    generator=np.random.default_rng(self.random_state),
                    is_over=is_over,
                )
        return Proof(
            bounds=BoundPair(-np.inf, np.inf),
            rigor="replayed",
            couplings=couplings,
            data={
                "kind": "falsifier",
                "n_pairs": int(self.n_pairs),
                "n_steps": int(self.n_steps),
                "random_state": int(self.random_state),
            },
            counterexample=counterexample,
            attained=attained,
        )
