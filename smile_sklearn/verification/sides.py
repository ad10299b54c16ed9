"""The maximisations that a relation asks for: one for each side with a limit, and their share of the time."""

import numpy as np


def sides(relation):
    """Signs of the sides to prove: one if swapping the pair turns each into the other."""
    if relation.symmetric:
        return (1,)
    ends = {1: relation.epsilon_upper, -1: -relation.epsilon_lower}
    return tuple(sign for sign, end in ends.items() if np.isfinite(end))


def epsilon_of(relation, sign):
    """What ``sign * (f(x') - f(x''))`` must not exceed."""
    return relation.epsilon_upper if sign > 0 else -relation.epsilon_lower


def share_of(context, problems, number):
    """Seconds of one problem: an equal part of what is left."""
    remaining = context.remaining()
    return None if remaining is None else remaining / (len(problems) - number)
