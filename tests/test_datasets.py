"""Data sets: what is shipped, its checksums, the published split and the published losses."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import sys
import zipfile
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_diabetes
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split

from collapse import archives, datasets, derive, models, workflows

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
    assert (data.split(rng=1)[0] != X).any()
    assert len(data.split(test_share=0.5)[0]) == 522
    sequence = np.random.SeedSequence(7)
    same = [data.split(rng=given)[0] for given in (sequence, np.random.SeedSequence(7))]
    assert (same[0] == same[1]).all()
    generator = np.random.default_rng(7)
    assert (data.split(rng=generator)[0] != data.split(rng=generator)[0]).any()


@pytest.mark.parametrize("share", [0.3, 0.25, 0.1])
@pytest.mark.parametrize("seed", [123456, 7])
def test_the_split_and_the_diabetes_data_are_those_of_scikit_learn(share, seed):
    data, theirs = datasets.diabetes(), load_diabetes()
    assert (theirs.data == data.X).all()
    assert data.columns == tuple(theirs.feature_names)
    X, X_test, y, y_test = train_test_split(
        theirs.data, theirs.target > 100, test_size=share, random_state=seed
    )
    for part, same in zip(data.split(share, seed), (X, y, X_test, y_test), strict=True):
        assert (part == same).all()


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
        ValueError,
        match=(
            rf"there is no published run of '{name}', '{workflow}'; there are: .*titanic, augment;"
            r" titanic, discard"
        ),
    ):
        datasets.published(name, workflow)


@pytest.mark.parametrize("file", archives.SHA256)
def test_shipped_files_have_their_checksums(file):
    content = (resources.files("collapse") / "data" / file).read_bytes()
    assert hashlib.sha256(content).hexdigest() == archives.SHA256[file]


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A copy of the data folder that may be damaged."""
    (tmp_path / "data").mkdir()
    for file in archives.SHA256:
        (tmp_path / "data" / file).write_bytes(
            (resources.files("collapse") / "data" / file).read_bytes()
        )
    monkeypatch.setattr(archives.resources, "files", lambda package: tmp_path)
    return tmp_path / "data"


def test_a_changed_file_is_refused(installed):
    assert datasets.titanic().y.sum() > 0
    (installed / "titanic.csv").write_bytes(
        (installed / "titanic.csv").read_bytes().replace(b"1", b"2", 1)
    )
    with pytest.raises(
        ValueError,
        match=(
            r"titanic\.csv differs from the file that was shipped .* reinstall collapse-companion"
        ),
    ):
        datasets.titanic()


def test_a_missing_file_is_refused(installed):
    (installed / "heart.csv").unlink()
    with pytest.raises(
        FileNotFoundError,
        match=r"heart\.csv is missing from the installed package; reinstall collapse-companion",
    ):
        datasets.heart()


def test_without_scikit_learn_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    monkeypatch.setattr(datasets, "find_spec", lambda name: None)
    for call in (datasets.diabetes, datasets.breast_cancer):
        with pytest.raises(
            ImportError, match=r"needs scikit-learn: pip install 'collapse-companion\[data\]'"
        ):
            call()


def test_a_column_of_ones_comes_first():
    assert datasets.with_intercept([[2, 3], [4, 5]]).tolist() == [[1, 2, 3], [1, 4, 5]]


SIZES = {"glosses": (9000, 3000), "fashion": (6000, 2000)}


@pytest.mark.parametrize("name", SIZES)
def test_shipped_features_are_whitened_and_balanced(name):
    data = getattr(datasets, name)()
    assert (len(data.X), len(data.X_test)) == SIZES[name]
    assert data.X.shape[1] == data.X_test.shape[1] == 32
    np.testing.assert_allclose(data.X.mean(axis=0), 0, atol=2e-4)  # half precision: eleven bits
    np.testing.assert_allclose(data.X.T @ data.X / len(data.X), np.eye(32), atol=1e-3)
    for label in (data.y, data.y_test):
        assert len(set(np.bincount(label.astype(int)))) == 1
    assert len(data.classes) == 10
    assert data.source
    # the encoders tell the classes apart: far better than chance, by the fit itself
    model = data.part(components=8).model()
    assert model.risk(model.truth[None])[0] < 0.5 * np.log(10)


def test_a_part_of_the_features_keeps_what_was_asked_for():
    whole = datasets.fashion()
    part = whole.part(classes=["coat", "T-shirt"], components=3, rows=500)
    assert part.X.shape == (500, 3)
    assert part.classes == ("coat", "T-shirt")
    rows = np.flatnonzero(np.isin(whole.y, [0, 4]))[:500]
    assert part.X.tolist() == whole.X[rows, :3].tolist()
    assert part.y.tolist() == (whole.y[rows] == 0).tolist()
    assert part.y_test.sum() == 200


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (
            {"classes": ["coat", "hat"]},
            r"classes must be at least two of T-shirt, .*, each once; they are \['coat', 'hat'\]",
        ),
        ({"classes": ["coat", "coat"]}, r"each once; they are \['coat', 'coat'\]"),
        (
            {"components": 33},
            r"components \(features of fashion to keep\) can be 32 at most; it is 33",
        ),
        (
            {"components": 0},
            r"components \(features of fashion to keep\) must be a whole number, at least 1; it is",
        ),
        ({"rows": 10_000}, r"rows \(rows of fashion to keep\) can be 6,000 at most; it is 10000"),
        ({"rows": 2}, r"fashion: the first 2 real rows hold none of class '.*'; keep more rows"),
    ],
)
def test_a_part_that_is_not_there_is_refused(options, told):
    with pytest.raises(ValueError, match=told):
        datasets.fashion().part(**options)


def test_whitening_changes_no_fit_and_drops_what_does_not_vary():
    data = datasets.fashion().part(classes=["pullover", "coat", "shirt"], components=4, rows=600)
    bent = np.column_stack([data.X @ np.triu(np.ones((4, 4))) + 3, np.ones(600)])
    bent_test = np.column_stack(
        [data.X_test @ np.triu(np.ones((4, 4))) + 3, np.ones(len(data.X_test))]
    )
    white = datasets.Features(
        "bent", bent, data.y, bent_test, data.y_test, data.classes, ""
    ).whitened()
    assert white.X.shape == (600, 4)
    np.testing.assert_allclose(white.X.T @ white.X / 600, np.eye(4), atol=1e-10)
    first, second = data.model(), white.model()
    assert first.risk(first.truth[None])[0] == pytest.approx(
        second.risk(second.truth[None])[0], abs=1e-9
    )


def good():
    X, y = np.random.default_rng(0).normal(size=(30, 2)), np.arange(30) % 3
    return {"X_train": X[:20], "y_train": y[:20], "X_test": X[20:], "y_test": y[20:]}


def test_a_feature_file_is_read_as_it_was_written(tmp_path):
    arrays = good()
    np.savez(tmp_path / "mine.npz", **arrays, classes=["a", "b", "c"], other=[1])
    data = datasets.read_features(tmp_path / "mine.npz")
    assert data.X.tolist() == arrays["X_train"].tolist()
    assert data.y_test.tolist() == arrays["y_test"].tolist()
    assert (data.name, data.classes) == ("mine", ("a", "b", "c"))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"X_test": None}, r"has no array X_test; it must hold X_train, y_train, X_test, y_test"),
        (
            {"y_train": np.zeros(19)},
            (
                r"X_train must have shape \(rows, features\) and y_train \(rows,\); they have"
                r" shapes \(20, 2\) and \(19,\)"
            ),
        ),
        ({"X_train": np.zeros(20)}, r"they have shapes \(20,\) and \(20,\)"),
        ({"X_test": np.zeros((10, 3))}, r"X_train has 2 features, X_test 3; encode both alike"),
        (
            {"X_train": np.full((20, 2), np.nan)},
            r"X_train must be finite; 40 of its entries are not",
        ),
        ({"X_train": np.full((20, 2), "a")}, r"X_train must hold numbers; its type is <U1"),
        (
            {"y_train": np.full(20, 0.5)},
            r"y_train must hold classes numbered 0, ..., 0; it holds 0.5",
        ),
        ({"y_test": np.full(10, 7)}, r"y_test must hold classes numbered 0, ..., 2; it holds 7"),
        (
            {"y_train": np.zeros(20), "y_test": np.zeros(10)},
            r"at least two classes are needed, each with real rows; there is one class",
        ),
        ({"y_train": np.arange(20) % 2 * 2}, r"each with real rows; class 1 has no real row"),
        ({"y_train": np.arange(20) % 2 * 1e15}, r"each with real rows; class 1 has no real row"),
        ({"classes": np.array(list("abcd"))}, r"each with real rows; class 3 has no real row"),
    ],
)
def test_a_bad_feature_file_gets_one_sentence(tmp_path, change, told):
    np.savez(
        tmp_path / "bad.npz",
        **{key: value for key, value in (good() | change).items() if value is not None},
    )
    with pytest.raises(ValueError, match=told):
        datasets.read_features(tmp_path / "bad.npz")


@pytest.mark.parametrize("shape", [(10**15, 2), (10**30, 2), (21, 2), (19, 2), (-20, 2)])
def test_an_array_that_claims_another_size_is_refused_before_it_is_read(
    tmp_path, shape, monkeypatch
):
    np.savez(tmp_path / "whole.npz", **good())
    with (
        zipfile.ZipFile(tmp_path / "whole.npz") as whole,
        zipfile.ZipFile(tmp_path / "claims.npz", "w") as claims,
    ):
        for name in whole.namelist():
            if name == "X_train.npy":
                header = io.BytesIO()
                np.lib.format.write_array_header_1_0(
                    header, {"descr": "<f8", "fortran_order": False, "shape": shape}
                )
                claims.writestr(name, header.getvalue() + good()["X_train"].tobytes())
            else:
                claims.writestr(name, whole.read(name))
    monkeypatch.setattr(
        datasets.np, "load", lambda *arguments, **options: pytest.fail("it was read")
    )
    with pytest.raises(
        ValueError,
        match=(
            r"claims\.npz: X_train claims another size than it has, the file is damaged; write it"
            r" again"
        ),
    ):
        datasets.read_features(tmp_path / "claims.npz")


def test_more_than_memory_holds_gets_a_sentence(tmp_path, monkeypatch):
    def none_left(*arguments, **options):
        raise MemoryError

    np.savez_compressed(tmp_path / "large.npz", **good())
    monkeypatch.setattr(datasets.np, "load", none_left)
    with pytest.raises(
        ValueError,
        match=(
            r"large\.npz holds more numbers than there is memory for; keep fewer rows or features"
        ),
    ):
        datasets.read_features(tmp_path / "large.npz")


def test_a_file_that_is_no_feature_file_is_refused(tmp_path):
    (tmp_path / "text.npz").write_text("pixel,label\n1,2\n")
    np.save(tmp_path / "one.npy", np.zeros(3))
    np.savez(tmp_path / "object.npz", **(good() | {"X_train": np.array([{}], dtype=object)}))
    with zipfile.ZipFile(tmp_path / "other.npz", "w") as other:
        other.writestr("X_train.npy", "1,2")
    (tmp_path / "cut.npz").write_bytes((tmp_path / "object.npz").read_bytes()[:-200])
    for name in ("text.npz", "one.npy", "object.npz", "other.npz", "cut.npz"):
        with pytest.raises(
            ValueError,
            match=rf"{name} is not an \.npz file of plain numbers; write it by numpy\.savez",
        ):
            datasets.read_features(tmp_path / name)
    with pytest.raises(FileNotFoundError, match=r"there is no file .*nothing\.npz"):
        datasets.read_features(tmp_path / "nothing.npz")


@pytest.mark.parametrize("method", datasets.PUBLISHED_ENCODERS)
@pytest.mark.parametrize("workflow", ["discard", "augment"])
def test_published_series_have_ten_generations(method, workflow):
    run = datasets.published_features(method, workflow)
    assert run["generation"].tolist() == list(range(1, 11))
    assert all(np.isfinite(column).all() for column in run.values())


def test_a_series_that_was_not_published_is_refused():
    with pytest.raises(
        ValueError,
        match=(
            r"there is no published run of 'resnet', 'augment'; there are: barlowtwins, augment;"
            r" .*vit_mae, discard"
        ),
    ):
        datasets.published_features("resnet", "augment")


def test_the_script_that_made_the_features_reads_glosses_and_whitens():
    """What needs neither torch nor the files: WordNet's format, the draw of rows, the whitening."""
    path = Path(__file__).parent.parent / "book" / "encode.py"
    spec = importlib.util.spec_from_file_location("encode", path)
    encode = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(encode)
    lines = [
        "  1 This software and database",
        '00000001 04 n 01 run 0 000 | the act of running; "he broke into a run"  ',
        "00000002 05 n 01 cat 0 000 | feline mammal  ",
        "00000003 05 n 01 x 0 000 | of two classes  ",
        "00000004 04 n 01 y 0 000 | of two classes  ",
        "00000005 03 n 01 entity 0 000 | of none of the ten  ",
    ]
    texts, label = encode.read_glosses(lines)
    assert texts == ["the act of running", "feline mammal"]
    assert label.tolist() == [0, 1]
    y = np.arange(40) % 4
    train, test = encode.draw_rows(y, (6, 3), np.random.default_rng(0))
    assert not set(train) & set(test)
    assert np.bincount(y[train]).tolist() == [6] * 4
    assert np.bincount(y[test]).tolist() == [3] * 4
    with pytest.raises(ValueError, match="class 0 has 10 rows, and 11 are wanted"):
        encode.draw_rows(y, (6, 5), np.random.default_rng(0))
    X = np.random.default_rng(1).normal(size=(50, 4)) @ np.diag([5.0, 2, 1, 0.1]) + 7
    white, white_test = encode.whiten(X, X[:5], 3)
    np.testing.assert_allclose(white.T @ white / 50, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(white_test, white[:5])
    assert abs(np.corrcoef(white[:, 0], X[:, 0])[0, 1]) > 0.99


@pytest.mark.parametrize("n", [100, 316])
@pytest.mark.parametrize("workflow", ["discard", "augment"])
def test_published_normal_laws_obey_the_law_of_matched_moments(n, workflow):
    """Mean squared error and variance of all 11 generations, against 1 - (1 - 1/n)^g or augment's
    product; a z test of size 1e-6 for each, by the published standard errors.

    The alternative that the variance is kept (v2 = 0) is refused under discard.
    """
    run = datasets.published(f"normal, n = {n}", workflow)
    assert len(run["generation"]) == 11
    at = run["generation"].astype(int) - 1
    model, plan = models.NormalGenerator([-1, 1]), getattr(workflows, workflow)(100)
    lost = derive(plan, model=model, n=n).risk[at]
    k = 1 if workflow == "discard" else np.arange(1, 101)
    left = np.cumprod(np.broadcast_to(1 - 1 / (n * k**2), 100))[at]
    np.testing.assert_allclose(lost, 1 - left, rtol=1e-12)
    assert (np.abs(run["squared_error"] - lost) <= 4.9 * run["squared_error_stderr"]).all()
    assert (np.abs(run["variance"] - left) <= 4.9 * run["variance_stderr"]).all()
    if workflow == "discard":
        assert abs(run["variance"][-1] - 1) > 3 * run["variance_stderr"][-1]
