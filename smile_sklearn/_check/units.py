"""Nonlinear nodes on a batch of n regions: ranges, and how linear functions pass back through them.

The rows 0 to n - 1 of what speaks of one copy are those of x', the rows n to 2 n - 1 those of x''.
"""

from typing import NamedTuple

import numpy as np

from smile_sklearn._check.derive import clamp_difference
from smile_sklearn._check.exact import Exact, maximum, minimum, stack, where, zeros
from smile_sklearn._check.network import Interval, Limits
from smile_sklearn._check.relaxation import Lines, clamp, dyadic, lower_lines, upper_lines


class Opposite(NamedTuple):
    """``first a' + second a'' = rises (a' - a'') + falls (a'' - a') + rest``, rises and falls >= 0."""

    rises: Exact
    falls: Exact
    rest: tuple

    @classmethod
    def of(cls, first, second, prefer, rise_gap, fall_gap, above_gap, below_gap):
        """Take out what enters with opposite signs, where ``prefer`` asks for it by the gaps."""
        none, n = zeros(), len(rise_gap)
        rises = maximum(none, minimum(first, -second))
        falls = maximum(none, minimum(-first, second))
        rises = where(prefer(rise_gap, above_gap[:n] + below_gap[n:])[:, None], rises, none)
        falls = where(prefer(fall_gap, above_gap[n:] + below_gap[:n])[:, None], falls, none)
        pure = rises - falls
        return cls(rises, falls, (first - pure, second + pure))


class ClampUnit:
    """A clamp: lines above and below each copy, and lines above a' - a'' and a'' - a'."""

    def __init__(self, before, moves, limits):
        n = len(moves.low)
        self.output = Interval(*(clamp(end, limits) for end in before))
        hull = Interval(minimum(before.low[:n], before.low[n:]), maximum(before.high[:n], before.high[n:]))
        after = clamp_difference(moves, hull, limits)
        self.difference = cut(after, self.output)
        # Where neither kink is inside, the difference passes through unchanged.
        linear = (~limits.has_lower | (limits.lower <= hull.low)) & (
            ~limits.has_upper | (hull.high <= limits.upper)
        )
        self._above, self._below = upper_lines(*before, limits), lower_lines(*before, limits)
        self._rise = _difference_lines(moves.low, moves.high, self.difference.high, linear)
        self._fall = _difference_lines(-moves.high, -moves.low, -self.difference.low, linear)

    def back(self, weight):
        """Coefficients on the source, and the constant; weight (2 n, n_rows, size)."""
        plus, minus = maximum(weight, zeros()), minimum(weight, zeros())
        above, below = self._above.for_rows(), self._below.for_rows()
        slopes = plus * above.slope + minus * below.slope
        offsets = plus * above.offset + minus * below.offset
        return slopes, offsets.sum(axis=2)

    def back_pair(self, first, second, prefer):
        """The same of both copies together; weights (n, n_rows, size)."""
        n = len(first)
        gaps = self._rise.gap, self._fall.gap, self._above.gap, self._below.gap
        rises, falls, rest = Opposite.of(first, second, prefer, *gaps)
        rise, fall = self._rise.for_rows(), self._fall.for_rows()
        through = rises * rise.slope - falls * fall.slope
        offsets = rises * rise.offset + falls * fall.offset
        below = []
        for part, rows, move in ((rest[0], slice(n), through), (rest[1], slice(n, None), -through)):
            plus, minus = maximum(part, zeros()), minimum(part, zeros())
            above, under = self._above.for_rows(rows), self._below.for_rows(rows)
            below.append(move + plus * above.slope + minus * under.slope)
            offsets = offsets + plus * above.offset + minus * under.offset
        return *below, offsets.sum(axis=2)


class PairSortUnit:
    r"""A sort of two: (min, max), planes above and below max(p, q).

    :math:`c_{min} \min + c_{max} \max = c_{min} (p + q) + (c_{max} - c_{min}) \max(p, q)`, and differences of
    the maxima are at most :math:`\max(\Delta p, \Delta q)`.
    """

    def __init__(self, before, moves):
        self.output, self.difference = _sort_ranges(before, moves, 2)
        ahead, behind = _leads(before)
        self._above = _plane_above_maximum(ahead, behind)
        larger = dyadic((ahead.floats >= behind.floats).astype(float))
        below = maximum(minimum(ahead, behind), zeros()).floats
        self._below = Lines(larger, zeros(*ahead.shape), below)
        ahead, behind = _leads(moves)
        spread = np.maximum(maximum(ahead, behind).floats, 0.0)
        self._rise, self._fall = (
            lines._replace(gap=lines.gap + spread)
            for lines in (_plane_above_maximum(ahead, behind), _plane_above_maximum(behind, ahead))
        )

    def back(self, weight):
        """Coefficients on the source, and the constant; weight (2 n, n_rows, size)."""
        base, excess = weight[..., 0::2], weight[..., 1::2] - weight[..., 0::2]
        plus, minus = maximum(excess, zeros()), minimum(excess, zeros())
        share = plus * self._above.slope[:, None, :] + minus * self._below.slope[:, None, :]
        return _interleaved(base + share, base + excess - share), (plus * self._above.offset[:, None, :]).sum(
            axis=2
        )

    def back_pair(self, first, second, prefer):
        """The same of both copies together; weights (n, n_rows, size)."""
        n, bases = len(first), (first[..., 0::2], second[..., 0::2])
        excess = first[..., 1::2] - bases[0], second[..., 1::2] - bases[1]
        gaps = self._rise.gap, self._fall.gap, self._above.gap, self._below.gap
        rises, falls, rest = Opposite.of(*excess, prefer, *gaps)
        rise, fall = self._rise.for_rows(), self._fall.for_rows()
        through = rises * rise.slope - falls * fall.slope
        offsets = rises * rise.offset + falls * fall.offset
        below, pure = [], rises - falls
        for part, base, rows, sign in (
            (rest[0], bases[0], slice(n), 1),
            (rest[1], bases[1], slice(n, None), -1),
        ):
            plus, minus = maximum(part, zeros()), minimum(part, zeros())
            above, under = self._above.for_rows(rows), self._below.for_rows(rows)
            share = plus * above.slope + minus * under.slope
            moved, whole = (through, pure) if sign > 0 else (-through, -pure)
            below.append(_interleaved(base + share + moved, base + part - share + whole - moved))
            offsets = offsets + plus * above.offset
        return *below, offsets.sum(axis=2)


class SortUnit:
    """A sort of more than two: constants, from the range and from lemma 3."""

    def __init__(self, before, moves, group):
        self.output, self.difference = _sort_ranges(before, moves, group)

    def back(self, weight):
        """Coefficients (all 0) on the source, and the constant."""
        plus, minus = maximum(weight, zeros()), minimum(weight, zeros())
        low, high = (end[:, None, :] for end in self.output)
        return zeros(*weight.shape), (plus * high + minus * low).sum(axis=2)

    def back_pair(self, first, second, prefer):
        """The same of both copies together; the interval of a difference is within those of the copies."""
        n, size = len(first), first.shape[2]
        every, one = np.zeros((n, size)), np.ones((2 * n, size))
        rises, falls, rest = Opposite.of(first, second, np.less_equal, every, every, one, one)
        offsets = rises * self.difference.high[:, None] - falls * self.difference.low[:, None]
        for part, rows in zip(rest, (slice(n), slice(n, None)), strict=True):
            plus, minus = maximum(part, zeros()), minimum(part, zeros())
            low, high = (end[rows][:, None] for end in self.output)
            offsets = offsets + plus * high + minus * low
        none = zeros(*first.shape)
        return none, none, offsets.sum(axis=2)


def cut(moves, output):
    """Differences cut to what the ranges of the two copies leave."""
    n = len(moves.low)
    most, least = output.high[:n] - output.low[n:], output.low[:n] - output.high[n:]
    return Interval(maximum(moves.low, least), minimum(moves.high, most))


def _difference_lines(low, high, most, linear):
    """Lines above a' - a'' over p' - p'' in [low, high].

    A nondecreasing 1-Lipschitz unit has a' - a'' <= max(0, p' - p''), and it is at most ``most``: so it is
    below the clamp of p' - p'' to [0, most]. The gap is taken to min(0, p' - p''), the least it can be.
    """
    most = maximum(most, zeros())
    every = np.ones(most.shape, dtype=bool)
    lines = upper_lines(low, high, Limits(zeros(*most.shape), most, every, every))
    ends = [lines.slope * end + lines.offset - minimum(end, zeros()) for end in (low, high)]
    gap = maximum(*ends).floats
    one = dyadic(np.ones(most.shape))
    return Lines(
        where(linear, one, lines.slope), where(linear, zeros(), lines.offset), np.where(linear, 0.0, gap)
    )


def _leads(interval):
    """By how much the first of each two may exceed the second, and the second the first, at most."""
    low, high = interval
    return high[..., 0::2] - low[..., 1::2], high[..., 1::2] - low[..., 0::2]


def _plane_above_maximum(ahead, behind):
    """``s p + (1 - s) q + offset >= max(p, q)``, where p - q <= ahead and q - p <= behind.

    Where p is the larger, max(p, q) - s p - (1 - s) q = (1 - s)(p - q) <= (1 - s) ahead; elsewhere it is
    s (q - p) <= s behind.
    """
    first, second = (np.maximum(lead.floats, 0.0) for lead in (ahead, behind))
    with np.errstate(divide="ignore", invalid="ignore"):
        share = dyadic(np.where(first + second > 0, first / (first + second), 1.0))
    one = dyadic(np.ones(first.shape))
    offset = maximum((one - share) * ahead, share * behind)
    return Lines(share, offset, np.maximum(offset.floats, 0.0))


def _sort_ranges(before, moves, group):
    """Ranges and differences of sorted blocks: every output moves within what its block moves by."""
    output = Interval(*(_sorted(end, group) for end in before))
    blocks = [end.reshape(len(end), -1, group) for end in moves]
    ends = blocks[0].min(axis=2), blocks[1].max(axis=2)
    after = (Exact(np.repeat(end.mantissa, group, axis=1), end.exponent) for end in ends)
    return output, cut(Interval(*after), output)


def _sorted(end, group):
    ordered = np.sort(end.mantissa.reshape(len(end), -1, group), axis=2)
    return Exact(ordered.reshape(len(end), -1), end.exponent)


def _interleaved(first, second):
    """Arrays of the even and of the odd places of the last axis, as one."""
    parts = stack([first[..., None], second[..., None]], axis=-1)
    return parts.reshape(*first.shape[:-1], -1)
