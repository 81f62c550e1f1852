"""Text and numbers as LaTeX prints them, and names for its macros."""

import re
import unicodedata

from collapse import checks

PREFIX = "collapse"
"""How the names of all macros begin, so that none takes the place of one of LaTeX."""
MINUS = "\u2212"

_DIGITS = ("Zero", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine")
_SIGNS = {".": "Point", "+": "Plus", "-": "Minus", ",": "Comma", "%": "Percent"}
_TEXT = {mark: f"\\{mark}" for mark in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "\u2013": "--",
    "\u2014": "---",
    "\u2018": "`",
    "\u2019": "'",
    "\u201c": "``",
    "\u201d": "''",
    "\u2026": r"\ldots{}",
    "\u00a0": "~",
    "\u2009": r"\,",
    "\u202f": r"\,",
}
_MATHS = {
    MINUS: "-",
    "\u00d7": r"\times",
    "±": r"\pm",
    "·": r"\cdot",
    "°": r"^\circ",
    "µ": r"\mu",
    "≤": r"\le",
    "≥": r"\ge",
    "≈": r"\approx",
    "≠": r"\ne",
    "→": r"\to",
    "∞": r"\infty",
    "√": r"\surd",
}
_GREEK = re.compile(
    "GREEK SMALL LETTER (?!OMICRON)([A-Z]+)|"
    "GREEK CAPITAL LETTER (GAMMA|DELTA|THETA|LAMDA|XI|PI|SIGMA|UPSILON|PHI|PSI|OMEGA)"
)
_NOT_T1 = "ĦħĸĿŀŉŦŧſ"
"""Latin letters that LaTeX's usual fonts lack."""
_NUMBER = re.compile(rf"([+\-{MINUS}]?)(\d[\d,]*(?:\.\d+)?)(?:[eE]([+-]?\d+))?")


def escape(text: str) -> str:
    """Text as LaTeX prints it, mark by mark.

    Raises
    ------
    ValueError
        Where a character has no form that every LaTeX knows.

    Examples
    --------
    >>> print(escape("50 % of x_1 & π²/6"))
    50 \\% of x\\_1 \\& \\ensuremath{\\pi}\\ensuremath{^{2}}/6
    """
    return "".join(map(_mark, checks.text(text, "text")))


def number(text: str) -> str:
    """A number as it is written in the prose, for text and for formulas; other text is escaped.

    Examples
    --------
    >>> print(number("-1,234.5"), number("2e-05"), number("2/3 of them"))
    \\ensuremath{-1{,}234.5} \\ensuremath{2\\times10^{-5}} 2/3 of them
    """
    found = _NUMBER.fullmatch(checks.text(text, "text"))
    if text in ("inf", "-inf"):
        return rf"\ensuremath{{{text.replace('inf', '')}\infty}}"
    if found is None:
        return escape(text)
    sign, digits, power = found.groups()
    scale = "" if power is None else rf"\times10^{{{int(power)}}}"
    return rf"\ensuremath{{{sign.replace(MINUS, '-')}{digits.replace(',', '{,}')}{scale}}}"


def macro(key: str) -> str:
    """Name of the macro of a number: letters only, digits spelled.

    Raises
    ------
    ValueError
        Where the key has other marks than ASCII letters, digits, and what separates them.

    Examples
    --------
    >>> macro("golden_share_2")
    'collapseGoldenShareTwo'
    """
    words = re.split(r"[_\-\s.]+", checks.text(key, "key"))
    checks.require(
        re.fullmatch(r"[A-Za-z0-9]+", "".join(words)) is not None,
        f"the key {checks.brief(key)} of a number has no name in LaTeX; make it of ASCII letters,"
        " digits and underscores.",
    )
    return PREFIX + spelled("".join(word[:1].upper() + word[1:] for word in words))


def spelled(text: str) -> str:
    """Digits and signs in letters."""
    marks = checks.text(text, "text")
    return "".join(_DIGITS[int(c)] if c.isdecimal() else _SIGNS.get(c, c) for c in marks)


def _mark(mark: str) -> str:
    if mark in _TEXT:
        return _TEXT[mark]
    if mark in _MATHS:
        return rf"\ensuremath{{{_MATHS[mark]}}}"
    if mark.isascii() and (mark.isprintable() or mark.isspace()):
        return " " if mark.isspace() else mark
    name = unicodedata.name(mark, "")
    if greek := _GREEK.fullmatch(name):
        letter = greek[1].lower() if greek[1] else greek[2].capitalize()
        return rf"\ensuremath{{\{letter.replace('amda', 'ambda')}}}"
    simple = unicodedata.normalize("NFKD", mark)
    if name.startswith(("SUPERSCRIPT", "SUBSCRIPT")) and simple.isascii():
        return rf"\ensuremath{{{'^' if name.startswith('SUPER') else '_'}{{{simple}}}}}"
    if name.startswith("LATIN") and ord(mark) < 0x180 and mark not in _NOT_T1:
        return mark
    raise ValueError(
        f"the character {mark!r} ({name or f'U+{ord(mark):04X}'}) cannot be written in LaTeX; put"
        " it between dollar signs as a formula, or write it in words."
    )
