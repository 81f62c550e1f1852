"""One of a thing is told in the singular, wherever the package counts."""

import re

import numpy as np
import pytest

import collapse
from collapse import workflows
from collapse.checks import counted
from collapse.models.regression.design import check_design

WRONG = re.compile(
    r"\b1 (?:\w+ )?(?:rows|columns|generations|fits|batches|cells|models|workflows"
    r"|replications|entries|numbers|figures|classes|labels|blocks)\b"
)


def told():
    one = workflows.discard(1)
    yield repr(one)
    yield str(one)
    yield repr(collapse.derive(one))
    yield repr(collapse.simulate(one, replications=1, rng=1))
    yield repr(collapse.sweep({"workflow": ["discard"], "generations": [1], "replications": [1]}))
    yield repr(workflows.reservoir(1))
    with pytest.raises(ValueError, match="rank 1 with 1 row\\.") as refused:
        check_design(np.array([[1.0, 2.0]]))
    yield str(refused.value)
    with pytest.raises(ValueError, match="2 generations have 1 synthetic batch;") as refused:
        workflows.discard(2, size=(1, 2))
    yield str(refused.value)


def test_one_is_singular():
    texts = list(told())
    assert any("1 generation," in text for text in texts)
    assert any("1 fit, 1 batch" in text for text in texts)
    for text in texts:
        assert not WRONG.search(text), text


def test_counted():
    assert [counted(n, "row") for n in (0, 1, 1_000)] == ["0 rows", "1 row", "1,000 rows"]
    assert counted(1, "batch", "batches") == "1 batch"
    assert counted(2, "batch", "batches") == "2 batches"
