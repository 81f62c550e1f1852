"""How often the interval of kappa holds it, over many chains of least squares; and its width
beside that of somebody who knows the floor and the degrees of freedom.
"""

import numpy as np
import pytest

import collapse
from collapse.auditing.courses import course_of, law_of, plan_of
from collapse.auditing.laws import Unknowns
from tests.logged import KINDS, Kind, N, losses

CHAINS, GENERATIONS, LEVEL = 100, 8, 0.95


def oracle(kind: Kind, rng: np.random.Generator) -> float:
    """Width of an interval, as the ratio of its ends, that knows nu and how the test set adds: by
    the distribution of the most likely scale in that one world.
    """
    course = course_of(
        plan_of(kind.workflow, GENERATIONS, "workflow"), np.arange(1, GENERATIONS + 1)
    )
    known = Unknowns(
        np.array([float(kind.coefficients)]), np.array([2 * N / kind.test_rows]), np.zeros(1)
    )
    law = law_of(course, known, np.ones(GENERATIONS), True)
    drawn = law.draw(0, (20_000, 1), rng)
    low, high = np.quantile(law.fit(drawn)[1][:, 0, -1], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(high / low)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind.workflow} {kind.coefficients}")
def test_the_interval_of_kappa_holds_it(kind: Kind) -> None:
    """At least 94 of 100 chains."""
    seed = KINDS.index(kind)
    held, widths = 0, []
    for k, log in enumerate(losses(kind, CHAINS, GENERATIONS, 1000 + seed)):
        answer = collapse.audit(
            log, kind.workflow, N, against=["discard", "augment"], replications=100, rng=k
        )
        low, high = answer.kappa_interval
        held += low <= kind.coefficients / 2 <= high
        widths.append(high / max(low, 1e-12))
    best = oracle(kind, np.random.default_rng(seed))
    told = (
        f"the ends of the interval differ by a factor of {np.median(widths):.3g}, the oracle's by"
    )
    print(f"{held} of {CHAINS} intervals hold kappa; {told} {best:.3g}")
    assert held >= 0.94 * CHAINS
    assert np.median(widths) > best
