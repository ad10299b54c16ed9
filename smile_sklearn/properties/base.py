"""What a property is: small, immutable in use, ignorant of solvers and networks."""

import warnings
from abc import ABCMeta, abstractmethod

import numpy as np
from sklearn.base import BaseEstimator

from ..exceptions import CertificationWarning, PropertyError
from .features import Features
from .relation import Relation


class Property(BaseEstimator, metaclass=ABCMeta):
    """Base of all relational properties.

    A subclass assigns its arguments in ``__init__``, sets `short_name`, and states itself over known
    features in ``_relation(features, n_outputs)``, where it also validates. Its parameters are
    reachable as ``properties__epsilon`` in a grid search.

    Properties are combined with ``&`` into a `PropertySet`.
    """

    short_name = None
    """Key in a `PropertySet`, and the name in tables."""

    default_coupling = "shared"
    """How training bounds a pair: "shared" where the property holds features equal that the backbone
    can then read freely, "box" where everything may move a little."""

    def resolve(self, domain, feature_names=None, n_outputs=1):
        """State the property over a domain.

        Parameters
        ----------
        domain : InputDomain
        feature_names : sequence of str or None
            Default: the names in the domain.
        n_outputs : int
            1 for a regression output or the logit of two classes; the number of classes above two.

        Returns
        -------
        Relation
            About the output, or about every margin f_j - f_k, j < k, of several classes.

        Raises
        ------
        PropertyError
            (a ValueError) if the arguments are wrong, do not fit the features, or cannot be met.

        Warns
        -----
        CertificationWarning
            (a UserWarning) if only equal inputs are related, so that the property says nothing.
        """
        relation = self._relation(Features(domain, feature_names), n_outputs)
        self._warn_if_trivial(relation)
        return relation

    def premise(self, domain, feature_names=None, n_outputs=1):
        """State which inputs the property relates, whatever it claims of them.

        The local rule of ``predict_with_certificate`` needs no more, so a property without a claim
        (``GloballyRobust(delta, None)``) has a premise, and none that a verifier takes.

        Parameters
        ----------
        domain, feature_names, n_outputs
            As in `resolve`.

        Returns
        -------
        Premise
        """
        premise = self._premise(Features(domain, feature_names), n_outputs)
        self._warn_if_trivial(premise)
        return premise

    @abstractmethod
    def _relation(self, features, n_outputs):
        """Return the `Relation` over `features` (a `Features`)."""

    def _premise(self, features, n_outputs):
        return self._relation(features, n_outputs)

    def _warn_if_trivial(self, premise):
        if premise.trivial:
            warnings.warn(
                f"{type(self).__name__} relates equal inputs only, so it says nothing about the model. "
                "Give at least one feature room to differ, and look for constant features in the domain.",
                CertificationWarning,
                stacklevel=3,
            )

    def _state(self, features, statement, delta, epsilon):
        """Build a `Relation` from (lower, upper) pairs of deltas and epsilons."""
        relation = Relation(self.short_name, statement, features.domain, *delta, *epsilon)
        self._check_moves(relation, features, delta)
        return relation

    @staticmethod
    def _check_moves(premise, features, delta):
        # A column of an exactly-one group never moves alone: with Fair("sex_male") no pair of
        # different sex would be related, and a proof would be about something else.
        asked = (np.asarray(delta[0]) != 0) | (np.asarray(delta[1]) != 0)
        stuck = np.flatnonzero(asked & features.domain.in_group & premise.equal)
        if stuck.size:
            raise PropertyError(
                f"Got one-hot column {features.label(stuck[0])!r} to differ while the rest of its group is "
                "held equal, which no pair of inputs does. Name the group, or columns of two categories."
            )

    def __and__(self, other):
        from .property_set import combine  # a set is made of properties, so it imports this module

        return combine(self, other)

    def __rand__(self, other):
        from .property_set import combine

        return combine(other, self)


def outputs_text(n_outputs):
    """Say what the property speaks of, for a statement."""
    return "the outputs" if n_outputs == 1 else "the margins between any two classes"
