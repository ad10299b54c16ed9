"""Products of a matrix with the intervals of many rows at once, by BLAS and rounded outward."""

import math

import numpy as np

from smile_sklearn.snapshot.forward import image_patches
from smile_sklearn.verification.intervals import Interval
from smile_sklearn.verification.local.neighbourhood import Neighbourhood
from smile_sklearn.verification.rounding import SMALLEST, absolute_matmul, add_upper, gamma, inflate


class IntervalProduct:
    """``weight @ x + bias`` on intervals of many rows, by BLAS, rounded outward.

    Parameters
    ----------
    weight : ndarray of shape (k, size)
    bias : ndarray of shape (k,)
    magnitude : ndarray of shape (size,)
        Largest absolute value of x on the domain, which its intervals do not exceed.
    """

    def __init__(self, weight, bias, magnitude):
        self.weight, self.bias, self.absolute = weight, bias, np.abs(weight)
        self.error = _rounding(weight, bias, magnitude)

    def times(self, rows, weight):
        """``rows @ weight.T`` by BLAS, for a weight of the shape of this one."""
        return rows @ weight.T

    def interval(self, source):
        """Interval (n, k) from an Interval, or from a Neighbourhood of inputs."""
        centre = 0.5 * source.low + 0.5 * source.high
        radius = np.maximum(source.high - centre, centre - source.low)
        middle = self.times(centre, self.weight) + self.bias
        # One rounding of the radius (a subnormal difference is exact), n of the product, two here.
        reach = self.times(radius, self.absolute) * (1.0 + gamma(2 * self.weight.shape[1] + 8)) + self.error
        low, high = middle - reach, middle + reach
        if isinstance(source, Neighbourhood):
            for group, own, allowed in zip(source.groups, source.own, source.allowed, strict=True):
                least, most = _category_scores(self.weight, group, allowed)
                low, high = low + least[own], high + most[own]
        return Interval(low, high)


class ConvolutionProduct(IntervalProduct):
    """A `Conv2d` on intervals of many rows: one product of all patches with the kernels.

    Every output is a sum of one product a weight of its kernel: those on the zeros around the image are
    exactly 0, and all that an `IntervalProduct` says of n terms holds, n the weights of a kernel.

    Parameters
    ----------
    node : Conv2d
        Not of an input with one-hot groups: those need whole columns.
    magnitude : ndarray of shape (size of the image,)
    """

    def __init__(self, node, magnitude):
        self.node, self.n_positions = node, math.prod(node.output_shape[1:])
        kernels = node.weight.reshape(len(node.weight), -1)
        self.weight, self.absolute = kernels, np.abs(kernels)
        self.bias = np.repeat(node.bias, self.n_positions)
        # Of each position, whose patch has magnitudes of its own: (n_kernels, n_positions).
        patches = image_patches(magnitude[None], node).T
        self.error = _rounding(kernels, node.bias[:, None], patches).ravel()

    def times(self, rows, weight):
        """Convolve flat images (n, size), flat again."""
        found = (image_patches(rows, self.node) @ weight.T).reshape(len(rows), self.n_positions, len(weight))
        return found.transpose(0, 2, 1).reshape(len(rows), -1)


def _rounding(weight, bias, magnitude):
    r"""Upper bound on the rounding of one end of a `IntervalProduct`, (k,).

    The centre is a product of n terms and the bias; the end takes one more sum, and one for each
    group (n at most). Every partial sum is at most ``|W| M + |b|`` up to a few u of it, M the
    magnitude, so fewer than 2n + 16 roundings of that size (Higham: any order of summation); and
    each product, of centre and radius, may underflow once.
    """
    n_terms = weight.shape[1]
    absolute = add_upper(absolute_matmul(weight, magnitude), np.abs(bias))
    return inflate(gamma(2 * n_terms + 16) * absolute, n_terms) + 4 * (n_terms + 1) * SMALLEST


def _category_scores(weight, group, allowed):
    """Least and greatest score of the categories that each category may become, (k, n_units) each."""
    # Categories are rows of 0 and 1 with one 1 at most: the products are exact.
    scores = group.categories @ weight[:, list(group.columns)].T
    least = np.stack([scores[may].min(axis=0) for may in allowed])
    return least, np.stack([scores[may].max(axis=0) for may in allowed])
