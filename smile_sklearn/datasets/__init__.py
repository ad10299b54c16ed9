"""The data sets of the experiments; none is shipped with the package.

Every ``fetch_*`` looks for a file in ``data_home`` (default: the environment variable ``SMILE_DATA``, else
scikit-learn's data home), then on OpenML where a copy with the same columns exists, and returns a
:class:`~sklearn.utils.Bunch`.
"""

from smile_sklearn.datasets._loading import DatasetNotFoundError
from smile_sklearn.datasets._mnist import fetch_mnist
from smile_sklearn.datasets._synthetic import make_sine
from smile_sklearn.datasets._tabular import (
    fetch_adult,
    fetch_auto_mpg,
    fetch_compas,
    fetch_crime,
    fetch_law,
    fetch_law_admission,
)

__all__ = [
    "DatasetNotFoundError",
    "fetch_adult",
    "fetch_auto_mpg",
    "fetch_compas",
    "fetch_crime",
    "fetch_law",
    "fetch_law_admission",
    "fetch_mnist",
    "make_sine",
]
