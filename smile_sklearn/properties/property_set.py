"""Several properties of one model, each under a name."""

from collections import Counter
from dataclasses import replace

from sklearn.base import BaseEstimator

from .base import Property


class PropertySet(BaseEstimator):
    """Properties that must hold together; usually made with ``&``.

    Every property has a name: ``monotonic``, ``fair``, ``globallyrobust``, ``relational``, with
    ``fair-1``, ``fair-2`` for repeats, as ``make_pipeline`` names steps. A grid search reaches their
    parameters as ``properties__fair__epsilon``.

    Parameters
    ----------
    properties : tuple of Property

    Examples
    --------
    >>> from smile_sklearn.properties import Fair, Monotonic
    >>> both = Monotonic({"age": 1}) & Fair("sex", epsilon=10)
    >>> both.names
    ('monotonic', 'fair')
    >>> both.set_params(fair__epsilon=5)["fair"].epsilon
    5
    """

    def __init__(self, properties):
        self.properties = properties

    @property
    def names(self):
        """Tuple of the names, in order."""
        plain = [getattr(member, "short_name", type(member).__name__.lower()) for member in self.properties]
        count, seen, names = Counter(plain), Counter(), []
        for name in plain:
            seen[name] += 1
            names.append(name if count[name] == 1 else f"{name}-{seen[name]}")
        return tuple(names)

    def resolve(self, domain, feature_names=None, n_outputs=1):
        """State every property over a domain: a tuple of `Relation`, called by their names here."""
        self._check_members()
        return tuple(
            replace(member.resolve(domain, feature_names, n_outputs), name=name) for name, member in self
        )

    def premise(self, domain, feature_names=None, n_outputs=1):
        """State which inputs every property relates: a tuple of `Premise`, called by their names here."""
        self._check_members()
        return tuple(
            replace(member.premise(domain, feature_names, n_outputs), name=name) for name, member in self
        )

    def get_params(self, deep=True):
        """Parameters; with `deep` also every property by its name, and its own as ``fair__epsilon``."""
        params = {"properties": self.properties}
        if deep and self._members_are_properties():
            for name, member in self:
                params[name] = member
                params.update(
                    {f"{name}__{key}": value for key, value in member.get_params(deep=True).items()}
                )
        return params

    def set_params(self, **params):
        """Set ``properties``, then whole properties by name, then parameters such as ``fair__epsilon``."""
        if "properties" in params:
            self.properties = params.pop("properties")
        names, members = self.names, list(self.properties)
        replaced = [name for name in params if name in names]
        for name in replaced:
            members[names.index(name)] = params.pop(name)
        if replaced:
            self.properties = tuple(members)
        return super().set_params(**params)

    def __and__(self, other):
        return combine(self, other)

    def __rand__(self, other):
        return combine(other, self)

    def __iter__(self):
        return iter(zip(self.names, self.properties, strict=True))

    def __len__(self):
        return len(self.properties)

    def __getitem__(self, name):
        return dict(self)[name]

    def _members_are_properties(self):
        return isinstance(self.properties, tuple) and all(
            isinstance(item, Property) for item in self.properties
        )

    def _check_members(self):
        if not self._members_are_properties() or not self.properties:
            raise TypeError(
                f"Got PropertySet(properties={self.properties!r}), expected a tuple of properties. "
                "Combine them with &: Monotonic(...) & Fair(...)."
            )


def combine(first, second):
    """Join two properties or sets into a flat `PropertySet`."""
    members = ()
    for operand in (first, second):
        if isinstance(operand, PropertySet):
            members += tuple(operand.properties)
        elif isinstance(operand, Property):
            members += (operand,)
        else:
            raise TypeError(_not_a_property(operand))
    return PropertySet(members)


def resolve_properties(properties, domain, feature_names=None, n_outputs=1):
    """State one property or a set over a domain.

    Parameters
    ----------
    properties : Property or PropertySet
    domain : InputDomain
    feature_names : sequence of str or None
    n_outputs : int

    Returns
    -------
    tuple of Relation
    """
    if isinstance(properties, PropertySet):
        return properties.resolve(domain, feature_names, n_outputs)
    if isinstance(properties, Property):
        return (properties.resolve(domain, feature_names, n_outputs),)
    raise TypeError(_not_a_property(properties))


def resolve_premises(properties, domain, feature_names=None, n_outputs=1):
    """State which inputs one property or a set relates, whatever it claims of them.

    Parameters
    ----------
    properties, domain, feature_names, n_outputs
        As in `resolve_properties`.

    Returns
    -------
    tuple of Premise
    """
    if isinstance(properties, PropertySet):
        return properties.premise(domain, feature_names, n_outputs)
    if isinstance(properties, Property):
        return (properties.premise(domain, feature_names, n_outputs),)
    raise TypeError(_not_a_property(properties))


def _not_a_property(value):
    return (
        f"Got {type(value).__name__} {value!r}, expected a property or a PropertySet. "
        "Combine properties with &: Monotonic(...) & Fair(...)."
    )
