"""Docstrings of this package as reStructuredText.

They are paragraphs for people. Four things in them mean more than prose:

    `code`                      code
    an indented block           equations, as they stand
    name: …. other: …           explanations of parameters or attributes, where the names are such
    Errors: …                   what is raised
"""

import inspect
import re

SPAN = re.compile(r"`([^`]+)`")
SPECIAL = re.compile(r"([\\*|_<])")
FIELD = re.compile(r"(?:^|(?<=[.;] ))((?:\*{0,2}\w+)(?:, \w+)*): ")


def read(app, what, name, thing, options, lines):
    """What autodoc calls for every docstring; changes `lines` in place."""
    lines[:] = to_rst("\n".join(lines), names_of(thing))


def names_of(thing):
    """The parameters of a function or class, and the annotated attributes of a class."""
    names = {"Errors"}
    if isinstance(thing, type):
        for each in thing.__mro__:
            names |= set(vars(each).get("__annotations__", ()))
    if callable(thing):
        try:
            names |= set(inspect.signature(thing).parameters)
        except ValueError:
            pass
    return names


def to_rst(text, names):
    """The lines of a docstring whose fields are among `names`."""
    out = []
    for block in re.split(r"\n\s*\n", text.strip("\n")):
        if block.startswith(">>>"):
            out += block.splitlines()
        elif block.startswith(" "):
            out += ["::", "", *block.splitlines()]
        else:
            out += _paragraph(block, names)
        out.append("")
    return out


def _paragraph(block, names):
    """A paragraph; an equation may follow it, indented, without a blank line between them."""
    prose, equation = block, ""
    if found := re.search(r"\n(?= )", block):
        prose, equation = block[: found.start()], block[found.end() :]
    out = []
    prose = re.sub(r"^Raises ", "Errors: ", " ".join(prose.split()))
    start, term = 0, None
    for field in FIELD.finditer(prose):
        if not {name.lstrip("*") for name in field[1].split(", ")} <= names:
            continue
        out += _item(term, prose[start : field.start()])
        start, term = field.end(), field[1]
    out += _item(term, prose[start:])
    return out + (["", "::", "", *equation.splitlines()] if equation else [])


def _item(term, text):
    """Text alone, or as the definition of a term."""
    text = inline(text.strip())
    if not text:
        return []
    if term is None:
        return [text, ""]
    heading = "Errors" if term == "Errors" else ", ".join(f"``{name}``" for name in term.split(", "))
    return [heading, f"    {text}", ""]


def inline(text):
    """Prose with code in backticks: whatever else means something to reStructuredText is escaped."""
    parts = SPAN.split(text)
    parts[::2] = [SPECIAL.sub(r"\\\1", part).replace("`", r"\`") for part in parts[::2]]
    # Code may touch the word after it, as in `x`s: an escaped space ends the literal.
    parts[1::2] = [rf"\ ``{code}``\ " for code in parts[1::2]]
    return "".join(parts)
