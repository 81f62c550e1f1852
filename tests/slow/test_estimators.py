"""Five estimators on three tables under two workflows: plain loops lie in the bands of their
forecasts as often as bands of nine tenths say, and the means agree.
"""

import pytest

from tests.retrained import ESTIMATORS, check, tables


@pytest.mark.parametrize("workflow", ["discard", "augment"])
@pytest.mark.parametrize("table", sorted(tables()))
@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.filterwarnings("ignore:lbfgs failed to converge")
def test_the_plain_loops_lie_in_the_band(name: str, table: str, workflow: str) -> None:
    check(name, table, workflow, G=4, replications=80, runs=40)
