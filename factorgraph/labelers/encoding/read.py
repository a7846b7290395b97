"""Token files: columns (CoNLL), CoNLL-U, CRFsuite's training format; whole, or sequence by sequence.

Text goes through in pieces that end with a sequence, each split into fields and interned before the next is read, so
that no more of it is held than the longest sequence, or a megabyte.
"""

from __future__ import annotations

import codecs
import os
import re
from collections.abc import Iterator, Sequence
from typing import NoReturn

import numpy as np

from ...errors import FactorGraphError, FormatError
from ...io.source import pieces
from ...kernels import lines as kernels
from ...plan.memory import bytes_of
from .bags import Bags
from .columns import Columns, check_names, indptr_of
from .vocabulary import Vocabulary

#: Names of the columns of CoNLL-2000, of CoNLL-U.
CONLL = ("w", "pos", "label")
CONLLU = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")

_SEPARATORS = {None: kernels.BLANKS, "\t": kernels.TABS}
_PIECE = 1 << 20
#: Tokens of which the places are kept at a time.
_ROOM = 1 << 15
_NO_LIMIT = 1 << 62
_GAP = re.compile(rb"\n[ \t\r]*\n")


def read_columns(
    path: str | os.PathLike[str],
    names: Sequence[str | None] = CONLL,
    separator: str | None = None,
    encoding: str = "utf-8",
    memory_limit: str | int = "2 GiB",
) -> Columns:
    """A file with one token a line and an empty line after every sequence; also .gz, .xz, .bz2.

    names: of the columns; None for one that is not wanted.
    separator: None for any number of blanks and tabs; a tab, so that strings may hold blanks, or be empty.
    memory_limit: of the decompressed text.

    Every line is data: "-DOCSTART-" of CoNLL-2003 is a sequence of one token.
    Errors: FormatError with file and line for another number of columns, and for what is no text in the encoding.
    """
    return _whole(_columns(path, names, _layout(separator), encoding, bytes_of(memory_limit), None), names)


def stream_columns(
    path: str | os.PathLike[str],
    names: Sequence[str | None] = CONLL,
    separator: str | None = None,
    encoding: str = "utf-8",
    piece: int = _PIECE,
) -> Iterator[Columns]:
    """The same in pieces of whole sequences, from about so many bytes of text each: memory for one piece only.

    Errors: as read_columns, when the piece is reached.
    """
    return _columns(path, names, _layout(separator), encoding, _NO_LIMIT, piece)


def read_conllu(
    path: str | os.PathLike[str],
    names: Sequence[str] = ("form", "upos"),
    memory_limit: str | int = "2 GiB",
) -> Columns:
    """Some of the ten columns of a CoNLL-U file, in the order of the file: id, form, lemma, upos, xpos, feats, head,
    deprel, deps, misc. Comments, ranges such as 1-2 and empty nodes such as 1.1 are skipped.

    Errors: FormatError as read_columns.
    """
    unknown = [name for name in check_names(names, "read_conllu") if name not in CONLLU]
    if unknown:
        raise FactorGraphError(f"read_conllu: expected names among {', '.join(CONLLU)}; got {unknown[0]!r}")
    wanted = [name if name in names else None for name in CONLLU]
    return _whole(_columns(path, wanted, kernels.CONLLU, "utf-8", bytes_of(memory_limit), None), wanted)


def read_crfsuite(path: str | os.PathLike[str], memory_limit: str | int = "2 GiB") -> tuple[Bags, Columns]:
    """(attributes of tokens, a column "label") of a file in CRFsuite's training format: a line is

        label TAB name[:value] TAB name[:value] …        with ":" in names as \\:, and a backslash as \\\\

    with an empty line after every sequence. Errors: FormatError with file, line and token for a value that is no finite
    number, a label with a value, and for what is no UTF-8.
    """
    name, names, labels = os.fsdecode(path), Vocabulary(), Vocabulary()
    state = np.zeros(kernels.STATE, np.int64)
    texts = _texts(name, "utf-8", bytes_of(memory_limit), _PIECE)
    found = [part for text in texts for part in _attributes(name, text, state, names, labels)]
    kinds = (np.int64, np.int32, np.int32, np.int32, np.float32)
    empty = [np.zeros(0, kind) for kind in kinds]
    lengths, ids, sizes, entries, values = map(np.concatenate, zip(empty, *found))
    bags = Bags(indptr_of(sizes), entries, None if (values == 1).all() else values, lengths, names)
    return bags, Columns(("label",), ids.reshape(1, -1), indptr_of(lengths), (labels,))


def _layout(separator: str | None) -> int:
    if separator not in _SEPARATORS:
        raise FactorGraphError(f"separator: expected None (blanks and tabs) or a tab; got {separator!r}")
    return _SEPARATORS[separator]


def _whole(parts: Iterator[Columns], names: Sequence[str | None]) -> Columns:
    """Parts with the same vocabularies as one."""
    found = list(parts)
    if not found:
        kept = check_names([name for name in names if name is not None], "names")
        vocabularies = tuple(Vocabulary() for _ in kept)
        return Columns(kept, np.zeros((len(kept), 0), np.int32), np.zeros(1, np.int64), vocabularies)
    ids = np.concatenate([each.ids for each in found], axis=1)
    lengths = np.concatenate([each.lengths for each in found])
    return Columns(found[0].names, ids, indptr_of(lengths), found[0].vocabularies)


def _columns(
    path: str | os.PathLike[str],
    names: Sequence[str | None],
    layout: int,
    encoding: str,
    limit: int,
    piece: int | None,
) -> Iterator[Columns]:
    """Columns of one piece of text after the other; with vocabularies of their own if the size of `piece` is given."""
    name = os.fsdecode(path)
    kept = check_names([each for each in names if each is not None], "names")
    wanted = np.full(len(names), -1, np.int64)
    wanted[[f for f, each in enumerate(names) if each is not None]] = np.arange(len(kept))
    vocabularies = tuple(Vocabulary() for _ in kept)
    first, last = np.empty((2, len(kept), _ROOM), np.int64)
    lengths = np.empty(_ROOM + 1, np.int64)
    state = np.zeros(kernels.STATE, np.int64)
    for text in _texts(name, encoding, limit, piece or _PIECE):
        if piece is not None:
            vocabularies = tuple(Vocabulary() for _ in kept)
        buffer = np.frombuffer(text, np.uint8)
        state[kernels.AT] = 0
        ids, sizes = [], []
        while state[kernels.AT] < buffer.size:
            if kernels.split(buffer, layout, wanted, state, first, last, lengths) == kernels.RAGGED:
                _refuse_ragged(name, names, text, state)
            tokens = int(state[kernels.TOKENS])
            places = zip(vocabularies, first[:, :tokens], last[:, :tokens])
            ids.append(np.array([vocabulary.add_bytes(buffer, *place) for vocabulary, *place in places]))
            sizes.append(_lengths(state, lengths))
        if sum(part.size for part in sizes):
            yield Columns(kept, np.concatenate(ids, axis=1), indptr_of(np.concatenate(sizes)), vocabularies)


def _lengths(state: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Of the sequences that ended in the last call; the end of the text ends one."""
    if state[kernels.OPEN] and state[kernels.AT] == state[kernels.SIZE]:
        lengths[state[kernels.SEQUENCES]] = state[kernels.OPEN]
        state[kernels.SEQUENCES] += 1
        state[kernels.OPEN] = 0
    return lengths[: state[kernels.SEQUENCES]].copy()


def _attributes(
    path: str, text: bytearray, state: np.ndarray, names: Vocabulary, labels: Vocabulary
) -> Iterator[tuple[np.ndarray, ...]]:
    """Of parts of one piece: lengths of sequences, numbers of labels, entries of tokens, numbers of names, values."""
    places, sizes, lengths = np.empty((2, _ROOM), np.int64), np.empty(_ROOM, np.int64), np.empty(_ROOM + 1, np.int64)
    room = 8 * _ROOM
    first, last, values = np.empty(room, np.int64), np.empty(room, np.int64), np.empty(room)
    buffer = np.frombuffer(text, np.uint8)
    state[kernels.AT] = 0
    while state[kernels.AT] < buffer.size:
        state[[kernels.TOKENS, kernels.ENTRIES, kernels.SEQUENCES]] = 0
        arrays = places, sizes, first, last, values, lengths
        while (code := kernels.split_attributes(buffer, state, *arrays)) not in (kernels.DONE, kernels.FULL):
            _convert(path, text, code, state, values)
        tokens, count = state[[kernels.TOKENS, kernels.ENTRIES]].tolist()
        if code == kernels.FULL and tokens == 0:  # a long line
            room *= 2
            first, last, values = np.empty(room, np.int64), np.empty(room, np.int64), np.empty(room)
        ids = labels.add_bytes(buffer, places[0, :tokens], places[1, :tokens])
        entries = names.add_bytes(buffer, first[:count], last[:count])
        yield _lengths(state, lengths), ids, sizes[:tokens].astype(np.int32), entries, values[:count].astype(np.float32)


def _convert(path: str, text: bytearray, code: int, state: np.ndarray, values: np.ndarray) -> None:
    """The value at hand, where the kernel could not. Errors: FormatError for what is wrong with the line."""
    begin, at = state[[kernels.BEGIN, kernels.AT]].tolist()
    if code == kernels.LABEL:
        label = re.split(rb"[\t\r\n]", text[begin:], maxsplit=1)[0]
        _refuse(path, state, "a label, with ':' in it as '\\:'", label)
    value = bytes(text[begin:at])
    if code != kernels.HARD or not abs(float(value)) <= kernels.LARGEST:
        _refuse(path, state, "a finite number as the value of an attribute", value, "Write ':' in names as '\\:'")
    values[state[kernels.ENTRIES] - 1] = float(value)


def _texts(path: str, encoding: str, limit: int, size: int) -> Iterator[bytearray]:
    """Text in UTF-8, in pieces of at least `size` bytes that end with a sequence and a line feed."""
    held, wanted = bytearray(), size
    for piece in _utf8(path, encoding, limit):
        held += piece
        if len(held) < wanted:
            continue
        end = _last_gap(held)
        if end:
            text, held, wanted = held[:end], held[end:], size
            yield text
        else:
            wanted = 2 * len(held)  # so that looking for the gap costs no more than reading
    if held:
        held += b"\n"
        yield held


def _last_gap(text: bytearray) -> int:
    """Behind the last empty line; 0 where there is none."""
    at = text.rfind(b"\n\n")
    if at >= 0:
        return at + 2
    return max((gap.end() for gap in _GAP.finditer(text)), default=0)


def _utf8(path: str, encoding: str, limit: int) -> Iterator[bytes]:
    """The decompressed text, a megabyte at a time, without a byte order mark."""
    try:
        decoder = codecs.getincrementaldecoder(encoding)()
    except LookupError:
        raise FactorGraphError(f"encoding: expected one that Python knows, such as 'utf-8'; got {encoding!r}") from None
    line, begun = 1, False
    for piece in _closed(pieces(path, limit)):
        try:
            text = decoder.decode(piece, not piece)
        except UnicodeDecodeError as error:
            line += error.object[: error.start].count(b"\n")
            token = error.object[error.start : error.end].decode("ascii", "backslashreplace")
            raise FormatError(
                f"{path}, line {line}: expected text in {encoding}; got {token!r}. Is it in another encoding?",
                path,
                line,
                token,
            ) from None
        line += int(np.count_nonzero(np.frombuffer(piece, np.uint8) == 10))
        if text and not begun:
            begun, text = True, text.removeprefix("\ufeff")
        yield text.encode()


def _closed(parts: Iterator[bytes]) -> Iterator[bytes]:
    """All parts, then an empty one."""
    yield from parts
    yield b""


def _refuse_ragged(path: str, names: Sequence[str | None], text: bytearray, state: np.ndarray) -> NoReturn:
    begin = int(state[kernels.BEGIN])
    line = bytes(text[begin : text.index(b"\n", begin)])
    shown = ", ".join("-" if name is None else name for name in names)
    _refuse(path, state, f"{len(names)} columns ({shown})", line, f"It has {state[kernels.FIELDS]}: pass the names")


def _refuse(path: str, state: np.ndarray, expected: str, token: bytes, remedy: str = "") -> NoReturn:
    shown, line = token[:60].decode("utf-8", "backslashreplace"), int(state[kernels.LINE]) + 1
    raise FormatError(
        f"{path}, line {line}: expected {expected}; got {shown!r}{f'. {remedy}' if remedy else ''}", path, line, shown
    )
