"""One side of one margin of one property as a model: maximise V over the related pairs."""

from dataclasses import dataclass

import numpy as np

from smile_sklearn.snapshot.graph import Affine, Sum
from smile_sklearn.verification.formulations.analysis import PairAnalysis, RelationPart
from smile_sklearn.verification.formulations.coupling import Gap, encode_objective, needed_units
from smile_sklearn.verification.formulations.inputs import input_errors
from smile_sklearn.verification.formulations.model import LinearModel, ModelBuilder
from smile_sklearn.verification.formulations.network import PairEncoding
from smile_sklearn.verification.formulations.slopes import objective_slopes
from smile_sklearn.verification.rounding import absolute_matmul, add_upper

CUT_THRESHOLD = 8
"""Binaries above which difference cuts are added. Of the cases of ``benchmarks/mip_against_paper.py``, by CPU
seconds of HiGHS: 10, 19, 16 and 48 binaries were 2.0, 1.4, 3.4 and at least 2.6 times faster with them;
four of 25 to 30 binaries, all under 0.9 s, 1.2 to 1.4 times slower. Each costs a row or two, hence slack."""


@dataclass(frozen=True, eq=False)
class PairModel:
    """A model of V for one row of the head, and how to read it.

    Parameters
    ----------
    model : LinearModel
        Its optimum times ``scale`` is the largest V, up to ``slack``.
    scale : float
        A power of two, output units.
    slack : float
        Upper bound on what f(x') - f(x''), as float64 computes it, may exceed the modelled V by;
        output units. The solver's own tolerances are not in it.
    row : ndarray of shape (n_latent,)
        With its sign: w bounds f(x') - f(x'') from above, -w bounds f(x'') - f(x').
    couplings : tuple of str
    relation : RelationPart
        The pairs that are modelled.
    """

    model: LinearModel
    scale: float
    slack: float
    row: np.ndarray
    couplings: tuple
    relation: RelationPart

    def pair(self, values):
        """The two inputs of a solution in unit coordinates, each (d,)."""
        return tuple(np.asarray(values)[self.model.blocks[copy]] for copy in ("first", "second"))


def build_pair_model(analysis, couplings, margin, sign, cut_threshold=CUT_THRESHOLD):
    """Model V of one margin.

    Parameters
    ----------
    analysis : Analysis or PairAnalysis
    couplings : tuple of str
    margin : int
    sign : {1, -1}
        1: the side f(x') - f(x'') <= eu; -1: the side el <= f(x') - f(x'').
    cut_threshold : int
        Difference cuts are added to models with more binaries.
    """
    analysis = PairAnalysis.of(analysis)
    row = sign * analysis.margins[margin]
    gap = Gap(analysis)
    builder = ModelBuilder()
    needed = needed_units(analysis.snapshot, couplings, row, gap)
    slopes = objective_slopes(analysis, couplings, row, gap)
    encoding = PairEncoding(builder, analysis, needed, slopes)
    scale = encode_objective(builder, encoding, gap, couplings, row)
    model = builder.build()
    if model.n_integers > cut_threshold:
        encoding.difference_cuts()
        model = builder.build()
    return PairModel(model, scale, float_slack(analysis, gap, margin), row, couplings, analysis.relation)


def float_slack(analysis, gap, margin):
    """Float forward pass, rounded margins, integer coordinates, and boxes treated as open."""
    snapshot = analysis.snapshot
    weight = np.abs(analysis.margins[[margin]])
    ends = (analysis.differences[end].magnitude for end in (snapshot.lower, snapshot.upper))
    width = np.maximum(0.0, np.maximum(*(interval.high for interval in gap.ranges)))
    reach = add_upper(np.maximum(*ends), width)
    rounded_margin = absolute_matmul(analysis.base.margin_error[[margin]], reach)
    moved = _moved_by_inputs(snapshot, input_errors(snapshot.domain))
    # Two copies, and in each of them at most lo and hi of a unit.
    coordinates = 4.0 * absolute_matmul(weight, moved)
    flipped = absolute_matmul(weight, gap.negligible())
    return float(add_upper(analysis.base.slack[[margin]], rounded_margin, coordinates, flipped)[0])


def _moved_by_inputs(snapshot, errors):
    """By how much lo and hi move when the inputs move by ``errors``, the larger, (n_latent,)."""
    moved = []
    for node in snapshot.graph.nodes:
        if isinstance(node, Affine):
            moved.append(absolute_matmul(node.weight, moved[node.source]))
        elif isinstance(node, Sum):
            moved.append(add_upper(moved[node.first], moved[node.second]))
        else:
            # The input itself; clamps are 1-Lipschitz in every unit.
            moved.append(moved[node.source] if node.sources else errors)
    return np.maximum(moved[snapshot.lower], moved[snapshot.upper])
