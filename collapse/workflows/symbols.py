"""What closed forms are made of: sympy, the symbol g, random walks, renewal sequences."""

from functools import cache
from typing import Any

from collapse.checks import module

Form = dict[str, Any]


@cache
def sympy() -> Any:
    """Return sympy.

    Raises
    ------
    ImportError
        Where it is missing: install collapse-companion[symbolic].
    """
    return module("sympy", "closed forms need sympy: pip install 'collapse-companion[symbolic]'.")


def generation() -> Any:
    """Return the symbol g, a positive whole number."""
    return sympy().Symbol("g", integer=True, positive=True)


def indices(names: str) -> Any:
    """Return symbols of whole numbers for sums."""
    return sympy().symbols(names, integer=True, positive=True)


def trigamma(x: Any) -> Any:
    """polygamma(1, x); of a large whole number sympy would add up that many terms."""
    return sympy().polygamma(1, x, evaluate=not (x.is_Integer and x > 1000))


def walk(g: Any, step: Any, reference: str) -> Form:
    """A random walk: every generation after the first adds the same."""
    return {
        "ratio": 1 + (g - 1) * step,
        "limit": sympy().oo,
        "growth": g * step,
        "offset": 1 - step,
        "reference": reference,
    }


def bounded(ratio: Any, limit: Any, reference: str, bound: Any = None) -> Form:
    """A ratio with a limit."""
    return {"ratio": ratio, "limit": limit, "reference": reference, "bound": bound}


@cache
def renewal() -> Any:
    """Return the sympy function u(j, k, N) of windows.

    u(0) = 1, u(j) = (u(j - 1) + ... + u(j - k)) / N, and 0 for negative j: the probability that a
    walk with steps uniform on 1, ..., k, each made with probability k/N, hits j.
    """
    sp = sympy()

    class u(sp.Function):  # type: ignore[misc, name-defined]
        nargs = 3

        def _eval_rewrite_as_Sum(self, j: Any, k: Any, N: Any, **_: Any) -> Any:
            i = sp.Symbol("i", integer=True, nonnegative=True)

            def a(j: Any) -> Any:
                return sp.Sum(
                    sp.binomial(j - k * i, i) * (-1 / N) ** i * (1 + 1 / N) ** (j - (k + 1) * i),
                    (i, 0, sp.floor(j / (k + 1))),
                )

            return a(j) - a(j - 1)

        def _latex(self, printer: Any, **_: Any) -> str:
            return f"u_{{{printer._print(self.args[0])}}}"

    return u


def contributions(g: Any, k: Any, N: Any) -> Any:
    """Sum of squares of the contributions where each fit reads N batches, the last k of them
    synthetic, and all while they are fewer.
    """
    sp, u = sympy(), renewal()
    b, m, j = indices("b m j")
    early = u(g - b + 1, k, N) + sp.Sum((N - m) * u(g - m, k, N), (m, b, N - 1)) / (b * N)
    late = sp.Sum(u(j, k, N) ** 2, (j, 1, sp.Max(g - N + 1, 0)))
    return 1 + sp.Sum(early**2, (b, 2, sp.Min(N - 1, g))) + late
