"""Data sets: what is shipped, its checksums, the published split and the published losses."""

from __future__ import annotations

import hashlib
import sys
from importlib import resources

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from collapse import datasets

SETS = {"titanic": (1045, 4), "heart": (270, 13), "breast_cancer": (569, 30), "diabetes": (442, 10)}


@pytest.mark.parametrize("name", SETS)
def test_shapes_and_labels(name):
    data = getattr(datasets, name)()
    assert data.X.shape == SETS[name]
    assert data.y.shape == data.X.shape[:1]
    assert set(data.y) == {0, 1}
    assert len(data.columns) == data.X.shape[1]
    assert np.isfinite(data.X).all()
    assert name in repr(data)
    assert data.source


def test_scaled_attributes_span_minus_one_to_one():
    data = datasets.heart()
    scaled = data.scaled()
    np.testing.assert_allclose(scaled.X.min(axis=0), -1)
    np.testing.assert_allclose(scaled.X.max(axis=0), 1)
    assert np.corrcoef(scaled.X[:, 0], data.X[:, 0])[0, 1] == pytest.approx(1)
    assert data.X.max() > 100


@pytest.mark.parametrize(
    ("load", "name", "loss"),
    [
        (datasets.titanic, "titanic", 0.4630763),
        (datasets.diabetes, "diabetes", 0.4284598),
        (lambda: datasets.heart().scaled(), "heart", 0.5193270),
    ],
)
def test_the_published_split_and_fit_give_the_published_loss_of_generation_1(load, name, loss):
    X, y, X_test, y_test = load().split()
    fit = LogisticRegression(C=np.inf, max_iter=10_000).fit(X, y)
    assert log_loss(y_test, fit.predict_proba(X_test)) == pytest.approx(loss, abs=5.1e-8)
    for workflow in ("discard", "augment"):
        assert datasets.published(name, workflow)["test_loss"][0] == pytest.approx(loss, abs=5.1e-8)


def test_the_split_is_a_partition_and_depends_on_its_seed():
    data = datasets.titanic()
    X, y, X_test, y_test = data.split()
    assert (len(X), len(X_test)) == (731, 314)
    assert len(y) + len(y_test) == len(data.y)
    assert y.sum() + y_test.sum() == data.y.sum()
    assert (data.split(seed=1)[0] != X).any()
    assert len(data.split(test_share=0.5)[0]) == 522


@pytest.mark.parametrize("name", [*SETS, "wisconsin"])
@pytest.mark.parametrize("workflow", ["discard", "augment"])
def test_published_runs_have_fifty_generations(name, workflow):
    run = datasets.published(name, workflow)
    assert list(run) == ["generation", "train_loss", "train_accuracy", "test_loss", "test_accuracy"]
    assert run["generation"].tolist() == list(range(1, 51))
    assert all(np.isfinite(column).all() for column in run.values())


@pytest.mark.parametrize(("name", "workflow"), [("iris", "augment"), ("titanic", "subsample")])
def test_a_run_that_was_not_published_is_refused_with_the_list(name, workflow):
    with pytest.raises(
        ValueError, match=rf"there is no published run of '{name}', '{workflow}'; there are: .*titanic, augment; titanic, discard"
    ):
        datasets.published(name, workflow)


@pytest.mark.parametrize("file", datasets.SHA256)
def test_shipped_files_have_their_checksums(file):
    content = (resources.files("collapse") / "data" / file).read_bytes()
    assert hashlib.sha256(content).hexdigest() == datasets.SHA256[file]


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A copy of the data folder that may be damaged."""
    (tmp_path / "data").mkdir()
    for file in datasets.SHA256:
        (tmp_path / "data" / file).write_bytes((resources.files("collapse") / "data" / file).read_bytes())
    monkeypatch.setattr(datasets.resources, "files", lambda package: tmp_path)
    return tmp_path / "data"


def test_a_changed_file_is_refused(installed):
    assert datasets.titanic().y.sum() > 0
    (installed / "titanic.csv").write_bytes((installed / "titanic.csv").read_bytes().replace(b"1", b"2", 1))
    with pytest.raises(ValueError, match=r"titanic\.csv differs from the file that was shipped .* reinstall collapse-companion"):
        datasets.titanic()


def test_a_missing_file_is_refused(installed):
    (installed / "heart.csv").unlink()
    with pytest.raises(FileNotFoundError, match=r"heart\.csv is missing from the installed package; reinstall collapse-companion"):
        datasets.heart()


def test_without_scikit_learn_the_extra_is_named(monkeypatch):
    for module in ("sklearn.datasets", "sklearn.model_selection"):
        monkeypatch.setitem(sys.modules, module, None)
    for call in (datasets.diabetes, datasets.breast_cancer, datasets.titanic().split):
        with pytest.raises(ImportError, match=r"needs scikit-learn: pip install 'collapse-companion\[data\]'"):
            call()


def test_a_column_of_ones_comes_first():
    assert datasets.with_intercept([[2, 3], [4, 5]]).tolist() == [[1, 2, 3], [1, 4, 5]]
