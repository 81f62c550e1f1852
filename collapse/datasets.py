"""Data sets of the empirical chapters, loaded without a network, and the published runs on them."""

from __future__ import annotations

import csv
import hashlib
from dataclasses import dataclass, replace
from importlib import resources

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

SHA256 = {
    "titanic.csv": "e30878e34e2a266603c9f69092c5e4004b941878d95539a0b00d99b3972598b3",
    "heart.csv": "3f4df69fe0a78215fd03b0fb5261fa003dfd3b220838c8944b6c7973d28e5f63",
    "published_uci.csv": "4f596ba7401458890355d8c4b4c494ccc3f19e352587450d76c920aea518a1c8",
}


@dataclass(frozen=True, eq=False)
class Dataset:
    """A table of attributes with a binary label.

    Attributes
    ----------
    X : ndarray, shape (N, d)
        Attributes, without a column of ones.
    y : ndarray, shape (N,)
        Labels 0 and 1.
    columns : tuple of str
        Names of the attributes.
    name, label, source : str
        Name of the set, what label 1 means, and where it comes from.
    """

    name: str
    X: Array
    y: Array
    columns: tuple[str, ...]
    label: str
    source: str

    def scaled(self) -> Dataset:
        """Scale each attribute linearly to [-1, 1] over all rows."""
        low, high = self.X.min(axis=0), self.X.max(axis=0)
        return replace(self, X=2 * (self.X - low) / (high - low) - 1)

    def split(self, test_share: float = 0.3, seed: int = 123456) -> tuple[Array, Array, Array, Array]:
        """Split into X_train, y_train, X_test, y_test; the default is the split of the published runs.

        Raises
        ------
        ImportError
            Where scikit-learn is missing: install collapse-companion[data].
        """
        split = _sklearn("model_selection").train_test_split
        X_train, X_test, y_train, y_test = split(self.X, self.y, test_size=test_share, random_state=seed)
        return X_train, y_train, X_test, y_test

    def __repr__(self) -> str:
        return f"<{self.name}: {self.X.shape[0]:,} rows, {self.X.shape[1]} attributes, {self.y.mean():.0%} {self.label}>"


def with_intercept(X: ArrayLike) -> Array:
    """Put a column of ones before the columns of X.

    Examples
    --------
    >>> import collapse
    >>> collapse.datasets.with_intercept([[2.0], [3.0]])
    array([[1., 2.],
           [1., 3.]])
    """
    table = np.asarray(X, np.float64)
    return np.column_stack([np.ones(len(table)), table])


def titanic() -> Dataset:
    """Passengers of the Titanic with complete class, age, sex and fare: who survived.

    Returns
    -------
    Dataset
        1,045 rows in OpenML's order, on which the published split depends.

    References
    ----------
    OpenML 40945 (titanic, version 1).

    Examples
    --------
    >>> import collapse
    >>> collapse.datasets.titanic()
    <titanic: 1,045 rows, 4 attributes, 41% survived>
    """
    return _shipped("titanic", "survived", "OpenML 40945 (titanic, version 1)")


def heart() -> Dataset:
    """Statlog (Heart), 13 attributes in raw units: presence of heart disease.

    Returns
    -------
    Dataset
        270 rows. The published runs use it scaled to [-1, 1]: `heart().scaled()`.

    References
    ----------
    UCI Machine Learning Repository, Statlog (Heart).

    Examples
    --------
    >>> import collapse
    >>> collapse.datasets.heart()
    <heart: 270 rows, 13 attributes, 44% present>
    """
    return _shipped("heart", "present", "UCI Machine Learning Repository, Statlog (Heart)")


def breast_cancer() -> Dataset:
    """Wisconsin diagnostic breast cancer, as scikit-learn ships it: benign tumours.

    Returns
    -------
    Dataset
        569 rows, 30 attributes. Its classes are linearly separable: no maximum-likelihood estimate exists.

    References
    ----------
    UCI Machine Learning Repository, Breast Cancer Wisconsin (Diagnostic).

    Examples
    --------
    >>> import collapse
    >>> collapse.datasets.breast_cancer()
    <breast_cancer: 569 rows, 30 attributes, 63% benign>
    """
    bunch = _sklearn("datasets").load_breast_cancer()
    source = "UCI Machine Learning Repository, Breast Cancer Wisconsin (Diagnostic)"
    return Dataset("breast_cancer", bunch.data, bunch.target.astype(float), tuple(bunch.feature_names), "benign", source)


def diabetes() -> Dataset:
    """Diabetes progression, as scikit-learn ships it (columns standardised): progression above 100 after one year.

    Returns
    -------
    Dataset
        442 rows, 10 attributes.

    References
    ----------
    Efron, Hastie, Johnstone and Tibshirani (2004), Least Angle Regression.

    Examples
    --------
    >>> import collapse
    >>> collapse.datasets.diabetes()
    <diabetes: 442 rows, 10 attributes, 67% above 100>
    """
    bunch = _sklearn("datasets").load_diabetes()
    source = "Efron, Hastie, Johnstone and Tibshirani (2004), Least Angle Regression"
    return Dataset("diabetes", bunch.data, (bunch.target > 100).astype(float), tuple(bunch.feature_names), "above 100", source)


def published(name: str, workflow: str) -> dict[str, Array]:
    """Figures that the paper's authors logged: one unseeded run of 50 generations.

    Parameters
    ----------
    name : {"titanic", "heart", "breast_cancer", "diabetes", "wisconsin"}
        Data set; "wisconsin" is breast_cancer again, from an earlier version of the authors' code.
    workflow : {"discard", "augment"}
        Workflow.

    Returns
    -------
    dict
        Columns generation, train_loss, train_accuracy, test_loss, test_accuracy, each of shape (50,). The training
        loss is taken after relabelling.

    Raises
    ------
    ValueError
        Where there is no such run; the message lists what exists.

    References
    ----------
    Dey and Donoho (2024), logs in the paper's public repository.

    Examples
    --------
    >>> import collapse
    >>> collapse.datasets.published("titanic", "discard")["test_loss"][0].round(7)
    np.float64(0.4630763)
    """
    rows = list(csv.DictReader(_read("published_uci.csv").splitlines()))
    chosen = [row for row in rows if (row["dataset"], row["workflow"]) == (name, workflow)]
    if not chosen:
        runs = sorted({f"{row['dataset']}, {row['workflow']}" for row in rows})
        raise ValueError(f"there is no published run of {name!r}, {workflow!r}; there are: {'; '.join(runs)}.")
    columns = [key for key in chosen[0] if key not in ("dataset", "workflow")]
    return {key: np.array([float(row[key]) for row in chosen]) for key in columns}


def _shipped(name: str, label: str, source: str) -> Dataset:
    header, *rows = csv.reader(_read(f"{name}.csv").splitlines())
    table = np.array(rows, dtype=np.float64)
    return Dataset(name, table[:, :-1], table[:, -1], tuple(header[:-1]), label, source)


def _read(file: str) -> str:
    path = resources.files("collapse") / "data" / file
    if not path.is_file():
        raise FileNotFoundError(f"{file} is missing from the installed package; reinstall collapse-companion.")
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != SHA256[file]:
        raise ValueError(f"{file} differs from the file that was shipped (its SHA-256 is another); reinstall collapse-companion.")
    return content.decode()


def _sklearn(module: str):  # type: ignore[no-untyped-def]
    from importlib import import_module

    try:
        return import_module(f"sklearn.{module}")
    except ImportError as error:
        raise ImportError("this needs scikit-learn: pip install 'collapse-companion[data]'.") from error
