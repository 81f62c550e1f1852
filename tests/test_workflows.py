"""Named workflows: their tables, and what they refuse."""

from __future__ import annotations

from fractions import Fraction as F

import pytest

from collapse import derive, workflows
from tests.plans import NAMED


def test_discard_reads_the_latest_batch_alone():
    assert workflows.discard(3).exact_weight().tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]


def test_augment_reads_every_batch_whole_and_alike():
    plan = workflows.augment(3)
    assert plan.exact_weight().tolist() == [[1, 0, 0], [F(1, 2), F(1, 2), 0], [F(1, 3), F(1, 3), F(1, 3)]]
    assert plan.reads_whole_batches


def test_subsample_reads_the_share_1_over_g_of_every_batch():
    plan = workflows.subsample(3)
    assert plan.exact_weight().tolist() == workflows.augment(3).exact_weight().tolist()
    assert plan.exact_kept()[:, 0].tolist() == [1, F(1, 2), F(1, 3)]
    assert plan.reads(12).sum(axis=1).tolist() == [12, 12, 12]


@pytest.mark.parametrize("name", NAMED)
def test_each_batch_is_drawn_from_the_fit_before_and_has_n_rows(name):
    plan = NAMED[name](4)
    assert plan.name == name
    assert plan.source.tolist() == [0, 1, 2, 3]
    assert plan.rows(10).tolist() == [10, 10, 10, 10]


@pytest.mark.parametrize("name", NAMED)
def test_one_generation_has_ratio_one(name):
    assert derive(NAMED[name](1), exact=True).ratio.tolist() == [1]


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("generations", [0, -1, 2.0, "3", None, True])
def test_generations_must_be_a_positive_whole_number(name, generations):
    with pytest.raises(ValueError, match=r"generations \(number of fits\) must be a whole number, at least 1; it is"):
        NAMED[name](generations)


@pytest.mark.parametrize("name", NAMED)
def test_a_hundred_thousand_generations_take_short_arrays(name):
    assert derive(NAMED[name](100_000)).ratio.shape == (100_000,)


@pytest.mark.parametrize("workflow", [workflows.discard, workflows.augment])
def test_schedules_may_outgrow_64_bits(workflow):
    # the pool under augment is 2^(g - 1): each batch adds 1 / 2^g
    ratio = derive(workflow(70, size=[2**b for b in range(69)]), exact=True).ratio
    assert ratio[-1] == (3 - F(1, 2**68) if workflow is workflows.discard else F(3, 2) - F(1, 2**70))
