"""The rules of ``predict_with_certificate``: what no related input can change of a row's output.

A rule encloses, for every row x, the outputs of all inputs that a property relates to x in either role.
It speaks of the values of `EvaluatedRows`: f itself, or with several classes the margins of the predicted
class. Every enclosure is valid by itself, so those of several rules are intersected; those of several
properties are joined.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from smile_sklearn.properties.robust import GloballyRobust
from smile_sklearn.snapshot import NetworkSnapshot
from smile_sklearn.verification.base import applicable_couplings
from smile_sklearn.verification.intervals import Interval
from smile_sklearn.verification.local.local_bounds import LocalBounds
from smile_sklearn.verification.rounding import sum_upper

# --- what is evaluated, once ----------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class EvaluatedRows:
    """Rows and everything the network computed at them.

    Parameters
    ----------
    snapshot : NetworkSnapshot
    rows : ndarray of shape (n, d)
        Raw units, as given.
    backbone : callable
        What computed the embedding.
    lower, upper, embedding : ndarray of shape (n, n_latent)
        lo, hi and h.
    output : ndarray of shape (n, n_outputs)
        What ``predict`` decides on.
    """

    snapshot: NetworkSnapshot
    rows: np.ndarray
    backbone: object
    lower: np.ndarray
    upper: np.ndarray
    embedding: np.ndarray
    output: np.ndarray

    @cached_property
    def best(self):
        """Index of the predicted class, (n,); None for one output."""
        return None if self.output.shape[1] == 1 else self.output.argmax(axis=1)

    @cached_property
    def values(self):
        """What the rules enclose, (n, m): f, or every ``f_best - f_k``, nan at k = best."""
        return self._margins(self.output)

    @cached_property
    def ends(self):
        """Least and largest of the values that any embedding gives these rows: L(x) and U(x).

        A unit goes to lo or to max(lo, hi), each margin by the signs of its own row of weights. That is
        what ``predict`` itself computes for an embedding of -inf or inf, through the same head: a
        certificate that holds for every backbone speaks of these very floats.
        """
        top = np.maximum(self.lower, self.upper)
        if self.best is None:
            ends = [self._extreme(self.snapshot.head_weight[0], top, sign) for sign in (-1.0, 1.0)]
            return Interval(*(self._margins(end) for end in ends))
        low, high = np.empty_like(self.output), np.empty_like(self.output)
        for k, weight in enumerate(self.snapshot.head_weight):
            rows = self.snapshot.head_weight[self.best] - weight  # a rounded difference keeps its sign
            low[:, k] = self._margins(self._extreme(rows, top, -1.0))[:, k]
            high[:, k] = self._margins(self._extreme(rows, top, 1.0))[:, k]
        return Interval(low, high)

    def _extreme(self, weight, top, sign):
        return self.snapshot.head(np.where(sign * weight > 0, top, self.lower))

    def _margins(self, output):
        if self.best is None:
            return output
        chosen = np.arange(len(output)), self.best
        margins = output[chosen][:, None] - output
        margins[chosen] = np.nan
        return margins


def evaluate_rows(snapshot, backbone, rows):
    """Evaluate raw rows: lo, hi and h once each, for the prediction and for every rule."""
    inputs = snapshot.domain.to_unit(rows)  # the domain that the digest covers
    embedding = backbone(inputs[:, list(snapshot.reads)])
    lower, upper = snapshot.bounds(inputs)
    # As in NetworkSnapshot.forward: a NaN becomes lo.
    output = snapshot.head(snapshot.clip(lower, upper, embedding))
    return EvaluatedRows(snapshot, rows, backbone, lower, upper, embedding, output)


# --- the rules ------------------------------------------------------------------------------------


class GlobalRule:
    """[f(x) - v, f(x) + v], v the proven variation (the paper's rule)."""

    needs_proof = True

    def enclose(self, evaluated, claim):
        """Interval (n, m) of the values of every related input."""
        values = evaluated.values
        return Interval(_difference_lower(values, claim.variation), sum_upper(values, claim.variation))


class BoxRule:
    """[U(x) - v, L(x) + v] for proofs by box coupling alone, and never worse than the global rule.

    Such a proof holds for every backbone, also for one that gives U(x) or L(x) at x and what it does
    elsewhere: ``U(x) - f(x') <= v`` and ``f(x') - L(x) <= v``. A proof in which the shared coupling took
    part bounds f(x') - f(x) for one z at both rows only, and says nothing of U(x): the global rule then.
    """

    needs_proof = True

    def enclose(self, evaluated, claim):
        """Interval (n, m) of the values of every related input."""
        plain = GlobalRule().enclose(evaluated, claim)
        if claim.coupling != "box":
            return plain
        low = _difference_lower(evaluated.ends.high, claim.variation)
        high = sum_upper(evaluated.ends.low, claim.variation)
        # L <= f <= U but for the rounding of margins: both intervals hold.
        return Interval(np.maximum(low, plain.low), np.minimum(high, plain.high))


class LocalRule:
    """Bounds of f over the neighbourhood of the clipped row (`LocalBounds`); needs no proof.

    Outside the box the clip maps related inputs to inputs related to the clipped row, where Q allows
    d with every difference between 0 and d (lemma 4); `certified_rows` tells where it does not.
    """

    needs_proof = False

    def enclose(self, evaluated, claim):
        """Interval (n, m) of the values of every related input; infinite where x is no input of X."""
        snapshot, premise = evaluated.snapshot, claim.premise
        # h(x') = h(x) where Q holds equal all that h reads, and equal rows give equal bits.
        couplings = applicable_couplings(snapshot, premise)
        shared = "shared" in couplings and evaluated.backbone.repeats_bits
        rows = snapshot.domain.clip(evaluated.rows)
        low, high = LocalBounds(snapshot, premise, shared=shared)(rows, evaluated.embedding, evaluated.best)
        unknown = ~snapshot.domain.valid_rows(evaluated.rows)
        low[unknown], high[unknown] = -np.inf, np.inf
        own = np.isnan(evaluated.values)
        low[own], high[own] = np.nan, np.nan
        return Interval(low, high)


RULES = {"global": GlobalRule(), "box": BoxRule(), "local": LocalRule()}
"""Rules by the name that ``method`` gives them."""


def choose_rules(method):
    """Return the rules of one name or of a sequence of names.

    Raises
    ------
    ValueError
        If a name is not known, or there is none.
    """
    names = (method,) if isinstance(method, str) or not np.iterable(method) else tuple(method)
    if not names or any(name not in list(RULES) for name in names):
        raise ValueError(f"Got method={method!r}, expected one of {list(RULES)} or a sequence of them.")
    return [RULES[name] for name in dict.fromkeys(names)]


def enclosures(evaluated, claims, rules):
    """Per claim the interval (n, m) of the values of every input that it relates to a row."""
    found = []
    for claim in claims:
        each = [rule.enclose(evaluated, claim) for rule in rules]
        low = np.maximum.reduce([interval.low for interval in each])
        found.append(Interval(low, np.minimum.reduce([interval.high for interval in each])))
    return found


def hull(intervals):
    """Interval that contains all of them: of inputs that one of several claims relates to a row."""
    low = np.minimum.reduce([interval.low for interval in intervals])
    return Interval(low, np.maximum.reduce([interval.high for interval in intervals]))


# --- what an interval says of a class -------------------------------------------------------------


def reserve(values, interval):
    """How far every related input stays from another class, (n,); positive: none reaches it.

    One output: the distance of the interval from 0 on the side of the row's own logit (an interval on
    the other side, which a property that does not relate x to itself may give, keeps no class).
    Several: the smallest lower end of a margin of the predicted class.
    """
    if values.shape[1] > 1:
        return np.nanmin(interval.low, axis=1)
    return np.where(values[:, 0] > 0, interval.low[:, 0], -interval.high[:, 0])


def chained_radius(values, claims, enclosures):
    """Radius of every row by the claims of `GloballyRobust`, (n,); nan if there is none."""
    robust = [
        (claim.variation, interval)
        for claim, interval in zip(claims, enclosures, strict=True)
        if claim.premise.name.startswith(GloballyRobust.short_name)
    ]
    if not robust:
        return np.full(len(values), np.nan)
    variations, intervals = zip(*robust, strict=True)
    return robustness_radius(reserve(values, hull(intervals)), max(variations))


def robustness_radius(distance, variation):
    """Steps of delta within which the class cannot change, (n,).

    A step is one related pair: delta on numeric features, floor(delta) on integers, any category
    of a named group. After the first step the margin is at least the `reserve` r; walking on through
    the convex box changes it by at most v a step, so its sign stays while ``(k - 1) v < r``:
    ``k = ceil(r / v)`` for r > 0, infinite if v = 0 (the global rule: r = m - v, k = ceil(m / v) - 1).

    Parameters
    ----------
    distance : ndarray of shape (n,)
        The reserve of the first step.
    variation : float
        v, inf where none was proven: then one step, or none.
    """
    certain = distance > 0
    if variation == 0.0:
        return np.where(certain, np.inf, 0.0)
    with np.errstate(over="ignore", invalid="ignore"):
        more = np.maximum(0.0, np.ceil(distance / variation) - 1.0)
        fits = np.nextafter(more * variation, np.inf) < distance
    # The quotient is rounded: take a step back where k v < r does not hold for certain. Beyond 2^53
    # a float less one is itself; there the float below is under r / v, for the quotient errs by u.
    back = np.minimum(more - 1.0, np.nextafter(more, 0.0))
    more = np.where(fits | np.isinf(variation), more, np.maximum(0.0, back))
    # From 2^53 on, adding 1 may round up.
    return np.where(certain, np.where(more < 2.0**53, 1.0 + more, more), 0.0)


def _difference_lower(values, variation):
    return -sum_upper(-values, variation)
