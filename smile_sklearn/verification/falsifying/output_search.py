"""A related pair on which f itself breaks the property: moves without a gradient, through ``predict``."""

import numpy as np

from smile_sklearn.verification.replay import repair_unit, replay

PARENTS = 32
"""Pairs kept from round to round."""

PATIENCE = 6
"""Rounds without a gain after which the search ends."""

TRIES = 8
"""Pairs with a violation in floats that are repaired and replayed, a round: a repair is slow."""


def search_outputs(relation, predict, space, starts, *, n_rounds, generator, is_over=lambda: False):
    """Look for a counterexample by moves from pairs that are promising for another reason.

    Nothing is known of the backbone but its answers. A round sends the best pairs, in one call, to
    four places each: random values in a few features, part of another good pair, and a long and a
    short random step.

    Parameters
    ----------
    relation : Relation
    predict : callable
        ``predict(X) -> (n, n_outputs)``, raw rows.
    space : PairSpace
    starts : tuple of two ndarray of shape (n, d)
        Unit coordinates.
    n_rounds : int
    generator : numpy.random.Generator
    is_over : callable
        Asked before each round; True ends the search.

    Returns
    -------
    Counterexample or None
    """
    pairs, violation = starts, output_violations(relation, predict, space, starts)
    idle, n_features = 0, space.n_blocks
    for number in range(n_rounds + 1):
        order = np.argsort(-violation, kind="stable")[:PARENTS]
        pairs, violation = tuple(rows[order] for rows in pairs), violation[order]
        counterexample = _first_replayed(relation, predict, pairs, violation)
        if counterexample is not None or number == n_rounds or idle == PATIENCE or is_over():
            return counterexample
        others = tuple(rows[generator.permutation(len(order))] for rows in pairs)
        children = [
            space.mixed(generator, pairs, space.draw(generator, len(order)), 2.0 / n_features),
            space.mixed(generator, pairs, others, 0.5),
            space.nudged(generator, pairs, 0.3),
            space.nudged(generator, pairs, 0.3 * 0.8**number),
        ]
        children = tuple(np.vstack(rows) for rows in zip(*children, strict=True))
        values = output_violations(relation, predict, space, children)
        idle = 0 if values.max() > violation.max() else idle + 1
        pairs = tuple(np.vstack(rows) for rows in zip(pairs, children, strict=True))
        violation = np.concatenate([violation, values])
    return None


def output_violations(relation, predict, space, pairs):
    """By how much f(x') - f(x'') leaves [el, eu], the worst margin of each pair, (n,); -inf if not finite."""
    n_pairs = len(pairs[0])
    outputs = np.asarray(predict(space.to_raw(np.vstack(pairs))), dtype=np.float64)
    outputs = outputs.reshape(2 * n_pairs, -1)
    with np.errstate(invalid="ignore", over="ignore"):
        if outputs.shape[1] > 1:
            first, second = np.triu_indices(outputs.shape[1], k=1)
            outputs = outputs[:, first] - outputs[:, second]
        change = outputs[:n_pairs] - outputs[n_pairs:]
        violation = np.maximum(change - relation.epsilon_upper, relation.epsilon_lower - change).max(axis=1)
    return np.where(np.isfinite(violation), violation, -np.inf)


def _first_replayed(relation, predict, pairs, violation):
    """Replay the pairs that seem to break the property, worst first; the exact repair may mend a few."""
    for place in np.flatnonzero(violation > 0.0)[:TRIES]:
        repaired = repair_unit(relation, pairs[0][place], pairs[1][place])
        counterexample = None if repaired is None else replay(relation, *repaired, predict)
        if counterexample is not None:
            return counterexample
    return None
