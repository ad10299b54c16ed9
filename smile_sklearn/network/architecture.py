"""What the properties demand of the network before training starts.

The plan is structural: which features the backbone may read (lemma 2), which signs a column
of the auxiliary must have so that a bound of exactly 0 can hold, whether boxes must be thin.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

FREE = np.nan
"""Column sign of a feature on which no property asks for an exact zero."""


@dataclass(frozen=True, eq=False)
class Architecture:
    """Structure of a SMiLE network.

    Parameters
    ----------
    n_features, n_outputs, n_latent : int
    reads : tuple of int
        Features the backbone reads: those that every shared-coupled property holds equal.
    column_signs : ndarray of shape (n_features,)
        +1, -1: the auxiliaries are monotone in that feature; 0: they ignore it; nan: free.
    reach : ndarray of shape (n_features,)
        Largest ``|p' - p''|`` that any property allows, unit coordinates.
    thin_boxes : bool
        Whether some property is bounded by box coupling, so that widths cost epsilon.
    zero_width : bool
        Whether one of those has epsilon 0: x' = x'' then leaves no width at all (lemma 1).
    n_free : int
        Latent units with constant, wide bounds: free channels of the backbone.
    shared_embedding : bool
        Whether the auxiliaries read, through a context network, the features S that the shared coupling
        leaves to the backbone. If not, all that depends on S comes from the backbone, and what the features
        that may differ change about it comes from the clip: ``clip(h_i(x_S); lo_i(x_V), hi_i(x_V))``.
    """

    n_features: int
    n_outputs: int
    n_latent: int
    reads: tuple
    column_signs: np.ndarray
    reach: np.ndarray
    thin_boxes: bool
    zero_width: bool
    n_free: int
    shared_embedding: bool

    @cached_property
    def sign_constrained(self):
        """Whether any column must be monotone, so that all weights above it are nonnegative."""
        return bool(np.isin(self.column_signs, (-1.0, 1.0)).any())

    @property
    def backbone_spread(self):
        """How far embeddings spread at the start, in multiples of what torch's initial weights give.

        Where the clip is all that joins what h and the auxiliaries read, embeddings must reach over the ends
        of the boxes at the start: inside of them no bound, and so no feature that may differ, has a gradient.
        """
        return 1.0 if self.thin_boxes or self.shared_embedding else 3.0

    @property
    def varying(self):
        """Features that some property lets differ and the auxiliaries may read."""
        reads = set(self.reads) if not self.thin_boxes else set()
        return tuple(index for index in range(self.n_features) if index not in reads)


def plan_architecture(relations, couplings, domain, *, n_outputs, n_latent):
    """Derive the structure from the resolved properties.

    Parameters
    ----------
    relations : sequence of Relation
    couplings : sequence of {"box", "shared"}
        One a relation.
    domain : InputDomain
    n_outputs, n_latent : int

    Returns
    -------
    Architecture
    """
    n_features = domain.n_features
    shared = [
        relation for relation, coupling in zip(relations, couplings, strict=True) if coupling == "shared"
    ]
    held = np.logical_and.reduce([relation.equal for relation in shared], axis=0, initial=True)
    reads = tuple(int(index) for index in np.flatnonzero(np.broadcast_to(held, n_features)))
    thin_boxes = "box" in couplings
    reach = np.zeros(n_features)
    for relation in relations:
        reach = np.maximum(reach, np.maximum(*np.abs(relation.unit_delta())))
    zero_width = any(
        coupling == "box" and 0 in (relation.epsilon_lower, relation.epsilon_upper)
        for relation, coupling in zip(relations, couplings, strict=True)
    )
    wide = bool(reads) and not thin_boxes
    signs = column_signs(relations, domain)
    return Architecture(
        n_features=n_features,
        n_outputs=n_outputs,
        n_latent=n_latent,
        reads=reads,
        column_signs=signs,
        reach=reach,
        thin_boxes=thin_boxes,
        zero_width=zero_width,
        n_free=n_latent // 2 if wide else 0,
        # Measured: under Fair h alone is as accurate or better, and worth all of it; a monotone model with
        # strong interactions still wants the embedding inside of its auxiliary (R2 .987 against .977).
        shared_embedding=bool(np.isin(signs, (-1.0, 1.0)).any()),
    )


def column_signs(relations, domain):
    """Signs of the auxiliary's columns that make every zero side of R hold exactly.

    A side with epsilon 0 needs a difference of exactly 0 or of one sign, which no penalty
    reaches. If Q only lets a feature fall (x' <= x''), an auxiliary nondecreasing in it only
    falls: sign +1 serves ``eu = 0``; and so on. What may move both ways, or is asked for
    opposite signs, is ignored by the auxiliary (sign 0), which satisfies both sides.
    """
    signs = np.full(domain.n_features, FREE)
    for relation in relations:
        rises, falls = relation.delta_upper > 0, relation.delta_lower < 0
        sides = ((relation.epsilon_upper, falls, rises), (relation.epsilon_lower, rises, falls))
        for epsilon, increasing, decreasing in sides:
            if epsilon != 0:
                continue
            wanted = np.where(increasing & decreasing, 0.0, np.where(increasing, 1.0, -1.0))
            wanted = np.where(domain.in_group, 0.0, wanted)
            moves = increasing | decreasing
            free = np.isnan(signs)
            signs = np.where(moves & free, wanted, np.where(moves & (signs != wanted), 0.0, signs))
    return signs
