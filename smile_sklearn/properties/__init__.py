r"""WHAT must hold: relational properties of arity 2 over a domain of inputs.

A property speaks about pairs of inputs, not about single ones:

.. math:: x', x'' \in X, \quad dl \le x' - x'' \le du
          \quad\Rightarrow\quad el \le f(x') - f(x'') \le eu

`Monotonic`, `Fair` and `GloballyRobust` are names for common choices of the four bounds,
`Relational` takes them as they are, and ``&`` combines them. ``resolve`` turns a property into a
`Relation` over an `InputDomain`, in raw units: all that training and verification see of it.
Nothing here knows of networks or solvers.
"""

from .base import Property
from .domain import InputDomain, OneHotGroup
from .fair import Fair
from .margins import margin_to_probability, probability_to_margin
from .monotonic import Monotonic
from .property_set import PropertySet, resolve_premises, resolve_properties
from .relation import Premise, Relation
from .relational import Relational
from .robust import GloballyRobust

__all__ = [
    "Fair",
    "GloballyRobust",
    "InputDomain",
    "Monotonic",
    "OneHotGroup",
    "Premise",
    "Property",
    "PropertySet",
    "Relation",
    "Relational",
    "margin_to_probability",
    "probability_to_margin",
    "resolve_premises",
    "resolve_properties",
]
