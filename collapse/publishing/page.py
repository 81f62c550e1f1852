"""A chapter's own voice: its parameters, the numbers in its prose, its tables, its figures."""

from __future__ import annotations

import re
from ast import literal_eval
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from textwrap import fill
from types import EllipsisType
from typing import TYPE_CHECKING, Any

import numpy as np

from collapse.checks import GRAMMARS, counted, without
from collapse.datasets import Dataset, with_intercept
from collapse.derivation import derive
from collapse.models import LogisticRegression
from collapse.publishing import figures, panel, plot

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from collapse.plan import Plan
    from collapse.reservoir import Reservoir
    from collapse.risk import Risk

__all__ = [
    "Page",
    "Table",
    "beside",
    "compared",
    "farthest",
    "grid",
    "last_ratio",
    "observed",
    "panel",
    "plot",
    "refused",
    "stack",
    "with_intercept",
    "within",
]
"""What a chapter imports, in one line."""

_STATED = re.compile(r"^(\w+) = \S+  # from (\S+) to ([^\s,]+)", re.MULTILINE)


class Page:
    """A chapter while it runs.

    Parameters
    ----------
    name : str
        The chapter's name; the keys of the numbers in its prose begin with it.
    space : mapping of str to object, optional
        Where the values of the parameters stand by name: a chapter's `globals()`.
    **ranges : tuple of (least, most)
        The parameters, each checked by `collapse.publishing.figures.parameter`. Where none is
        given they are those that the chapter's cells state, as lines `n = 400  # from 20 to 5_000`;
        `In`, among the globals, holds the cells that ran.

    Raises
    ------
    ValueError
        If a parameter lies outside its range.

    Examples
    --------
    >>> seed, n = 7, 400
    >>> page = Page("golden", globals(), seed=(0, 2**32), n=(20, 5_000))
    >>> page.parameters
    {'seed': 7, 'n': 400}
    """

    def __init__(
        self, name: str, space: Mapping[str, Any] | None = None, /, **ranges: tuple[float, float]
    ) -> None:
        space = {} if space is None else space
        ranges = ranges or _stated("\n".join(space.get("In", ())))
        self.name = name
        self.parameters = {key: space[key] for key in ranges}
        self._told: dict[str, Any] = {}
        self._held = 0
        for key, (least, most) in ranges.items():
            figures.parameter(key, self.parameters[key], least, most)

    def say(self, /, *of: Any, **numbers: Any) -> None:
        """Hand numbers to the prose, under the chapter's name, what they are `of`, and their own,
        joined by "_".

        Whole numbers are written with separators from 1,000 on, but for seeds; text stays as it
        is; all else is a float, which the prose itself rounds.
        """
        with without(GRAMMARS):
            import myst_nb.ext.glue

        for key, value in numbers.items():
            name, number = "_".join(map(str, (*of, key))), _own(value)
            self._told[name] = number
            myst_nb.glue(f"{self.name}_{name}", _spoken(name, number), display=False)

    def figure(
        self,
        label: str,
        draw: Callable[..., object],
        numbers: Mapping[str, Any],
        /,
        *,
        panels: int | tuple[int, int] | None = None,
        x: str | None = None,
        y: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        seed: int | EllipsisType | None = ...,
        height: float = 3.2,
        narrow_height: float = 3.0,
        **shared: Any,
    ) -> figures.Bundle:
        """Write a figure's bundle by `collapse.publishing.figures.write`.

        Parameters
        ----------
        label : str
            As there.
        draw : callable
            Draws on the axes it is given, one argument each; on the figure where there is no
            `panels`.
        numbers : mapping of str to sequence
            Columns of the CSV.
        panels : int or tuple of two int, optional
            Axes side by side, or rows and columns of them: stacked, or transposed, where the figure
            is narrow. A grid is handed over as one array, shape (rows, columns).
        x, y : str, optional
            Names of the axes, once for the whole figure.
        parameters : mapping, optional
            What it depends on besides the chapter's parameters.
        seed : int or None
            By default the chapter's; None where nothing is simulated.
        height, narrow_height : float
            In inches.
        **shared
            Passed on to `Figure.subplots`: sharex, sharey, width_ratios, ...
        """

        def drawn(figure: Figure) -> None:
            if panels is None:
                draw(figure)
            elif isinstance(panels, int):
                draw(*(axes := plot.panels(figure, panels, **shared)))
                _letter(axes)
            else:
                draw(axes := grid(figure, *panels, **shared))
                _letter(axes.flat)
            for place, text in ((figure.supxlabel, x), (figure.supylabel, y)):
                if text is not None:
                    place(text, fontsize=9, color=plot.ink())
            _say_once(figure)

        return figures.write(
            label,
            drawn,
            numbers=numbers,
            parameters=self.parameters | dict(parameters or {}),
            seed=self.parameters.get("seed") if isinstance(seed, EllipsisType) else seed,
            height=height,
            narrow_height=narrow_height,
        )

    def claims(self, held: Mapping[str, Any], /) -> None:
        """Stop where something that the chapter claims does not hold at its parameters.

        Parameters
        ----------
        held : mapping of str to bool
            The claims, as sentences, and whether each holds.

        Raises
        ------
        AssertionError
            Names the claims that do not hold, and the parameters.

        Examples
        --------
        >>> Page("golden", {"n": 4}, n=(1, 9)).claims({"four is even": True, "four is odd": False})
        Traceback (most recent call last):
        AssertionError: at n = 4 it does not hold that four is odd.
        """
        self._held += len(held)
        failed = [claim for claim, holds in held.items() if not holds]
        if failed:
            at = ", ".join(f"{key} = {value!r}" for key, value in self.parameters.items())
            raise AssertionError(f"at {at} it does not hold that {'; that '.join(failed)}.")

    def colophon(self) -> figures.Colophon:
        """Say the parameters that nothing was said of yet; the line that closes the page.

        All numbers that were said, and how many claims held, are written beside the figures, as
        NAME-prose.csv: one row, a column for each.
        """
        self.say(**{key: v for key, v in self.parameters.items() if key not in self._told})
        told = self._told | ({"claims that held": self._held} if self._held else {})
        if told:
            figures.tell(f"{self.name}-prose", {key: [value] for key, value in told.items()})
        return figures.colophon(self.parameters.get("seed"))


@dataclass(frozen=True)
class Table:
    """A table for readers; its text is Markdown, and may hold formulas.

    Attributes
    ----------
    columns : mapping of str to str
        Head of each column, and how its numbers are formatted; "" for text, aligned left.
    rows : sequence of sequence
        Text stays as it is; a pair is a value and its error.

    Examples
    --------
    >>> Table({"policy": "", "ratio": ".2f"}, [("augment", 1.625), ("measured", (1.63, 0.012))])
    | policy | ratio |
    |:--|--:|
    | augment | 1.62 |
    | measured | 1.63 ± 0.01 |
    """

    columns: Mapping[str, str]
    rows: Sequence[Sequence[Any]]

    def __repr__(self) -> str:
        sides = ["--:" if how else ":--" for how in self.columns.values()]
        body = [
            [_entry(value, how) for value, how in zip(row, self.columns.values(), strict=True)]
            for row in self.rows
        ]
        lines = [" | ".join(self.columns), "|".join(sides), *map(" | ".join, body)]
        return "\n".join(f"|{line}|" if line == lines[1] else f"| {line} |" for line in lines)

    def _repr_markdown_(self) -> str:
        return repr(self)


def _letter(axes: Iterable[Axes]) -> None:
    """Letter the panels of a figure that has several, as its caption calls them."""
    several = list(axes)
    for letter, ax in zip("abcdefghijkl", several if len(several) > 1 else (), strict=False):
        ax.annotate(
            letter, (0, 1), (-5, 5), "axes fraction", "offset points", ha="right", weight="bold"
        )


def grid(figure: Figure, rows: int, columns: int, **shared: Any) -> Any:
    """Axes in rows and columns, shape (rows, columns); on a narrow figure the other way round."""
    if plot.is_wide(figure):
        return figure.subplots(rows, columns, squeeze=False, **shared)
    turned = {"width_ratios": "height_ratios", "height_ratios": "width_ratios"}
    shared = {turned.get(name, name): how for name, how in shared.items()}
    for name in shared.keys() & {"sharex", "sharey"}:
        shared[name] = {"row": "col", "col": "row"}.get(shared[name], shared[name])
    return figure.subplots(columns, rows, squeeze=False, **shared).T


def stack(
    tables: Iterable[Mapping[str, Any] | Sequence[Any]], names: Sequence[str] = ()
) -> dict[str, list[Any]]:
    """Write tables one below the other; a column that a table does not have is empty there.

    Parameters
    ----------
    tables : iterable of mapping of str to sequence, or of sequence of sequence
        Columns by name, or in the order of `names`; what is not a sequence is repeated in every row
        of its table.
    names : sequence of str, optional
        Names of the columns, where the tables do not give them.

    Examples
    --------
    >>> stack([{"workflow": "discard", "g": [1, 2]}, {"workflow": "augment", "g": [1]}])
    {'workflow': ['discard', 'discard', 'augment'], 'g': [1, 2, 1]}
    >>> stack([("discard", [1, 2]), ("augment", [1])], ("workflow", "g"))
    {'workflow': ['discard', 'discard', 'augment'], 'g': [1, 2, 1]}
    >>> stack([{"panel": "a", "g": [1]}, {"panel": "b", "n": [20]}])
    {'panel': ['a', 'b'], 'g': [1, None], 'n': [None, 20]}
    """
    columns: dict[str, list[Any]] = {}
    above = 0
    for given in tables:
        table = given if isinstance(given, Mapping) else dict(zip(names, given, strict=True))
        length = max(np.size(values) for values in table.values())
        for name, values in table.items():
            row = list(values) if np.ndim(values) else [values] * length
            if len(row) != length:
                raise ValueError(
                    f"column {name!r} has {counted(len(row), 'row')} beside one of {length};"
                    " give columns of a"
                    " table one length, or a single value to repeat."
                )
            columns.setdefault(name, [None] * above).extend(row)
        above += length
        for column in columns.values():
            column.extend([None] * (above - len(column)))
    return columns


def beside(derived: Risk, simulated: Risk) -> dict[str, Any]:
    """Columns of a table: the ratio as it is derived, and simulated, by generation."""
    return {
        "generation": derived.generations,
        "derived": derived.ratio,
        "simulated": simulated.ratio,
        "standard error": simulated.stderr,
    }


def compared(
    names: Sequence[str], derived: Mapping[Any, Risk], simulated: Mapping[Any, Risk]
) -> dict[str, list[Any]]:
    """Tables of `beside` for all keys of `simulated`, one below the other; the parts of a key
    stand in columns of these names.
    """
    keys = {key: key if isinstance(key, tuple) else (key,) for key in simulated}
    return stack(
        dict(zip(names, parts, strict=True)) | beside(derived[key], simulated[key])
        for key, parts in keys.items()
    )


def farthest(derived: Mapping[Any, Any], simulated: Mapping[Any, Any]) -> float:
    """How far the simulated ratio is from the derived one at most, in standard errors, over the
    keys of `simulated` and all generations but the first; `derived` may hold bare ratios.
    """
    laws = {key: getattr(law, "ratio", law) for key, law in derived.items()}
    return max(
        float(np.max(abs(risk.ratio - laws[key])[1:] / risk.stderr[1:]))
        for key, risk in simulated.items()
    )


def within(seen: Any, error: Any, line: Any, part: float = 0.0) -> bool:
    """Whether all that is seen lies within 5 standard errors, and a part of the line, of the line.

    Examples
    --------
    >>> within([1.0, 2.3], [0.0, 0.1], [1, 2]), within([1.0, 2.7], [0.0, 0.1], [1, 2], part=0.05)
    (True, False)
    """
    apart = np.abs(np.subtract(seen, line)) - 5 * np.asarray(error) - part * np.abs(line)
    return bool(np.all(apart <= 1e-9))


def last_ratio(plan: Plan | Reservoir, **at: Any) -> float:
    """The risk ratio of the last generation, as `derive` has it."""
    return float(derive(plan, **at).ratio[-1])


def observed(
    table: Dataset, make: Any = LogisticRegression, *, judged: bool = True, **how: Any
) -> Any:
    """A regression with an intercept on the real rows of the published split; its risk is the loss
    on the test rows, or on the real ones where it is not `judged`.
    """
    X, y, X_test, y_test = table.split()
    test = (with_intercept(X_test), y_test) if judged else None
    return make(with_intercept(X), y=y, test=test, **how)


@contextmanager
def refused(width: int = 62, indent: str = "") -> Iterator[None]:
    """Print the sentence in which what is done here is refused.

    Examples
    --------
    >>> with refused():
    ...     figures.parameter("share", 1.5, 0.1, 0.9)
    parameter share must be a number from 0.1 to 0.9; it is 1.5.
    """
    try:
        yield
    except ValueError as error:
        print(fill(str(error), width, initial_indent=indent, subsequent_indent=indent))
    else:
        raise AssertionError("this was to be refused, and was not")


def _stated(code: str) -> dict[str, tuple[float, float]]:
    """Ranges that the lines of a parameters cell state."""
    return {key: (_bound(least), _bound(most)) for key, least, most in _STATED.findall(code)}


def _bound(text: str) -> Any:
    """A number as it is written, perhaps as a power: 5_000, 0.1, 2**32."""
    base, _, power = text.partition("**")
    return literal_eval(base) ** int(power or 1)


def _own(value: Any) -> Any:
    """A value in one of Python's own types."""
    value = value.item() if isinstance(value, (np.generic, np.ndarray)) else value
    return float(value) if isinstance(value, Fraction) else value


def _spoken(key: str, value: Any) -> Any:
    whole = isinstance(value, int) and abs(value) >= 1000 and "seed" not in key
    return f"{value:,}" if whole else value


def _entry(value: Any, how: str) -> str:
    if isinstance(value, tuple):
        return " ± ".join(_entry(part, how) for part in value)
    return value if isinstance(value, str) else format(value, how)


def _say_once(figure: Figure) -> None:
    """Of axes that share a scale only the outer ones keep its name."""
    for ax in figure.axes:
        place = ax.get_subplotspec()
        if place is None:
            continue
        if not place.is_first_col() and len(ax.get_shared_y_axes().get_siblings(ax)) > 1:
            ax.set_ylabel("")
        if not place.is_last_row() and len(ax.get_shared_x_axes().get_siblings(ax)) > 1:
            ax.set_xlabel("")
