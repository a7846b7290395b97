"""Templates as text: terms such as `w[-1]` or `suffix3(w[0])`, joined by `|`; and the named sets of them.

    template = term { "|" term } | "bias" | "BOS" | "EOS"
    term     = column "[" offset "]" | function "(" column "[" offset "]" ")"

A function is applied to every distinct string of a column once: lower, shape, brief, class, prefix1 …, suffix1 ….
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from ...errors import FactorGraphError, listed

#: Of every token; of the first and of the last token of a sequence, as CRFsuite has them.
BIAS, BOS, EOS = "bias", "__BOS__", "__EOS__"
SPECIAL = {"bias": BIAS, "BOS": BOS, "EOS": EOS, BOS: BOS, EOS: EOS}

#: The templates of CRFsuite's example for chunking (N. Okazaki, "CRFsuite", 2007). With pad=False, features and
#: their names are CRFsuite's.
CRFSUITE_CHUNKING = (
    *(f"w[{i}]" for i in range(-2, 3)),
    "w[-1]|w[0]",
    "w[0]|w[1]",
    *(f"pos[{i}]" for i in range(-2, 3)),
    *(f"pos[{i}]|pos[{i + 1}]" for i in range(-2, 2)),
    *(f"pos[{i}]|pos[{i + 1}]|pos[{i + 2}]" for i in range(-2, 1)),
    BOS,
    EOS,
)

#: What helped on top of these: affixes, also with the part of speech, case, shape, longer runs of parts of speech.
CHUNKING = (
    *CRFSUITE_CHUNKING[:-2],
    *(f"suffix{n}(w[0])" for n in range(1, 5)),
    "suffix2(w[0])|pos[0]",
    "suffix3(w[0])|pos[0]",
    "suffix2(w[0])|pos[-1]",
    "suffix2(w[0])|pos[1]",
    "lower(w[-1])",
    "lower(w[0])",
    "lower(w[1])",
    "pos[-2]|pos[-1]|pos[0]|pos[1]",
    "pos[-1]|pos[0]|pos[1]|pos[2]",
    "pos[-2]|pos[-1]|pos[0]|pos[1]|pos[2]",
    "w[0]|pos[0]",
    "shape(w[0])",
    "brief(w[0])",
    "class(w[0])",
)

#: Sequences get margins of the farthest offset, in memory.
_FARTHEST = 100
_TERM = re.compile(r"(?:([a-z]+)(\d*)\()?([^\[\]()|]+)\[([+-]?\d{1,9})\](\))?")


class _Shapes(dict[int, str]):
    """Character -> X, x or d for what is upper case, lower case or a digit; the others stay."""

    def __missing__(self, code: int) -> str:
        c = chr(code)
        self[code] = found = "d" if c.isdigit() else "X" if c.isupper() else "x" if c.islower() else c
        return found


_SHAPES = _Shapes()
_RUNS = re.compile(r"(.)\1+", re.DOTALL)


def shape(word: str) -> str:
    """
    >>> shape("McCain-2008")
    'XxXxxx-dddd'
    """
    return word.translate(_SHAPES)


def brief(word: str) -> str:
    """The shape with runs shortened.

    >>> brief("McCain-2008")
    'XxXx-d'
    """
    return _brief(shape(word))


def class_of(word: str) -> str:
    """One letter for each of: begins with a capital, all capitals, has digits, has hyphens, all punctuation, a number.

    >>> class_of("McCain-2008"), class_of("..."), class_of("and")
    ('Cdh', 'p', '')
    """
    return _class(shape(word))


# Shapes are few: both are functions of them.
@lru_cache(1 << 16)
def _brief(shaped: str) -> str:
    return _RUNS.sub(r"\1", shaped)


@lru_cache(1 << 16)
def _class(shaped: str) -> str:
    found = "C" if shaped[:1] == "X" else ""
    found += "U" if "X" in shaped and "x" not in shaped else ""
    found += "d" if "d" in shaped else ""
    found += "h" if "-" in shaped else ""
    found += "" if any(c.isalnum() for c in shaped) else "p"
    return found + ("n" if shaped and not shaped.strip("d") else "")


def _prefix(size: int) -> Callable[[str], str]:
    return lambda word: word[:size]


def _suffix(size: int) -> Callable[[str], str]:
    return lambda word: word[-size:]


#: Functions of strings, by name; those of the second table need a number.
FUNCTIONS: dict[str, Callable[[str], str]] = {"lower": str.lower, "shape": shape, "brief": brief, "class": class_of}
SIZED: dict[str, Callable[[int], Callable[[str], str]]] = {"prefix": _prefix, "suffix": _suffix}


@dataclass(frozen=True)
class Term:
    """A column, or a function of it ("" for none), at an offset from the token at hand."""

    function: str
    column: str
    offset: int

    @property
    def source(self) -> tuple[str, str]:
        """What is interned: (function, column)."""
        return self.function, self.column

    def __str__(self) -> str:
        read = f"{self.column}[{self.offset}]"
        return f"{self.function}({read})" if self.function else read


def function(name: str) -> Callable[[str], str]:
    """What a name of a function stands for."""
    if name in FUNCTIONS:
        return FUNCTIONS[name]
    word = name.rstrip("0123456789")
    return SIZED[word](int(name[len(word) :]))


def parse(template: str) -> tuple[Term, ...] | str:
    """The terms of a template, or BIAS, BOS or EOS. Errors: FactorGraphError with the template."""
    if template in SPECIAL:
        return SPECIAL[template]
    terms = []
    for part in str(template).split("|"):
        found = _TERM.fullmatch(part.strip())
        name, size, column, offset, close = found.groups() if found else ("?", "", "", "", "")
        named = (name or "") + (size or "")
        known = name is None or (name in FUNCTIONS and not size) or (name in SIZED and size and 0 < int(size) < 100)
        if not found or bool(name) != bool(close) or not known or abs(int(offset)) > _FARTHEST:
            raise FactorGraphError(
                f"Templates: expected terms such as w[-1] or suffix3(w[0]), joined by |, or one of {listed(SPECIAL)}; "
                f"got {template!r}. Functions are {listed([*FUNCTIONS, *(f'{n}1 …' for n in SIZED)])}; offsets are at "
                f"most {_FARTHEST}"
            )
        terms.append(Term(named, column, int(offset)))
    return tuple(terms)
