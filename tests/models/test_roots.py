"""Roots of many equations at once, against what is known of each."""

from __future__ import annotations

import numpy as np
import pytest

from collapse.models.families.base import decreasing_roots

LEVELS = np.array([1e-3, 0.5, 2.0, 100.0])


def logarithm(x, level):
    """log(level) - log(x), and Newton's step in x."""
    value = np.log(level) - np.log(x)
    return value, x + x * value


def steep(x, level):
    """Its tangents lead far out of any bracket."""
    value = np.arctan(level - x)
    return value, x + value * (1 + (level - x) ** 2)


@pytest.mark.parametrize("newton", [logarithm, steep])
def test_each_root_is_found(newton):
    roots = decreasing_roots(newton, np.ones(4), (1e-9, 1e9), (LEVELS,), (1e-12, 0.0), 200)
    np.testing.assert_allclose(roots, LEVELS, rtol=1e-11)


def test_a_root_does_not_depend_on_the_other_equations():
    together = decreasing_roots(logarithm, np.ones(4), (1e-9, 1e9), (LEVELS,), (1e-3, 0.0), 50)
    alone = [
        decreasing_roots(logarithm, np.ones(1), (1e-9, 1e9), (level,), (1e-3, 0.0), 50)[0]
        for level in LEVELS[:, None]
    ]
    assert together.tolist() == alone


def test_an_equation_that_is_not_solved_in_time_has_no_root():
    roots = decreasing_roots(logarithm, LEVELS * [1, 9, 9, 9], (1e-9, 1e9), (LEVELS,), (0, 0), 1)
    assert roots[0] == LEVELS[0]
    assert np.isnan(roots[1:]).all()


def test_a_step_that_leaves_the_bracket_halves_it():
    seen = []

    def away(x, level):
        seen.append(x[0])
        return level - x, x + np.sign(level - x) * 1e6

    roots = decreasing_roots(away, np.array([1.0]), (0.0, 16.0), (np.array([3.0]),), (0, 1e-9), 99)
    assert seen[:4] == [1.0, 8.5, 4.75, 2.875]
    assert roots[0] == pytest.approx(3, abs=1e-8)


def test_no_equations_have_no_roots():
    none = np.empty(0)
    assert decreasing_roots(logarithm, none, (none, none), (none,), (0, 1e-9), 9).shape == (0,)
