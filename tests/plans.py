"""Plans that several tests share."""

from __future__ import annotations

from fractions import Fraction as F

import numpy as np
from hypothesis import strategies as st

from collapse import Plan, workflows

NAMED = {
    "discard": workflows.discard,
    "augment": workflows.augment,
    "subsample": workflows.subsample,
}

ZOO = {
    "discard": workflows.discard,
    "discard, growing batches": lambda G: workflows.discard(
        G, size=[F(g + 1, 2) for g in range(1, G)]
    ),
    "augment": workflows.augment,
    "augment, half batches": lambda G: workflows.augment(G, size=F(1, 2)),
    "augment, growing batches": lambda G: workflows.augment(G, size=list(range(1, G))),
    "subsample": workflows.subsample,
    "subsample with replacement": lambda G: workflows.subsample(G, replace=True),
    "bootstrap": lambda G: workflows.bootstrap(G, F(1, 2)),
    "window": lambda G: workflows.window(G, k=3),
    "fixed real share": lambda G: workflows.fixed_real_share(G, F(1, 4)),
    "real and window": lambda G: workflows.real_and_window(G, k=2),
    "real and average": lambda G: workflows.real_and_average(G, F(1, 3)),
    "fresh real": lambda G: workflows.fresh_real(G, F(1, 3), kappa=2),
    "golden": workflows.fresh_real,
    "mixture": workflows.mixture,
    "forgetting": lambda G: workflows.forgetting(G, F(1, 2)),
    "ring": lambda G: workflows.ring(G, 3, F(1, 5)),
    "star": lambda G: workflows.star(G, 4, F(1, 5)),
    "star, private batches": lambda G: workflows.star(G, 3, published=False),
    "all to all": lambda G: workflows.all_to_all(G, 3, F(1, 5)),
    "all to all, private batches": lambda G: workflows.all_to_all(G, 2, published=False),
}
"""Every named workflow that is a plan, with parameters; sizes are multiples of 1/2 or, in the
mixture, of 1/(g - 1).
"""

SOURCE = [0, 1, 1, 2, 0, 3]
SIZE = [1, 2, F(1, 2), 1, F(1, 2), F(3, 2)]
WEIGHT = [
    [1, 0, 0, 0, 0, 0],
    [F(1, 4), F(1, 2), F(1, 4), 0, 0, 0],
    [0, F(1, 4), F(1, 4), F(1, 2), 0, 0],
    [F(1, 8), 0, F(1, 8), F(1, 4), F(1, 4), F(1, 4)],
]
KEPT = [
    [1, 1, 1, 1, 1, 1],
    [F(1, 2), 1, F(1, 2), 1, 1, 1],
    [1, F(1, 3), 1, F(3, 4), 1, 1],
    [1, 1, F(1, 2), 1, 1, F(1, 6)],
]


def typed(*, partly: bool, replace: bool = False) -> Plan:
    """Four fits on six batches of several sizes, two of them from one fit, two of them real; read
    whole or partly.
    """
    return Plan(SOURCE, SIZE, WEIGHT, KEPT if partly else None, replace=replace, name="typed")


def dense(plan: Plan) -> Plan:
    """The same plan without its recursion."""
    tables = (
        (plan.exact_size(), plan.exact_weight(), plan.exact_kept())
        if plan.rational
        else (plan.size, plan.weight, plan.kept)
    )
    return Plan(plan.source, *tables, replace=plan.replace, name=plan.name)


def private(plan: Plan) -> Plan:
    """A plan in which every fit reads batches drawn for it alone: nothing overlaps."""
    reads = np.argwhere(plan.weight > 0)
    weight, kept = np.zeros((2, plan.generations, len(reads)))
    for column, (g, b) in enumerate(reads):
        weight[g, column], kept[g, column] = plan.weight[g, b], plan.kept[g, b]
    return Plan(
        plan.source[reads[:, 1]],
        plan.size[reads[:, 1]],
        weight,
        kept,
        name=f"{plan.name}, private batches",
    )


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Random rational plans of up to four fits and six batches."""
    G = draw(st.integers(1, 4))
    source = [0, *draw(st.lists(st.integers(0, G), max_size=5))]
    size = draw(
        st.lists(
            st.fractions(F(1, 4), 3, max_denominator=6), min_size=len(source), max_size=len(source)
        )
    )
    weight, kept = [], []
    for g in range(G):
        row = [draw(st.integers(0, 3)) if s <= g else 0 for s in source]
        row[0] += not any(row)
        weight.append([F(w, sum(row)) for w in row])
        kept.append([draw(st.sampled_from([F(1), F(1, 2), F(2, 3), F(1, 7)])) for _ in source])
    return Plan(source, size, weight, kept, replace=draw(st.booleans()), name="random")
