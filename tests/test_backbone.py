"""Built-in and user backbones."""

import numpy as np
import pytest
import torch

from smile_sklearn.exceptions import UnsupportedError
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
