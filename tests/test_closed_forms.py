"""Closed forms: equal to derive in rational arithmetic, their limits and growth against derive far
out and against sympy.
"""

from __future__ import annotations

import sys
from fractions import Fraction as F
from itertools import product

import numpy as np
import pytest
import sympy as sp

from collapse import ClosedForm, Plan, closed_form, closed_forms, derive, workflows
from collapse.workflows import (
    all_to_all,
    augment,
    bootstrap,
    discard,
    fixed_real_share,
    forgetting,
    fresh_real,
    mixture,
    real_and_average,
    real_and_window,
    reservoir,
    ring,
    star,
    subsample,
    window,
)

G = 60
SIZES = [F(1 + (7 * i) % 11, 3) for i in range(G - 1)]
SHARES = (0, F(1, 7), F(1, 3), F(4, 5), 1)
MODELS = (2, 3, 5)
g = closed_forms.generation()

PLANS = {
    plan.name: plan
    for plan in [
        *(make(G, size) for make in (discard, augment) for size in (1, 2, F(2, 3), F(1, 4), SIZES)),
        subsample(G),
        subsample(G, replace=True),
        *(bootstrap(G, share) for share in (1, F(1, 3))),
        *(window(G, k) for k in (1, 2, 3, 4, 7, 13, 60, 61)),
        *(real_and_window(G, k) for k in (1, 2, 3, 4, 12, 59, 60)),
        *(make(G, share) for make in (fixed_real_share, real_and_average) for share in SHARES),
        *(fresh_real(G, share, kappa) for share, kappa in product(SHARES, (1, F(5, 2)))),
        mixture(G),
        *(forgetting(G, memory) for memory in (0, F(1, 2), F(9, 10))),
        *(ring(G, models, share) for models, share in product(MODELS, SHARES)),
        *(
            make(G, *rest)
            for make in (all_to_all, star)
            for rest in product(MODELS, (0, F(1, 3), 1), (True, False))
        ),
        *(reservoir(G, turnover) for turnover in (None, F(1, 4), 1)),
    ]
}


def form_of(plan: object, **parameters: object) -> ClosedForm:
    form = closed_form(plan, **parameters)  # type: ignore[arg-type]
    assert form is not None
    return form


def roles(plan: Plan) -> list[tuple[str | None, int]]:
    """Role and place in its generation of each kind of fit."""
    return [("hub", 0), ("leaf", -1)] if plan.name.startswith("star") else [(None, 0)]


def one_of_each(plan: Plan, values: np.ndarray, place: int) -> np.ndarray:
    return values.reshape(int(plan.generation[-1]), -1)[:, place]


@pytest.mark.parametrize("name", PLANS)
def test_the_closed_form_is_the_derived_ratio(name: str) -> None:
    plan = PLANS[name]
    derived = derive(plan, exact=True).ratio
    for role, place in roles(plan):
        form = form_of(plan, role=role)
        assert form.values(G, exact=True).tolist() == one_of_each(plan, derived, place).tolist()
        np.testing.assert_allclose(
            form.values(G), one_of_each(plan, derived, place).astype(float), rtol=1e-12
        )


@pytest.mark.parametrize("name", PLANS)
def test_one_generation_is_the_reference(name: str) -> None:
    for role, _ in roles(PLANS[name]):
        assert form_of(PLANS[name], role=role).values(1).tolist() == pytest.approx([1], rel=1e-12)
        assert form_of(PLANS[name], role=role).values(1, exact=True).tolist() == [1]


def test_every_workflow_has_a_closed_form_or_none() -> None:
    tested = {plan.recipe.workflow for plan in PLANS.values() if plan.recipe}
    assert tested == set(workflows.NAMED)
    assert closed_form(Plan([0], [1], [[1]])) is None


def test_a_wrong_parameter_shows() -> None:
    derived = derive(window(G, 4), exact=True).ratio.tolist()
    assert form_of("window", k=3).values(G, exact=True).tolist() != derived
    assert form_of("window", k=4).values(G, exact=True).tolist() == derived


FAR = 10_000
BOUNDED = [
    augment(FAR),
    augment(FAR, 3),
    augment(FAR, F(1, 4)),
    subsample(FAR),
    subsample(FAR, replace=True),
    fixed_real_share(FAR, F(1, 10)),
    *(real_and_window(FAR, k) for k in (1, 2, 3, 10)),
    real_and_average(FAR, 0),
    real_and_average(FAR, F(3, 4)),
    fresh_real(FAR),
    fresh_real(FAR, kappa=3),
    fresh_real(FAR, F(1, 10), F(1, 2)),
    mixture(200),
    *(make(FAR // 4, 4, F(1, 4)) for make in (ring, star, all_to_all)),
    *(make(FAR // 4, 3, F(1, 3), False) for make in (star, all_to_all)),
]


@pytest.mark.parametrize("plan", BOUNDED, ids=lambda plan: plan.name)
def test_the_limit_is_where_derive_is_going(plan: Plan) -> None:
    """Within 4/g of it, at three generations a factor of ten apart."""
    ratio = derive(plan).ratio
    for role, place in roles(plan):
        form, curve = form_of(plan, role=role), one_of_each(plan, ratio, place)
        assert form.growth is None
        for last in (len(curve) // 100, len(curve) // 10, len(curve)):
            assert abs(curve[last - 1] - float(form.limit)) <= max(4 / last, 1e-12)
        if form.bound is not None:
            assert curve.max() <= float(form.bound) * (1 + 1e-12)


COLLAPSING = [
    discard(FAR),
    discard(FAR, F(2, 3)),
    bootstrap(FAR),
    *(window(FAR, k) for k in (1, 2, 3, 5, 10)),
    forgetting(FAR, F(1, 2)),
    fresh_real(FAR, 0, 3),
    *(make(FAR // 2, 3) for make in (ring, star, all_to_all)),
    *(make(FAR // 2, 3, 0, False) for make in (star, all_to_all)),
    reservoir(FAR),
    reservoir(FAR, F(1, 4)),
]


@pytest.mark.parametrize("plan", COLLAPSING, ids=lambda plan: plan.name)
def test_the_growth_is_that_of_derive(plan: Plan) -> None:
    """Within a relative 40/g (0.5/log g for the reservoir), and within 4/g of the offset where that
    is known.
    """
    ratio = derive(plan).ratio
    for role, place in roles(plan):
        form, curve = form_of(plan, role=role), one_of_each(plan, ratio, place)
        assert form.limit == sp.oo
        for last in (len(curve) // 100, len(curve) // 10, len(curve)):
            growth = float(form.growth.subs(g, last))
            slack = 0.5 / np.log(last) if form.growth.has(sp.log) else 40 / last
            assert abs(curve[last - 1] / growth - 1) <= slack
            if form.offset is not None:
                assert abs(curve[last - 1] - growth - float(form.offset)) <= 4 / last


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("discard", {"size": 2}),
        ("augment", {}),
        ("augment", {"size": 3}),
        ("subsample", {}),
        ("bootstrap", {}),
        ("fixed_real_share", {"share": F(1, 3)}),
        ("real_and_window", {"k": 1}),
        ("fresh_real", {"share": F(1, 2)}),
        ("mixture", {}),
        ("reservoir", {}),
    ],
)
def test_limits_and_offsets_are_sympys(name: str, parameters: dict[str, object]) -> None:
    form = form_of(name, **parameters)
    assert sp.simplify(
        sp.limit(form.ratio, g, sp.oo) - form.limit
    ) == 0 or form.limit == sp.oo == sp.limit(form.ratio, g, sp.oo)
    if form.growth is not None:
        assert sp.simplify(sp.limit(form.ratio - form.growth, g, sp.oo) - form.offset) == 0


@pytest.mark.parametrize("k", [1, 2, 3, 6])
@pytest.mark.parametrize("more", [0, 1])
def test_the_renewal_sequence_and_its_explicit_sum(k: int, more: int) -> None:
    N = k + more
    u = [F(1)]
    for j in range(1, 30):
        u.append(sum(u[max(j - k, 0) :], F(0)) / N)
    for j in range(1, 30):
        explicit = (
            closed_forms.renewal()(sp.Integer(j), sp.Integer(k), sp.Integer(N))
            .rewrite(sp.Sum)
            .doit()
        )
        assert explicit == sp.Rational(u[j].numerator, u[j].denominator)


@pytest.mark.parametrize("k", range(1, 9))
def test_the_constants_of_windows(k: int) -> None:
    """The sum of u_j^2 - c^2 is -(k - 1)/(k + 1)^2 with c = 2/(k + 1); that of the squares with one
    batch fixed 2 (k + 1)/(k + 2).
    """
    u, w = [1.0], [1.0]
    for j in range(1, 4000):
        u.append(sum(u[max(j - k, 0) :]) / k)
        w.append(sum(w[max(j - k, 0) :]) / (k + 1))
    c = 2 / (k + 1)
    assert abs(sum(x * x - c * c for x in u[1:]) + (k - 1) / (k + 1) ** 2) < 1e-9
    assert abs(sum(x * x for x in w) - 2 * (k + 1) / (k + 2)) < 1e-9


SYMBOLS = [
    ("discard", {"size": F(5, 2)}),
    ("augment", {"size": F(5, 2)}),
    ("fixed_real_share", {"share": F(2, 7)}),
    ("real_and_average", {"share": F(2, 7)}),
    ("fresh_real", {"share": F(2, 7), "kappa": F(5, 2)}),
    ("forgetting", {"memory": F(2, 7)}),
    ("window", {"k": 5}),
    ("real_and_window", {"k": 5}),
    ("ring", {"models": 3, "share": F(2, 7)}),
    ("all_to_all", {"models": 3, "share": F(2, 7), "published": False}),
    ("star", {"models": 3, "share": F(2, 7)}),
    ("reservoir", {"turnover": F(2, 7)}),
]


@pytest.mark.parametrize(("name", "parameters"), SYMBOLS)
def test_symbols_give_the_formula_for_all_values(name: str, parameters: dict[str, object]) -> None:
    symbols = {
        key: value if isinstance(value, bool) else sp.Symbol(key, positive=True)
        for key, value in parameters.items()
    }
    general, special = form_of(name, **symbols), form_of(name, **parameters)
    put = {
        symbols[key]: special.parameters[key]
        for key in symbols
        if not isinstance(symbols[key], bool)
    }
    filled = ClosedForm(name, special.parameters, general.ratio.subs(put), None, general.reference)
    assert filled.values(12, exact=True).tolist() == special.values(12, exact=True).tolist()
    for of_all, of_one in (
        (general.limit, special.limit),
        (general.growth, special.growth),
        (general.offset, special.offset),
    ):
        if of_one is not None:
            # the half-open sums of a symbolic window are carried out once k is known
            assert (
                sp.simplify(sp.sympify(of_all).subs(put).doit() - of_one) == 0
                or of_all == of_one == sp.oo
            )
    with pytest.raises(ValueError, match="which has no value; give numbers in place of symbols"):
        general.values(3)


def test_floats_are_read_as_decimals() -> None:
    assert form_of(fixed_real_share(5, 0.1)).limit == sp.Rational(100, 19)
    assert form_of("discard", size=np.float64(0.5)).growth == 2 * g


def test_the_golden_weight_is_exact() -> None:
    form = form_of("fresh_real")
    assert form.limit == (sp.sqrt(5) - 1) / 2
    with pytest.raises(ValueError, match="exact=True needs rationals"):
        form.values(3, exact=True)
    assert form_of("fresh_real", kappa=2).limit == sp.Rational(1, 2)


def test_a_schedule_ends() -> None:
    form = form_of(augment(4, [2, 3, 4]))
    assert form.limit is None
    assert form.bound == 2
    with pytest.raises(ValueError, match=r"the schedule has 3 sizes, and 5 generations need 4"):
        form.values(5)


def test_nonsense_is_refused_in_words() -> None:
    for nonsense in ("augmented", "golden_share", 3, None):
        with pytest.raises(
            ValueError, match="workflow must be a Plan, a Reservoir or the name of one"
        ):
            closed_form(nonsense)  # type: ignore[arg-type]
    with pytest.raises(
        ValueError,
        match=r"window needs k, such as window\(k=...\)",
    ):
        closed_form("window")
    with pytest.raises(ValueError, match="augment has its parameters already; leave out size"):
        closed_form(augment(3), size=2)
    with pytest.raises(
        ValueError,
        match="role must be 'hub' or 'leaf', and belongs to star alone; it is 'hub' for ring",
    ):
        closed_form("ring", models=2, role="hub")
    with pytest.raises(ValueError, match="share must be a number, finite; it is '1/2'"):
        closed_form("fixed_real_share", share="1/2")
    with pytest.raises(ValueError, match=r"generations .* must be a whole number"):
        form_of("augment").values(0)


REFUSED = [
    ("fixed_real_share", {"share": -1}, r"share must lie in \[0, 1\]; it is -1"),
    ("fixed_real_share", {"share": None}, r"share must be a number"),
    ("fixed_real_share", {"share": True}, r"share must be a number"),
    ("fixed_real_share", {"share": sp.I}, r"share must be a real number or a symbol"),
    ("real_and_average", {"share": sp.Rational(3, 2)}, r"share must lie in \[0, 1\]; it is 3/2"),
    ("fresh_real", {"share": 2}, r"share must lie in \[0, 1\]"),
    ("fresh_real", {"kappa": 0}, "kappa must be a number, finite and greater than 0"),
    ("reservoir", {"turnover": 5}, r"turnover must lie in \(0, 1\]"),
    ("bootstrap", {"share": 0}, r"share must lie in \(0, 1\]"),
    ("forgetting", {"memory": 1}, r"memory must lie in \[0, 1\)"),
    ("discard", {"size": -1}, "size must be a number, finite and greater than 0"),
    ("augment", {"size": sp.oo}, "size must be a real number or a symbol"),
    ("augment", {"size": 10**400}, "size must be a number, finite and greater than 0"),
    ("augment", {"size": [1, -1]}, "size must be a number, finite and greater than 0; it is -1"),
    ("window", {"k": 0}, r"k \(batches in the window\) must be a whole number, at least 1"),
    ("window", {"k": 2.5}, r"k \(batches in the window\) must be a whole number"),
    ("ring", {"models": 1}, "models must be at least 2"),
    ("ring", {"models": 10**12}, "models .* can be 100,000 at most"),
    ("all_to_all", {"models": 10**5}, "needs 10,000,100,000 weights"),
    ("star", {"models": 3, "published": 1}, "published must be True or False"),
    (
        "ring",
        {"models": sp.Symbol("M", integer=True, positive=True), "share": 3},
        r"share must lie in \[0, 1\]",
    ),
]


@pytest.mark.parametrize(("name", "parameters", "words"), REFUSED)
def test_what_the_workflow_refuses_has_no_closed_form(
    name: str, parameters: dict[str, object], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        closed_form(name, **parameters)  # type: ignore[arg-type]


@pytest.mark.parametrize("rows", [10**3, 10**6, 10**40])
def test_batches_of_very_few_rows(rows: int) -> None:
    """The formula is not written out as so many terms; the limit nears 2."""
    form = form_of("augment", size=F(1, rows))
    assert float(form.limit) == pytest.approx(2 - 1 / (2 * rows) + 1 / (6 * rows**2), rel=1e-9)
    assert (
        form.values(3, exact=True).tolist()
        == derive(augment(3, F(1, rows)), exact=True).ratio.tolist()
    )


def test_too_many_generations_are_refused_before_anything_is_allocated() -> None:
    with pytest.raises(ValueError, match=r"generations .* can be 10,000,000 at most"):
        form_of("augment").values(10**12)
    with pytest.raises(ValueError, match=r"generations .* can be 10,000 at most"):
        form_of("augment").values(20_000, exact=True)
    with pytest.raises(
        ValueError, match=r"adds up 9,007,199,254,740,990 terms.*take a smaller window"
    ):
        form_of("window", k=2**53).values(3)


def test_sympy_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    closed_forms.sympy.cache_clear()
    monkeypatch.setitem(sys.modules, "sympy", None)
    with pytest.raises(ImportError, match=r"pip install 'collapse-companion\[symbolic\]'"):
        closed_form("augment")


def test_str_names_the_theorem() -> None:
    assert (
        str(form_of(workflows.subsample(3)))
        == "subsample(replace=False): ratio 3*harmonic(g, 2) - 2, limit -2 + pi**2/2"
        " (thm-origin-subsample)"
    )
