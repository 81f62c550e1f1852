"""A language model of n-grams: counted, smoothed, and read out at a temperature."""

from collections import Counter
from collections.abc import Sequence
from functools import cached_property, partial
from typing import Any, Final

import numpy as np

from collapse.checks import brief, check_number, choice, is_number, require, whole
from collapse.models.generators.base import Counting, Places, entropy
from collapse.models.protocols import Array, by_parts
from collapse.models.registry import register

LARGEST: Final = 2**17
"""Cells of the table of n-grams."""
RARE: Final = 0.1
"""Mass, in the truth, of the n-grams that are called rare."""

_rows = partial(register, group="whole rows", page="generators")
_SENTENCE: Final = "a banana and a bandana "


@_rows(
    "Bigrams of letters",
    at=(_SENTENCE, 2, 10),
    n=100,
    why="shares of successors after each letter: a smooth function of means of counts",
    allowance=0.1,
    effort=150,
)
@_rows(
    "Bigrams of letters at temperature 0.8",
    at=(_SENTENCE, 2, 10, 0, 0, 0.8),
    n=100,
    covered=False,
    why="rows are drawn from another law than was fitted: each generation sharpens it once more",
    effort=150,
)
@_rows(
    "Bigrams of letters, a tenth added",
    at=(_SENTENCE, 2, 10, 0.1),
    n=100,
    why="what is added to the counts is a bias of the order of 1 / n",
    allowance=0.12,
    effort=150,
)
@_rows(
    "Bigrams of letters, backed off",
    at=(_SENTENCE, 2, 10, 0, 1),
    n=100,
    why="what is added from single letters is a bias of the order of 1 / n",
    allowance=0.2,
    effort=150,
)
@_rows(
    "Bigrams of letters, likeliest 0.7",
    at=(_SENTENCE, 2, 10, 0, 0, 1, 0.7),
    n=100,
    covered=False,
    why="unlikely tokens are never drawn: each generation cuts them off once more",
    effort=150,
)
class NGram(Counting):
    """A language model that draws the next token by the last `order` - 1 of them.

    The truth counts a text, read as a ring. A row is a passage of tokens, integers from 0 in the
    order of `tokens`: it begins with a context drawn as often as the fit has met it, and goes on
    token by token. The fit holds the share of each context and, after each, that of each token,

        (count + add + backoff * share after the shorter context) / (sum of these).

    A context that was never read has no counts: there it is the shares after the shorter one. Risk
    is the excess Brier score of the next token, the squared error of its shares, over the truth's
    contexts. (The excess log loss is infinite as soon as an n-gram is lost.)

    Parameters
    ----------
    text : str or sequence of str
        Its letters, or its members, are the tokens.
    order : int, optional
        n of the n-grams; tokens to this power are at most 131,072.
    length : int, optional
        Tokens of a row, at least `order`.
    add : float, optional
        Count added to that of every token after every context (Laplace, Lidstone).
    backoff : float, optional
        Counts' worth of the shorter context's shares that are added (MacKay and Peto).
    temperature : float, optional
        Synthetic tokens are drawn with shares to the power 1 / temperature, scaled to sum to one.
    top_p : float, optional
        And from the fewest likeliest tokens whose shares reach this sum (nucleus sampling).

    Attributes
    ----------
    tokens : tuple of str
        The vocabulary, sorted.
    truth : ndarray, shape (contexts + contexts * tokens,)
        Share of each context, and of each token after it.
    limit_risk : float
        Limit of n times the risk of the first fit, without smoothing.
    measures : tuple of str
        "entropy" (nats per token), "support" (n-grams that a fit can draw), "rare": the mass of the
        n-grams that make up the rarest tenth of the text.

    Raises
    ------
    ValueError
        Where text has fewer than two tokens, or too many for the order, or a number is out of
        range.

    References
    ----------
    MacKay and Peto (1995), section 3; Holtzman, Buys, Du, Forbes and Choi (2020), section 3.1.

    Examples
    --------
    >>> model = NGram("to be or not to be ", order=2, length=12)
    >>> rows = model.draw_real(1, 2, np.random.default_rng(0))
    >>> [len(passage) for passage in model.read(rows[0])]
    [12, 12]
    >>> model.measure("support", model.truth[None], np.random.default_rng(0))
    array([13.])
    """

    measures = ("entropy", "support", "rare")

    def __init__(
        self,
        text: str | Sequence[str],
        order: int = 2,
        length: int = 20,
        add: float = 0,
        backoff: float = 0,
        temperature: float = 1,
        top_p: float = 1,
    ) -> None:
        require(
            isinstance(text, str)
            or (isinstance(text, (list, tuple)) and all(isinstance(w, str) for w in text)),
            f"text must be a str, or a list of words; it is {brief(text)}.",
        )
        self.order = whole(order, "order", "tokens of an n-gram", most=17)
        self.tokens = tuple(sorted(set(text)))
        V = len(self.tokens)
        require(
            V >= 2 and len(text) >= self.order,
            f"text must hold at least two different tokens, and {self.order} in all; it holds"
            f" {V} and {len(text)}.",
        )
        require(
            V**self.order <= LARGEST,
            f"{V} tokens make {V}^{self.order} n-grams, and {LARGEST:,} are the most: replace rare"
            " tokens by one, or take a smaller order.",
        )
        self.length = whole(length, "length", "tokens of a row", least=self.order, most=10**4)
        self.numbers = self.length
        self.add = _from_zero(add, "add")
        self.backoff = _from_zero(backoff, "backoff")
        self.temperature = float(check_number(temperature, "temperature", 0, 1e6))
        require(
            is_number(top_p) and 0 < float(top_p) <= 1,
            lambda _: f"top_p must be a number above 0 and at most 1; it is {brief(top_p)}.",
        )
        self.top_p = float(top_p)
        self.V, self.contexts = V, V ** (self.order - 1)
        at = {token: place for place, token in enumerate(self.tokens)}
        ring = np.array([at[token] for token in (*text, *text[: self.order - 1])])
        self._read = len(text)
        counts = np.bincount(_codes(ring[None, None], self.order, V)[0, 0], minlength=V**self.order)
        self.truth = self._shares(counts[None] / len(text), np.zeros(1), 0.0, 0.0)[0]
        self.truth.flags.writeable = False

    def __repr__(self) -> str:
        names = ("order", "length", "add", "backoff", "temperature", "top_p")
        told = ", ".join(f"{name}={getattr(self, name):g}" for name in names)
        return f"NGram(text of {self._read} tokens, {self.V} of them different, {told})"

    @property
    def limit_risk(self) -> float:
        visits, shares = self._split(self.truth[None])
        seen = visits[0] > 0
        return float((1 - (shares[0, seen] ** 2).sum(axis=1)).sum()) / self._positions

    @property
    def _positions(self) -> int:
        """N-grams of a row."""
        return self.length - self.order + 1

    def read(self, rows: Any) -> list[str]:
        """Rows (N, length) as text; words are set apart by spaces."""
        between = "" if max(map(len, self.tokens)) == 1 else " "
        return [between.join(self.tokens[int(t)] for t in row) for row in np.asarray(rows)]

    def draw(self, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        """Draw passages, (R, rows, length)."""
        return self._passages(theta, rows, rng, self.sharpened)

    def draw_real(self, replications: int, rows: int, rng: np.random.Generator) -> Array:
        theta = np.broadcast_to(self.truth, (replications, len(self.truth)))
        return self._passages(theta, rows, rng, lambda shares: shares)

    def draw_real_statistic(self, replications: int, rows: int, rng: np.random.Generator) -> Array:
        def each(part: slice) -> Array:
            batch = self.draw_real(len(range(replications)[part]), rows, rng)
            return self.statistic(batch, np.ones(batch.shape[:2]))

        return by_parts(each, replications, rows * self.length)

    def _passages(self, theta: Array, rows: int, rng: np.random.Generator, shape: Any) -> Array:
        def each(part: slice) -> Array:
            return self._chain(theta[part], rows, rng, shape)

        return by_parts(each, len(theta), rows * self.length)

    def _chain(self, theta: Array, rows: int, rng: np.random.Generator, shape: Any) -> Array:
        visits, shares = self._split(theta)
        R, C, V = shares.shape
        drawn = Places(shape(shares).reshape(R * C, V))
        own = np.repeat(np.arange(R), rows)
        met = Places(visits).of(own, rng.random(len(own)))
        out = np.empty((self.length, R * rows))
        for place in range(self.order - 1):
            out[place] = met // V ** (self.order - 2 - place) % V
        for place in range(self.order - 1, self.length):
            out[place] = token = drawn.of(own * C + met, rng.random(len(own)))
            met = (met * V + token) % C
        return np.asarray(out.T.reshape(R, rows, self.length))

    def sharpened(self, shares: Array) -> Array:
        """Shares (..., V) as the temperature and top-p change them."""
        if self.temperature != 1:
            with np.errstate(divide="ignore"):
                log = np.log(shares / shares.max(axis=-1, keepdims=True)) / self.temperature
            shares = np.exp(log)
            shares = shares / shares.sum(axis=-1, keepdims=True)
        if self.top_p < 1:
            order = np.argsort(-shares, axis=-1, kind="stable")
            sorted_ = np.take_along_axis(shares, order, axis=-1)
            # kept as long as the likelier ones do not reach p
            kept = sorted_.cumsum(axis=-1) - sorted_ < self.top_p - 1e-12
            shares = np.where(np.take_along_axis(kept, order.argsort(axis=-1), axis=-1), shares, 0)
            shares = shares / shares.sum(axis=-1, keepdims=True)
        return np.asarray(shares)

    def averages(self, rows: Array, share: Array) -> Array:
        """Shares (R, V^order) of the n-grams of passages (R, N, length)."""
        R, cells = len(rows), self.V**self.order
        codes = _codes(rows.astype(np.int64), self.order, self.V)
        codes += (cells * np.arange(R))[:, None, None]
        mass = np.broadcast_to(share[..., None] / self._positions, codes.shape)
        total = np.bincount(codes.ravel(), mass.ravel(), R * cells)
        return np.asarray(total.reshape(R, cells), np.float64)

    def fit_statistic(self, statistic: Array, start: Array | None) -> Array:
        apart = statistic[:, -1] / self._positions
        return self._shares(statistic[:, :-1], apart, self.add, self.backoff)

    def _shares(self, grams: Array, apart: Array, add: float, backoff: float) -> Array:
        """Fits (R, C + C V) to shares of n-grams (R, V^order), each of 1 / apart n-grams."""
        R, V = len(grams), self.V
        apart = apart[:, None, None]
        lower = np.full((R, 1, V), 1 / V)
        for context in range(self.order):
            # counts after contexts of this length: the last tokens of the n-gram
            counts = grams.reshape(R, V ** (self.order - 1 - context), V**context, V).sum(axis=1)
            base = np.tile(lower, (1, V if context else 1, 1))
            total = counts + add * apart + (backoff * apart * base if context else 0)
            level = total.sum(axis=2, keepdims=True)
            lower = np.where(level > 0, total / np.where(level > 0, level, 1), base)
        visits = grams.reshape(R, self.contexts, V).sum(axis=2)
        return np.concatenate([visits, lower.reshape(R, self.contexts * V)], axis=1)

    def _split(self, theta: Array) -> tuple[Array, Array]:
        """Shares of contexts (R, C), and of tokens after each (R, C, V)."""
        C = self.contexts
        return theta[:, :C], theta[:, C:].reshape(len(theta), C, self.V)

    def deviation(self, theta: Array) -> Array:
        visits, shares = self._split(self.truth[None])
        away = np.sqrt(visits[..., None]) * (self._split(theta)[1] - shares)
        return np.asarray(away.reshape(len(theta), self.contexts * self.V))

    def risk(self, theta: Array) -> Array:
        return np.asarray((self.deviation(theta) ** 2).sum(axis=1))

    def measure(self, name: str, theta: Array, rng: np.random.Generator) -> Array:
        """One of `measures` of fits (R, C + C V): (R,). Exact."""
        visits, shares = self._split(theta)
        match choice(name, "name", self.measures):
            case "entropy":
                return np.asarray(np.einsum("rc,rc->r", visits, entropy(shares)))
            case "support":
                can = (shares > 0) & (visits > 0)[..., None]
                return np.asarray(can.sum(axis=(1, 2)), np.float64)
        joint = visits[..., None] * shares
        joint = joint.reshape(len(theta), self.contexts * self.V)
        return np.asarray(joint[:, self._rare].sum(axis=1))

    @cached_property
    def _rare(self) -> Any:
        """Places of the n-grams of the text that are rarest, of mass `RARE` together at most."""
        visits, shares = self._split(self.truth[None])
        joint = (visits[..., None] * shares).ravel()
        order = np.argsort(joint, kind="stable")
        rare = order[joint[order].cumsum() <= RARE + 1e-12]
        return rare[joint[rare] > 0]


def _codes(tokens: Any, order: int, V: int) -> Any:
    """Numbers (..., L - order + 1) of the n-grams of passages of tokens (..., L)."""
    steps = tokens.shape[-1] - order + 1
    return sum(tokens[..., k : k + steps] * V ** (order - 1 - k) for k in range(order))


def lumped(words: Sequence[str], most: int, other: str = "·") -> list[str]:
    """Words of which the `most` commonest are kept and every other is replaced by one token.

    Examples
    --------
    >>> lumped("the cat and the dog and the hat".split(), 2)
    ['the', '·', 'and', 'the', '·', 'and', 'the', '·']
    """
    kept = {word for word, _ in Counter(words).most_common(most)}
    return [word if word in kept else other for word in words]


def _from_zero(value: Any, name: str) -> float:
    require(
        is_number(value) and 0 <= float(value) < 1e9,
        lambda _: f"{name} must be a number from 0 to 1e9; it is {brief(value)}.",
    )
    return float(value)
