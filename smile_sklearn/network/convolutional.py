"""The convolutional auxiliary, for images."""

import math
from operator import index

import torch
from torch import nn

from smile_sklearn.network.auxiliary import Auxiliary, relu


class ConvolutionalAuxiliary(Auxiliary):
    """Convolutions, one hidden layer and a linear one, with relu between them.

    For images as flat rows, channel by channel, and best for properties that are trained locally
    (``GloballyRobust(delta, None)``): its interval bounds around a row are narrow once it is trained
    on them. Bounds over *all* pairs of images are wide; those want ``"lipschitz"``.

    Training computes in single precision, which is several times faster; what is written into the
    snapshot are these very numbers, and ``predict`` and every proof are in double precision.
    Proofs read a convolution as the dense matrix that it is, inputs times outputs: 20 MB for the default
    at 28 x 28 pixels, and four times the sides take 256 times as much.

    Parameters
    ----------
    architecture : Architecture
    image_shape : tuple of int or None, default=None
        (channels, height, width) of a row. None: one square channel.
    channels : tuple of int, default=(8, 16)
        Output channels of each convolution.
    hidden : int, default=64
        Units of the layer after them.
    kernel, stride, padding : int, default=4, 2, 1
        Of every convolution. The default halves the image.

    Raises
    ------
    ValueError
        If the features are no image of that shape, or a convolution leaves nothing of it.

    Examples
    --------
    >>> from functools import partial
    >>> from smile_sklearn import GloballyRobust, SMiLEClassifier
    >>> from smile_sklearn.network import ConvolutionalAuxiliary
    >>> model = SMiLEClassifier(
    ...     GloballyRobust(0.1, None),
    ...     auxiliary=partial(ConvolutionalAuxiliary, image_shape=(1, 28, 28), channels=(16, 32)),
    ... )
    """

    def __init__(
        self,
        architecture,
        image_shape=None,
        channels=(8, 16),
        hidden=64,
        *,
        kernel=4,
        stride=2,
        padding=1,
    ):
        super().__init__(architecture, hidden)
        if self.constrained.any():
            raise ValueError(
                "Got a property that fixes signs (Monotonic, or epsilon 0), but a kernel has one weight "
                "for many features. Use auxiliary='monotone' or 'auto'."
            )
        # The convolutions read every pixel: where a property holds one equal, its difference is 0.
        self.context = None
        self.image_shape = _image_shape(image_shape, architecture.n_features)
        kernel, stride, padding = map(index, (kernel, stride, padding))  # numpy's whole numbers as Python's
        self.stride, self.padding = stride, padding
        self.kernels = nn.ModuleList()
        before, *side = self.image_shape
        for number in channels:
            self.kernels.append(_Layer(number, before, kernel, kernel))
            before, side = number, [(length + 2 * padding - kernel) // stride + 1 for length in side]
            if min(side) < 1:
                raise ValueError(
                    f"Got {len(channels)} convolutions of a {kernel}x{kernel} kernel with stride {stride} "
                    f"over images {self.image_shape}: nothing is left after {len(self.kernels)}. Use fewer "
                    "channels=..., or a smaller kernel=... or stride=..."
                )
        self.full = _Layer(hidden, before * math.prod(side))
        self.output = _Layer(self.n_bounded, hidden)

    def bounded_units(self, builder):
        """See :class:`Auxiliary`."""
        node, side = 0, self.image_shape[1:]
        for layer in self.kernels:
            weight, bias = layer.single()
            node = builder.conv2d(weight, bias, side, stride=self.stride, padding=self.padding, source=node)
            side = builder.node(node).output_shape[1:]
            node = relu(builder, node, bias.new_zeros(builder.node(node).size))
        weight, bias = self.full.single()
        node = relu(builder, builder.affine(weight, bias, node), bias)
        return builder.affine(*self.with_free_channels(*self.output.single()), node)


class _Layer(nn.Module):
    """Weight and bias, kept in double precision for the small steps of an optimiser."""

    def __init__(self, *shape):
        super().__init__()
        # Of this size the width of an interval neither grows nor vanishes with the layers
        # (Shi et al., Fast certified robust training with short warmup, NeurIPS 2021).
        deviation = math.sqrt(2.0 * math.pi) / math.prod(shape[1:])
        self.weight = nn.Parameter(torch.randn(*shape, dtype=torch.float64) * deviation)
        self.bias = nn.Parameter(torch.zeros(shape[0], dtype=torch.float64))

    def single(self):
        """Weight and bias in single precision."""
        return self.weight.float(), self.bias.float()


def _image_shape(image_shape, n_features):
    if image_shape is None:
        side = math.isqrt(n_features)
        if side * side != n_features:
            raise ValueError(
                f"Got auxiliary='convolutional' for {n_features} features, which are no square image of one "
                "channel. Give the shape: auxiliary=functools.partial(ConvolutionalAuxiliary, "
                "image_shape=(channels, height, width))."
            )
        return (1, side, side)
    shape = tuple(int(side) for side in image_shape)
    if len(shape) != 3 or math.prod(shape) != n_features:
        raise ValueError(
            f"Got image_shape={image_shape!r} for {n_features} features, expected (channels, height, width) "
            f"with a product of {n_features}."
        )
    return shape
