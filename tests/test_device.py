"""Training on another device, without one: every operation must find its tensors in one place.

torch's device "meta" has shapes and no numbers. Here it plays the accelerator: a mode looks at every
operation, forward and backward, and what is copied back is made of zeros. So a fit runs from end to end,
its numbers mean nothing, and a tensor that was left on the CPU is found.
"""

import sys

import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from smile_sklearn import Fair, GloballyRobust, Monotonic, SMiLEClassifier, SMiLERegressor
from smile_sklearn.network import FreeAuxiliary
from smile_sklearn.training.smile_method import SMiLEMethod

ONCE = {
    "pretrain_iter": 1,
    "max_iter": 1,
    "posttrain_iter": 2,
    "batch_size": 64,
    "verifier": "difference",
    "random_state": 0,
}
COPIES = {torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default}
READS = {torch.ops.aten._local_scalar_dense.default, torch.ops.aten.equal.default}
INDEXED = {
    torch.ops.aten.index.Tensor,
    torch.ops.aten.index_put.default,
    torch.ops.aten.index_put_.default,
    torch.ops.aten._index_put_impl_.default,
}
"""torch moves CPU indices to the indexed tensor's device by itself."""


class OneDevice(TorchDispatchMode):
    """Refuse operations on tensors of two devices, as CUDA does; make up what "meta" is asked for."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        away = [tensor for tensor in tensors if tensor.device.type == "meta"]
        if function in COPIES:
            return self._copied(function, args, kwargs)
        if away and function in READS:
            return 1.0
        # A scalar may stay on the CPU, and so may indices.
        here = [tensor for tensor in tensors if tensor.device.type == "cpu" and tensor.dim()]
        if away and here and function not in INDEXED:
            shapes = [(tensor.device.type, tuple(tensor.shape)) for tensor in tensors]
            raise AssertionError(f"{function} on two devices: {shapes}")
        return function(*args, **kwargs)

    @staticmethod
    def _copied(function, args, kwargs):
        source = args[1] if function is torch.ops.aten.copy_.default else args[0]
        back = "cpu" in (str(kwargs.get("device", "")), args[0].device.type)
        if source.device.type == "meta" and back and kwargs.get("device", "cpu") != torch.device("meta"):
            zeros = torch.zeros(source.shape, dtype=kwargs.get("dtype") or source.dtype)
            return args[0].zero_() if function is torch.ops.aten.copy_.default else zeros
        return function(*args, **kwargs)


def test_the_mode_finds_a_tensor_that_was_left_behind():
    with OneDevice():
        away, here = torch.ones(3, device="meta", requires_grad=True), torch.ones(3)
        assert (2 * away).sum().device.type == "meta"
        assert away.detach().cpu().tolist() == [0.0, 0.0, 0.0]
        assert (away * torch.tensor(2.0)).device.type == "meta"
        for wrong in (
            lambda: away + here,
            lambda: torch.cat([away, here]),
            lambda: torch.nn.functional.linear(away[None], here[None]),
            lambda: torch.where(here > 0, away, 0.0),
        ):
            with pytest.raises(AssertionError, match="two devices"):
                wrong()


@pytest.fixture(scope="module")
def rows():
    generator = np.random.default_rng(0)
    X = pd.DataFrame(generator.uniform(0, 1, (40, 4)), columns=["a", "b", "race_x", "race_y"])
    X["race_x"] = generator.random(40) < 0.5
    return X.assign(race_y=~X["race_x"])


@pytest.fixture
def device(monkeypatch):
    """Let the fused optimiser, which knows its devices by name, take "meta" for one of them."""
    module = sys.modules[torch.optim.Adam.__module__]
    monkeypatch.setattr(module, "_device_dtype_check_for_fused", lambda parameter, **options: None)
    return "meta"


FAIR, ROBUST = Fair("race", 1.0), GloballyRobust(0.1, 1.0)


@pytest.mark.filterwarnings("ignore:Training ended without a proof")
@pytest.mark.parametrize(
    ("properties", "arguments"),
    [
        (FAIR, {}),
        (FAIR, {"alpha": 0.5}),
        (FAIR, {"auxiliary": "affine", "alpha": 0.0}),
        (FAIR, {"auxiliary": "lipschitz"}),
        (FAIR, {"auxiliary": FreeAuxiliary}),
        (FAIR, {"method": SMiLEMethod(shared_embedding=False)}),
        (FAIR, {"method": "paper"}),
        (FAIR, {"backbone": lambda n_inputs, n_latent: torch.nn.Linear(n_inputs, n_latent)}),
        (Monotonic({"a": 1}) & FAIR & ROBUST, {"alpha": 0.5}),
        (ROBUST, {"alpha": 0.5}),
        (ROBUST, {"auxiliary": "affine"}),
        (ROBUST, {"auxiliary": "lipschitz"}),
        (None, {}),
    ],
)
def test_regression(rows, device, properties, arguments):
    y = rows["a"] - rows["b"]
    with OneDevice():
        model = SMiLERegressor(properties, device=device, **ONCE, **arguments).fit(rows, y)
    assert all(parameter.device.type == "cpu" for parameter in model.network_.parameters())


@pytest.mark.filterwarnings("ignore:Training ended without a proof")
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize(
    ("properties", "arguments"),
    [
        (ROBUST, {}),
        (ROBUST, {"loss": "margin", "class_weight": "balanced"}),
        (GloballyRobust(0.1, None), {}),
        (FAIR, {}),
    ],
)
def test_classification(rows, device, properties, arguments, n_classes):
    y = np.arange(len(rows)) % n_classes
    with OneDevice():
        SMiLEClassifier(properties, device=device, **ONCE, **arguments).fit(rows, y)


@pytest.mark.parametrize("epsilon", [1.0, None])
def test_images(device, epsilon):
    images = np.random.default_rng(0).random((30, 64))
    y = np.arange(len(images)) % 3
    with OneDevice():
        SMiLEClassifier(GloballyRobust(0.1, epsilon), auxiliary="convolutional", device=device, **ONCE).fit(
            images, y
        )
