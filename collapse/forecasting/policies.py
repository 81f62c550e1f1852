"""What a forecast is asked about: workflows, shares of real rows, and an outsider's rows."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import chain
from typing import Any

import numpy as np

from collapse import workflows
from collapse.checks import brief, check_number, is_number, require, to_text, whole
from collapse.forecasting.common import Array
from collapse.plan import Plan, checked_plan
from collapse.reservoir import Reservoir

Plans = dict[str, Plan | Reservoir]

LONGEST = 5000
"""Most generations."""
GENERATIONS = 20
"""Number of fits where nothing is said."""


def share_of(share: object) -> str:
    """Return a share as it is written in the name of a workflow."""
    try:
        text = share if isinstance(share, str) else to_text(check_number(share, "real_share"))
        workflows.named(f"fixed_real_share(share={text})", 1)
    except ValueError as error:
        raise ValueError(
            f"real_share must be a number from 0 to 1, or text such as '1/4'; it is {brief(share)}."
        ) from error
    return text


def plans_of(workflow: object, against: object, generations: int | None) -> Plans:
    """Return the workflows by name, the one asked for first."""
    kinds = (str, Plan, Reservoir)
    others = [against] if isinstance(against, kinds) else against
    if not isinstance(others, Sequence) or isinstance(others, (bytes, bytearray)):
        wanted = "a workflow or a list of them, such as ['discard', 'window(k=3)']"
        raise ValueError(f"against must be {wanted}; it is {brief(against)}.")
    given: list[tuple[str, Any]] = []
    for one in chain([workflow], others):
        given.append(("against: " if given else "", one))
        if not isinstance(one, kinds):
            raise ValueError(
                f"{given[-1][0]}a workflow must be a name such as 'augment' or 'window(k=3)', or a "
                f"Plan or Reservoir; it is {brief(one)}."
            )
    lengths = [len(np.unique(one.generation)) for _, one in given if not isinstance(one, str)]
    asked = [*lengths, GENERATIONS][0] if generations is None else generations
    G, plans = whole(asked, "generations", "number of fits", most=LONGEST), Plans()
    for where, one in given:
        try:
            plan = workflows.named(one, G) if isinstance(one, str) else one
            _check_plan(plan, G)
        except ValueError as error:
            raise ValueError(f"{where}{error}") from error
        require(
            plans.setdefault(plan.name, plan).to_json() == plan.to_json(),
            f"two different workflows are called {plan.name!r}; give one of them another name.",
        )
    return plans


def _check_plan(plan: Plan | Reservoir, generations: int) -> None:
    labels = len(np.unique(plan.generation))
    require(
        labels == generations,
        f"{plan.name} has {labels} generations, and {generations} are asked for; make all"
        " workflows equally long.",
    )
    real = plan.real_sizes()
    require(
        plan.generations == generations,
        f"{plan.name} needs several models, and there is one; collapse.derive tells its ratio,"
        " which does not depend on the data.",
    )
    require(
        real[0] == 1,
        f"{plan.name} has a real batch of {float(real[0]):g} times the"
        " real rows, and there are just these; make its size 1.",
    )


def buys(plan: Plan | Reservoir) -> bool:
    """Whether a workflow reads real rows beside those that there are."""
    return len(plan.real_sizes()) > 1


def scheduled(shares: Sequence[Any]) -> Plan:
    """Return the workflow of a share of real rows for each generation: the latest synthetic batch
    has the rest. The first share is that of generation 2.

    Examples
    --------
    >>> scheduled([0.5, 0]).weight.tolist()
    [[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.0, 0.0, 1.0]]
    """
    exact = [Fraction(share_of(share)) for share in shares]
    G = 1 + whole(len(exact), "real_share", "shares, one for each generation", most=LONGEST - 1)
    weight = [[Fraction(0)] * G for _ in range(G)]
    weight[0][0] = Fraction(1)
    for g, share in enumerate(exact, 1):
        weight[g][0] += share
        weight[g][g] += 1 - share
    some = ", ".join(map(str, exact[:4])) + ", ..." * (len(exact) > 4)
    return Plan(range(G), [1] * G, weight, name=f"real shares {some}")


def with_outsider(plan: Plan | Reservoir, share: float) -> Plan:
    """Return the workflow with so much of every weight but the first fit's on a fresh batch of n
    rows that an outsider labels, and the rest as before.

    To the variance an outsider's batch is a real one: it depends on no fit.
    """
    checked_plan(plan, "workflow", " A reservoir's memory has no place for an outsider's rows.")
    assert isinstance(plan, Plan)
    G, B = plan.generations, plan.batches
    weight = np.zeros((G, B + G - 1))
    weight[:, :B] = plan.weight * np.where(np.arange(G) > 0, 1 - share, 1.0)[:, None]
    weight[np.arange(1, G), B + np.arange(G - 1)] = share
    kept = np.ones(weight.shape)
    kept[:, :B] = plan.kept
    source, size = np.append(plan.source, np.zeros(G - 1, np.int64)), np.ones(G - 1)
    return Plan(
        source,
        np.append(plan.size, size),
        weight,
        kept,
        replace=plan.bootstraps,
        name=plan.name,
    )


def inherited(plan: Plan, share: float) -> Array:
    """Return the part of an outsider's bias that each fit has, (G,): its own share, and what its
    sources have.

    Examples
    --------
    Under discard with a tenth from outside the bias comes nearer and nearer to the whole:

    >>> import collapse
    >>> plan = with_outsider(collapse.workflows.discard(4), 0.1)
    >>> inherited(plan, 0.1).round(3).tolist()
    [0.0, 0.1, 0.19, 0.271]
    """
    own = np.where(np.arange(plan.generations) > 0, share, 0.0)
    return np.asarray(np.linalg.solve(np.eye(plan.generations) - plan.feedback(), own))


def outsider_of(value: Any) -> tuple[float, float] | None:
    """Return an outsider's share of the weight and its excess loss."""
    if value is None:
        return None
    wanted = (
        "outsider must be (share, excess): the share of each later training set's weight that its"
        " rows have, above 0 and at most 1, and how far its own loss is above the least there is,"
        f" in units of the loss, such as (0.1, 0.02); it is {brief(value)}."
    )
    pair = isinstance(value, (tuple, list)) and len(value) == 2
    require(pair and all(map(is_number, value)), wanted)
    share, excess = map(float, value)
    require(0 < share <= 1 and 0 <= excess < np.inf, wanted)
    return share, excess
