"""Built-in and user backbones."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from smile_sklearn import Fair, GloballyRobust, InputDomain, SMiLEClassifier
from smile_sklearn.exceptions import UnsupportedError
from smile_sklearn.inspection import backbone_importance
from smile_sklearn.network.backbone import ArrayBackbone, MLPBackbone, build_backbone, freeze_backbone


def test_frozen_arrays_compute_what_the_module_computes():
    torch.manual_seed(0)
    module = MLPBackbone(5, (7, 6), 3)
    rows = np.random.default_rng(0).random((50, 5))
    frozen = freeze_backbone(module, 5, row_by_row=True)
    assert isinstance(frozen, ArrayBackbone)
    np.testing.assert_allclose(frozen(rows), module(torch.as_tensor(rows)).detach().numpy(), atol=1e-12)
    # Bits of a row depend on the row alone.
    np.testing.assert_array_equal(frozen(rows)[10:11], frozen(rows[10:11]))
    with torch.no_grad():
        module.layers[0].weight.mul_(2.0)
    assert not np.allclose(frozen(rows), module(torch.as_tensor(rows)).detach().numpy())


def test_no_inputs_make_a_constant():
    frozen = freeze_backbone(MLPBackbone(0, (7,), 3), 0, row_by_row=True)
    assert frozen(np.empty((4, 0))).shape == (4, 3)
    assert np.ptp(frozen(np.empty((4, 0))), axis=0).max() == 0


def test_user_module_row_by_row_repeats_its_bits():
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(40, 300), torch.nn.Tanh(), torch.nn.Linear(300, 4))
    frozen = freeze_backbone(build_backbone(module, 40, (), 4), 40, row_by_row=True)
    rows = np.random.default_rng(0).random((33, 40))
    np.testing.assert_array_equal(frozen(rows)[5], frozen(rows[5:6])[0])
    assert next(module.parameters()).dtype == torch.float32  # the user's own object is untouched


@pytest.mark.parametrize(
    ("backbone", "message"),
    [("mlp", "expected a torch.nn.Module"), (torch.nn.Linear(4, 2), r"maps \(2, 4\) to \(2, 2\)")],
)
def test_bad_backbones(backbone, message):
    with pytest.raises(ValueError, match=message):
        build_backbone(backbone, 4, (8,), 3)


class Noisy(torch.nn.Module):
    """What users do by accident: dropout that stays on in eval mode."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(3, 4)

    def forward(self, inputs):
        return torch.nn.functional.dropout(self.layer(inputs), 0.5)


def test_a_backbone_that_does_not_repeat_itself_is_refused_where_the_proof_rests_on_it():
    module = build_backbone(Noisy(), 3, (), 4)
    with pytest.raises(UnsupportedError, match="changes from call to call"):
        freeze_backbone(module, 3, row_by_row=True)
    # Under the box coupling the backbone may compute anything.
    assert freeze_backbone(module, 3, row_by_row=False)(np.ones((2, 3))).shape == (2, 4)


def test_a_factory_must_return_a_module_and_keeps_its_own():
    with pytest.raises(ValueError, match="factory that returns None"):
        build_backbone(lambda n_inputs, n_latent: None, 3, (), 4)
    shared = torch.nn.Linear(3, 4)
    assert build_backbone(lambda n_inputs, n_latent: shared, 3, (), 4) is not shared


def convolutional(n_inputs, n_latent):
    """Rows are flat; the backbone reshapes them itself, to as many pixel rows as it may read."""
    height = n_inputs // 8
    return torch.nn.Sequential(
        torch.nn.Unflatten(1, (1, height, 8)),
        torch.nn.Conv2d(1, 4, 3, padding=1),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(16 * (height // 2), n_latent),
    )


def test_a_convolutional_backbone_reads_images_under_both_couplings():
    X, y = load_digits(return_X_y=True)
    X, y = X[:500] / 16, y[:500]
    options = {"backbone": convolutional, "max_iter": 15, "random_state": 0}
    options["domain"] = InputDomain(np.zeros(64), np.ones(64))
    last_row = list(range(56, 64))
    shared = SMiLEClassifier(Fair(last_row, 1.0), **options).fit(X, y)
    assert shared.certificate_.status.name == "HOLDS"
    assert backbone_importance(shared, X, y).importance > 0.5  # h carries the task, and costs no epsilon
    broken = X.copy()
    broken[:, last_row] = np.random.default_rng(0).random((500, 8))
    sure = shared.predict_with_certificate(X).certified
    assert sure.mean() > 0.5
    assert (shared.predict(broken) == shared.predict(X))[sure].all()
    box = SMiLEClassifier(GloballyRobust(0.02, 2.0), **options).fit(X, y)
    assert box.certificate_.status.name == "HOLDS"
    assert not box.backbone_.row_by_row
