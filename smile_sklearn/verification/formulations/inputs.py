r"""Two related inputs in unit coordinates.

.. math::

    0 \le p'_j, p''_j \le 1                      &\qquad \text{numeric j, one variable if } D_j = [0, 0] \\
    w_j p_j = k_j, \quad k_j \in \{0, ..., w_j\} &\qquad \text{integer j of width } w_j, \text{ each copy} \\
    \textstyle\sum_{j \in G} p_j = 1, \quad p_j \in \{0, 1\} &\qquad \text{group G, each copy} \\
    \textstyle\sum_{j \in G} p_j \le 1           &\qquad \text{instead, for at most one} \\
    D^-_j \le p'_j - p''_j \le D^+_j             &\qquad \text{where it cuts} \\
    p'_a \le \textstyle\sum_{b : (a, b) \in Q} p''_b, \quad
    p''_b \le \textstyle\sum_{a : (a, b) \in Q} p'_a &\qquad \text{categories a, b of a group}

D comes from ``relation.unit_delta()``, widened for the rounding of the scaling. A computed integer
coordinate fl(k / w) differs from k / w by at most u: :func:`input_errors` states it, and the slack of
the verifier carries it through the network.
"""

import numpy as np

from smile_sklearn.verification.rounding import UNIT_ROUNDOFF


def encode_inputs(builder, relation, ranges):
    """Add the variables and rows of the pair; return their columns, two (d,) int arrays.

    Parameters
    ----------
    builder : ModelBuilder
    relation : Relation or RelationPart
    ranges : tuple of two Interval
        Of the coordinates of each copy; what is fixed there (the categories of a part) is a constant.
    """
    domain = relation.domain
    low, high = relation.unit_delta()
    whole = domain.is_integer & (domain.scale > 0)
    is_binary = domain.in_group | (whole & (domain.scale == 1))
    first, second = np.empty(domain.n_features, dtype=np.intp), np.empty(domain.n_features, dtype=np.intp)
    shared = (low == 0) & (high == 0)
    for feature in range(domain.n_features):
        first[feature] = _coordinate(builder, ranges[0], feature, is_binary[feature])
        if shared[feature]:
            second[feature] = first[feature]
            continue
        second[feature] = _coordinate(builder, ranges[1], feature, is_binary[feature])
        if not domain.in_group[feature] and (low[feature] > -1.0 or high[feature] < 1.0):
            builder.row([(first[feature], 1.0), (second[feature], -1.0)], low[feature], high[feature])
    for feature in np.flatnonzero(whole & (domain.scale > 1)):
        for column in {first[feature], second[feature]}:
            _whole_multiple(builder, column, domain.scale[feature])
    for group, allowed in zip(domain.groups, relation.group_pairs, strict=True):
        columns = list(group.columns)
        if any((low[columns] < high[columns]).any() for low, high in ranges):
            _encode_group(builder, group, allowed, first, second)
    return first, second


def _coordinate(builder, interval, feature, is_binary):
    return builder.columns(interval.low[feature], interval.high[feature], integer=is_binary)[0]


def input_errors(domain):
    """By how much the coordinate that the network reads may differ from the modelled one, (d,)."""
    return np.where(domain.is_integer & (domain.scale > 1), 2 * UNIT_ROUNDOFF, 0.0)


def _whole_multiple(builder, column, scale):
    (whole,) = builder.columns(0.0, scale, integer=True)
    builder.row([(column, scale), (whole, -1.0)], 0.0, 0.0)


def _encode_group(builder, group, allowed, first, second):
    columns = list(group.columns)
    copies = {tuple(first[columns]), tuple(second[columns])}
    for copy in sorted(copies):
        builder.row([(column, 1.0) for column in copy], -np.inf if group.at_most_one else 1.0, 1.0)
    if len(copies) == 1 or allowed.all():
        return
    firsts, seconds = _categories(group, first[columns]), _categories(group, second[columns])
    for category, partners in enumerate(allowed):
        _only_with(
            builder, firsts[category], [seconds[other] for other in np.flatnonzero(partners)], partners
        )
    for category, partners in enumerate(allowed.T):
        _only_with(
            builder, seconds[category], [firsts[other] for other in np.flatnonzero(partners)], partners
        )


def _categories(group, columns):
    """Each category as (constant, terms): a column, or 1 minus all of them for the zero row."""
    expressions = [(0.0, [(column, 1.0)]) for column in columns]
    return expressions + [(1.0, [(column, -1.0) for column in columns])] * group.at_most_one


def _only_with(builder, category, partners, allowed):
    """Add ``category <= sum of partners``, unless every partner is allowed."""
    if allowed.all():
        return
    constant = sum(partner[0] for partner in partners) - category[0]
    terms = list(category[1])
    for _, others in partners:
        terms += [(column, -coefficient) for column, coefficient in others]
    builder.row(terms, upper=constant)
