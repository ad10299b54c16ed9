"""The committee of the study: the joined network is the mean of its members, and carries the proof itself."""

import numpy as np
import pytest
import torch

from benchmarks.paper.committee import CommitteeMethod, Members, joined_backbone
from smile_sklearn import Fair, Monotonic, SMiLERegressor
from smile_sklearn.network import build_backbone

SHORT = {"pretrain_iter": 1, "max_iter": 2, "hidden_layer_sizes": (8, 8), "random_state": 0}


@pytest.fixture
def table(rng):
    X = rng.random((120, 4))
    return X, X[:, 0] - X[:, 1] ** 2 + np.sin(5 * X[:, 2]) + X[:, 3]


class Remembering(CommitteeMethod):
    """Keeps the members that were joined."""

    def posttrain(self, state):
        self.kept.append(state.network)
        return super().posttrain(state)


def remembering(n_members):
    method = Remembering(n_members)
    object.__setattr__(method, "kept", [])
    return method


def test_the_joined_network_is_the_mean_of_its_members(table):
    X, y = table
    method = remembering(3)
    model = SMiLERegressor(Monotonic([1, -1, 0, 0]), method=method, n_latent=12, **SHORT).fit(X, y)
    (members,) = method.kept
    assert isinstance(members, Members)
    assert len(members) == 3
    rows = torch.tensor(model.domain_.to_unit(X))
    with torch.no_grad():
        outputs = torch.stack([member(rows).output[:, 0] for member in members]).numpy()
    # Members that were trained alike would make the mean trivial.
    assert np.ptp(outputs, axis=0).max() > 0.05
    expected = outputs.mean(axis=0) * y.std() + y.mean()
    np.testing.assert_allclose(model.predict(X), expected, rtol=1e-10)


def test_the_joined_network_is_exactly_monotone_with_one_certificate(table):
    X, y = table
    model = SMiLERegressor(
        Monotonic([1, -1, 0, 0]), method=CommitteeMethod(2), n_latent=8, **SHORT
    ).fit(X, y)  # fmt: skip
    certificate = model.certificate_
    assert (str(certificate.status), certificate.rigor, certificate.bound) == ("HOLDS", "exact", 0.0)
    for column, direction in ((0, 1), (1, -1)):
        rows = np.tile(X[7], (2000, 1))
        rows[:, column] = np.linspace(X[:, column].min(), X[:, column].max(), 2000)
        curve = model.predict(rows)
        assert (direction * np.diff(curve) >= 0).all()
        assert np.ptp(curve) > 0


def test_other_properties_are_proven_of_the_joined_network(table):
    X, y = table
    X = X.round(1)
    model = SMiLERegressor(Fair([0], 0.3), method=CommitteeMethod(2), n_latent=8, **SHORT).fit(X, y)
    assert str(model.certificate_.status) == "HOLDS"
    low, high = (np.column_stack([np.full(len(X), end), X[:, 1:]]) for end in (0.0, 1.0))
    assert np.abs(model.predict(low) - model.predict(high)).max() <= 0.3


def test_the_joined_backbone_puts_the_members_side_by_side():
    torch.manual_seed(0)
    backbones = [build_backbone(None, 3, (5, 4), 2) for _ in range(3)]
    rows = torch.rand(10, 3, dtype=torch.float64)
    expected = torch.cat([backbone(rows) for backbone in backbones], dim=1)
    torch.testing.assert_close(joined_backbone(backbones)(rows), expected)


def test_latent_units_must_divide(table):
    with pytest.raises(ValueError, match="multiples of 3 members"):
        SMiLERegressor(Monotonic([1, 0, 0, 0]), method=CommitteeMethod(3), n_latent=8, **SHORT).fit(*table)
