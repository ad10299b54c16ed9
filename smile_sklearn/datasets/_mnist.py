"""MNIST, as flat rows in [0, 1]."""

import numpy as np
from sklearn.utils import Bunch

from smile_sklearn.datasets._loading import check_openml_copy, describe, fetch_from_openml, find_files
from smile_sklearn.datasets._specs import MNIST

N_TRAIN, N_TEST, N_PIXELS = 60_000, 10_000, 28 * 28


def fetch_mnist(*, data_home=None, download_if_missing=True, return_X_y=False, dtype=np.float64):
    """Load MNIST with pixels in [0, 1], in the official order.

    Parameters
    ----------
    data_home : path-like or None, default=None
        Folder with ``mnist.npz``; None: the environment variable ``SMILE_DATA``,
        else scikit-learn's data home.
    download_if_missing : bool, default=True
        If the file is missing, download OpenML's ``mnist_784``.
    return_X_y : bool, default=False
        Return ``(data, target)``.
    dtype : dtype, default=numpy.float64
        Of the pixels. The estimators compute in float64; the full set takes 440 MB then.

    Returns
    -------
    bunch : Bunch or tuple of (ndarray, ndarray)
        - data : ndarray of shape (70000, 784), pixels / 255, train rows first
        - target : ndarray of shape (70000,), the digit
        - split : ndarray of shape (70000,), "train" or "test"
        - data_train, target_train, data_test, target_test : views of the above
        - images_shape : tuple, the shape (28, 28) of a row
        - feature_names, target_names, protected, DESCR; frame is None

    Raises
    ------
    DatasetNotFoundError
        If the data set can neither be found nor downloaded.
    """
    paths = find_files(MNIST, data_home)
    if paths is None:
        pixels, digits = _pixels_from_openml(data_home, download_if_missing)
    else:
        pixels, digits = _pixels_from_file(paths[0])
    data = np.empty(pixels.shape, dtype=dtype)
    np.divide(pixels, 255, out=data, casting="same_kind")
    target = digits.astype(np.int64)
    if return_X_y:
        return data, target
    return Bunch(
        frame=None,
        data=data,
        target=target,
        target_names=[MNIST.target],
        feature_names=[f"pixel{index + 1}" for index in range(N_PIXELS)],
        protected=[],
        categorical_features=[],
        monotonic_cst={},
        split=np.repeat(["train", "test"], [N_TRAIN, N_TEST]),
        data_train=data[:N_TRAIN],
        target_train=target[:N_TRAIN],
        data_test=data[N_TRAIN:],
        target_test=target[N_TRAIN:],
        images_shape=(28, 28),
        DESCR=describe(MNIST),
    )


def _pixels_from_file(path):
    with np.load(path) as archive:
        pixels = np.concatenate([archive["x_train"], archive["x_test"]]).reshape(N_TRAIN + N_TEST, N_PIXELS)
        return pixels, np.concatenate([archive["y_train"], archive["y_test"]])


def _pixels_from_openml(data_home, download_if_missing):
    copy = fetch_from_openml(MNIST, data_home, download_if_missing=download_if_missing, as_frame=False)
    expected = (N_TRAIN + N_TEST, N_PIXELS)
    check_openml_copy(MNIST, copy.data.shape == expected, f"{expected} pixels, got {copy.data.shape}")
    return copy.data, copy.target
