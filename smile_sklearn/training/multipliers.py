"""Dual ascent on the multipliers of the properties."""

import torch


class DualAscent:
    r"""Multipliers :math:`\mu_p \ge 0`, raised while a property is violated.

    .. math:: \mu_p \leftarrow \max(0, \mu_p + \rho_p \, v_p)

    The violation is *signed*: slack lowers the multiplier again. With an unsigned one a large
    first violation overshoots for good and ends in a constant network (recipes: R2 .065).

    Parameters
    ----------
    rates : sequence of float
        One rho a property; nan is set to ``relative_rate / v`` at the first violation v > 0.
    relative_rate : float or sequence of float
        c of rho = c / v, for all or one a property.
    largest : float
        Violations are cut to [-largest, largest] in the step: a huge first one must not set
        the multiplier for good.
    """

    def __init__(self, rates, *, relative_rate=0.0, largest=float("inf")):
        self.rates = torch.tensor(rates, dtype=torch.float64)
        self.relative_rate = torch.as_tensor(relative_rate, dtype=torch.float64)
        self.largest = largest
        self.values = torch.zeros(len(self.rates), dtype=torch.float64)

    def step(self, violations):
        """Ascend on detached, signed violations (n_properties,)."""
        first = torch.isnan(self.rates) & (violations > 0)
        self.rates = torch.where(first, self.relative_rate / violations.clamp(min=1e-12), self.rates)
        self.values = (
            self.values + torch.nan_to_num(self.rates) * violations.clamp(-self.largest, self.largest)
        ).clamp(min=0.0)
