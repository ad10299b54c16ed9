r"""The largest value of a linear function of two related coordinates, exactly.

.. math:: \max_{x, y} \; a x + b y, \quad x \in [x^-, x^+], \; y \in [y^-, y^+], \; x - y \in [d^-, d^+]

For a fixed x the best y is the largest one allowed if b >= 0, else the smallest. What remains is concave
and piecewise linear in x with one kink: its maximum is at an end or at the kink.
"""

from smile_sklearn._check.exact import maximum, minimum, where, zeros


def band_maximum(first_weight, second_weight, first, second, difference):
    """Largest ``a x + b y``; weights and intervals broadcast, and every band must hold a point.

    Parameters
    ----------
    first_weight, second_weight : Exact
        a and b.
    first, second, difference : Interval
        Of x, y and x - y.
    """
    start = maximum(first.low, second.low + difference.low)
    stop = minimum(first.high, second.high + difference.high)
    grows = zeros() <= second_weight
    # Where the best y leaves its own bound and begins to follow x.
    kink = where(grows, second.high + difference.low, second.low + difference.high)
    kink = minimum(maximum(kink, start), stop)
    values = []
    for x in (start, stop, kink):
        highest, lowest = minimum(second.high, x - difference.low), maximum(second.low, x - difference.high)
        values.append(first_weight * x + second_weight * where(grows, highest, lowest))
    return maximum(maximum(*values[:2]), values[2])
