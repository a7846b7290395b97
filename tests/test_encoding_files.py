"""Token files: readers against twins of a few lines; files that lie, or end early, are refused in bounded memory."""

import gzip
import lzma
import os
import random
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import factorgraph as fg
from factorgraph.labelers.encoding import (
    Columns,
    Features,
    read,
    read_columns,
    read_conllu,
    read_crfsuite,
    stream_columns,
)


def make(folder: Path, data, name="tokens.txt") -> Path:
    path = folder / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tokens")


def lists(columns):
    return [columns[s] for s in range(len(columns))]


def twin(text, fields, separator=None):
    """Sequences of tuples; None where a line has another number of fields."""
    sequences = [[]]
    for line in text.split("\n"):
        line = line.rstrip("\r")
        if not line.strip(" \t"):
            sequences.append([])
            continue
        parts = line.split("\t") if separator else [part for part in re.split("[ \t]", line) if part]
        if len(parts) != fields:
            return None
        sequences[-1].append(tuple(parts))
    return [sequence for sequence in sequences if sequence]


PIECES = st.one_of(
    st.sampled_from(["a", "é", "\r", "\n", "\n\n", "\r\n", " ", "\t", "x y\n", "\x0b", "\x85", "\u2028"])
)
TEXT = st.lists(PIECES, max_size=40).map("".join)


@given(TEXT, st.integers(1, 2), st.sampled_from([None, "\t"]), st.sampled_from([1, 4, 1 << 20]))
def test_columns_are_their_twin(folder, text, fields, separator, size):
    path, names = make(folder, text), ("a", "b")[:fields]
    expected = twin(text, fields, separator)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(read, "_PIECE", size)
        patch.setattr(read, "_ROOM", 2)
        if expected is None:
            with pytest.raises(fg.FormatError, match=f"expected {fields} columns"):
                read_columns(path, names, separator)
            return
        assert lists(read_columns(path, names, separator)) == expected
        parts = list(stream_columns(path, names, separator, piece=size))
        assert [sequence for part in parts for sequence in lists(part)] == expected
        if size == 1:
            assert all(len(part) == 1 for part in parts) or "\r" in text or " \n" in text or "\t\n" in text


SMALL = "The DT B-NP\ncat NN I-NP\n\nIt PRP B-NP\n"
GUISES = [SMALL, SMALL.rstrip("\n"), SMALL.replace("\n", "\r\n"), "\n\n" + SMALL, "\ufeff" + SMALL]


@pytest.mark.parametrize("suffix, pack", [("", bytes), (".gz", gzip.compress), (".xz", lzma.compress)])
@pytest.mark.parametrize(
    "text", [SMALL, SMALL.rstrip("\n"), SMALL.replace("\n", "\r\n"), "\n\n" + SMALL, "\ufeff" + SMALL]
)
def test_one_file_in_many_guises(folder, suffix, pack, text):
    columns = read_columns(make(folder, pack(text.encode()), f"tokens.txt{suffix}"))
    assert lists(columns) == [[("The", "DT", "B-NP"), ("cat", "NN", "I-NP")], [("It", "PRP", "B-NP")]]


def test_wanted_columns_and_encodings(folder):
    path = make(folder, "caf\xe9 NC O\n".encode("latin-1"))
    columns = read_columns(path, ("w", None, "label"), encoding="latin-1")
    assert columns.names == ("w", "label") and columns[0] == [("café", "O")]
    path = make(folder, "é NC\n".encode("utf-16"))
    with pytest.raises(fg.FormatError, match="expected text; got a byte 0"):
        read_columns(path, ("w", "pos"), encoding="utf-16")
    with pytest.raises(fg.FactorGraphError, match="expected one that Python knows, such as 'utf-8'; got 'klingon'"):
        read_columns(path, encoding="klingon")
    with pytest.raises(fg.FactorGraphError, match="separator: expected None"):
        read_columns(path, separator=",")
    with pytest.raises(fg.FactorGraphError, match="distinct names of columns"):
        read_columns(path, ("w", "w"))


def test_empty_files(folder):
    for text in ("", "\n", " \n\t\n", "\ufeff"):
        path = make(folder, text)
        columns = read_columns(path)
        assert len(columns) == columns.tokens == 0 and columns.names == ("w", "pos", "label")
        assert list(stream_columns(path)) == [] and len(read_conllu(path)) == 0
        attributes, labels = read_crfsuite(path)
        assert len(attributes) == len(labels) == 0 and Features().fit(attributes).tokens == 0


def test_strings_with_blanks_and_none(folder):
    columns = read_columns(make(folder, "New York\tNP\n\tX\n"), ("w", "pos"), "\t")
    assert lists(columns) == [[("New York", "NP"), ("", "X")]]


CONLLU = """# sent_id = 1
# text = Du vin
1-2\tDu\t_\t_\t_\t_\t_\t_\t_\t_
1\tde\tde\tADP\t_\t_\t3\tcase\t_\t_
2\tle le\tle\tDET\t_\t_\t3\tdet\t_\tSpaceAfter=No
2.1\tx\tx\tX\t_\t_\t_\t_\t_\t_
3\tvin-\tvin\tNOUN\t_\t_\t0\troot\t_\t_

# sent_id = 2
1\t#\t#\tSYM\t_\t_\t0\troot\t_\t_
"""


def test_conllu(folder):
    path = make(folder, CONLLU)
    columns = read_conllu(path)
    assert lists(columns) == [[("de", "ADP"), ("le le", "DET"), ("vin-", "NOUN")], [("#", "SYM")]]
    assert read_conllu(path, ("head", "form")).names == ("form", "head")
    with pytest.raises(fg.FactorGraphError, match="read_conllu: expected names among id, form, .*; got 'word'"):
        read_conllu(path, ("word",))
    with pytest.raises(fg.FormatError, match="line 2: expected 10 columns .* It has 3") as caught:
        read_conllu(make(folder, "# x\n1\ta\tb\n"))
    assert (caught.value.line, caught.value.token) == (2, "1\ta\tb")


NAME = st.text(st.sampled_from("ab:\\é| "), min_size=1, max_size=5)
FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)
ITEM = st.tuples(NAME, st.one_of(st.none(), FLOATS, st.integers(-5, 5)))
TAGGED = st.lists(st.lists(st.tuples(NAME, st.lists(ITEM, max_size=4)), min_size=1, max_size=4), max_size=4)


def escaped(name):
    return name.replace("\\", "\\\\").replace(":", "\\:")


@given(TAGGED, st.sampled_from(["\n", "\r\n"]), st.sampled_from([8, 1 << 20]), st.sampled_from([1, 3, 1 << 10]))
def test_crfsuites_format_is_its_twin(folder, tagged, line_end, size, room):
    lines = []
    for sequence in tagged:
        for label, items in sequence:
            fields = [escaped(name) + ("" if value is None else f":{value!r}") for name, value in items]
            lines.append("\t".join([escaped(label), *fields]))
        lines.append("")
    expected = [
        [(name, 1.0 if value is None else float(np.float32(value))) for name, value in items]
        for sequence in tagged
        for _, items in sequence
    ]
    if any(line and not line.strip() for line in lines):
        return  # a line of blanks ends a sequence
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(read, "_PIECE", size)
        patch.setattr(read, "_ROOM", room)
        attributes, labels = read_crfsuite(make(folder, line_end.join(lines)))
    assert [attributes.items(t) for t in range(len(expected))] == expected
    assert labels.column("label") == [[label for label, _ in sequence] for sequence in tagged]
    assert attributes.lengths.tolist() == list(map(len, tagged))
    ours, theirs = Features(), Features()
    fitted = ours.fit(attributes)
    if all(len(dict(row)) == len(row) for row in expected):
        t = 0
        nested = []
        for sequence in tagged:
            nested.append([dict(row) for row in expected[t : t + len(sequence)]])
            t += len(sequence)
        again = theirs.fit(nested)
        kept = [(ours.name(i), again_name) for i, again_name in zip(fitted.indices, map(theirs.name, again.indices))]
        assert all(a == b for a, b in kept) and np.array_equal(fitted.indptr, again.indptr)


def test_values_that_python_converts(folder):
    text = "A\ta\\:b:0.1000000000000000055511151231257827021181583404541015625\tc:1e-400\td:2\nB\te\n"
    attributes, _ = read_crfsuite(make(folder, text))
    assert attributes.items(0) == [("a:b", float(np.float32(0.1))), ("c", 0.0), ("d", 2.0)]
    assert attributes.items(1) == [("e", 1.0)]


REFUSED = [
    (b"a b c\nd e\n", 2, "d e", "expected 3 columns (w, pos, label); got 'd e'. It has 2: pass the names"),
    (b"a b c\n\n\nd e f g", 4, "d e f g", "It has 4"),
    (b"a b c\nd e \xff\n", 2, "\\xff", "expected text in utf-8; got '\\\\xff'. Is it in another encoding?"),
    (b"a b \xc3", 1, "\\xc3", "expected text in utf-8"),
    (b"a b c\0\n", None, None, "expected text; got a byte 0"),
    (gzip.compress(b"a b c\n", mtime=0), None, None, "It looks compressed: name it *.gz"),
]


@pytest.mark.parametrize("data, line, token, sentence", REFUSED)
def test_refused_columns(folder, data, line, token, sentence):
    path = make(folder, data)
    for reader in (read_columns, lambda path: list(stream_columns(path))):
        with pytest.raises(fg.FormatError, match=re.escape(sentence)) as caught:
            reader(path)
        assert (caught.value.file, caught.value.line, caught.value.token) == (str(path), line, token)


REFUSED_ATTRIBUTES = [
    ("B\ta\n\nC\ta:x\n", 3, "x", "expected a finite number as the value of an attribute; got 'x'. Write ':' in names"),
    ("B\ta:nan\n", 1, "nan", "expected a finite number"),
    ("B\ta:-inf\n", 1, "-inf", "expected a finite number"),
    ("B\ta:1e999\n", 1, "1e999", "expected a finite number"),
    ("B\ta:1e39\n", 1, "1e39", "expected a finite number"),
    ("B\ta:1:2\n", 1, "1:2", "expected a finite number"),
    ("B\ta:1 2\n", 1, "1 2", "expected a finite number"),
    ("@weight:2\nB\ta\n", 1, "@weight:2", "expected a label, with ':' in it as '\\:'"),
]


@pytest.mark.parametrize("text, line, token, sentence", REFUSED_ATTRIBUTES)
def test_refused_attributes(folder, text, line, token, sentence):
    with pytest.raises(fg.FormatError, match=re.escape(sentence)) as caught:
        read_crfsuite(make(folder, text))
    assert (caught.value.line, caught.value.token) == (line, token)


def test_paths_and_limits(folder):
    for path in (folder / "missing.txt", folder, make(folder, b"x", "a.txt.gz")):
        with pytest.raises(fg.FormatError, match="cannot be read|expected a file"):
            read_columns(path)
    with pytest.raises(fg.FormatError, match="expected at most 10 bytes of text"):
        read_columns(make(folder, SMALL), memory_limit=10)


def test_a_file_without_gaps_is_one_sequence(folder, monkeypatch):
    monkeypatch.setattr(read, "_PIECE", 16)
    columns = read_columns(make(folder, "a\n" * 1000), ("w",))
    assert columns.lengths.tolist() == [1000] and columns.ids.max() == 0


def refused_or_read(path):
    for reader in (read_columns, read_conllu, read_crfsuite):
        try:
            found = reader(path)
        except fg.FormatError as error:
            assert error.file == str(path) and str(error)
        else:
            assert isinstance(found if isinstance(found, Columns) else found[1], Columns)


def mutated(rng, data):
    data = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data))
        how = rng.randrange(4)
        if how == 0:
            data[at] = rng.choice(b"\n\r\t :\\\xff\xc3#-.a0")
        elif how == 1:
            del data[at : at + rng.randint(1, 9)]
        elif how == 2:
            data[at:at] = bytes(rng.choices(b"\n\r\t :\\\xff1e.-", k=rng.randint(1, 5)))
        else:
            data = data[: at + 1]
        if not data:
            return b""
    return bytes(data)


SEEDS = [SMALL, CONLLU, "B\tw=a\tx\\:y:1.5\nI\tw=b\n\nO\tz\\\\:-1e3\n"]


@pytest.mark.parametrize("rounds", [150, pytest.param(20_000, marks=pytest.mark.check)])
def test_mutated_files(folder, rounds):
    rng = random.Random(rounds)
    for _ in range(rounds):
        refused_or_read(make(folder, mutated(rng, rng.choice(SEEDS).encode())))


LIES = {
    "ragged": lambda n: b"aaa bb c\n" * (n // 9) + b"a\n",
    "distinct": lambda n: b"".join(b"%x X Y\n" % i for i in range(n // 11)) + b"a\n",
    "line": lambda n: b"a" * n,
    "blanks": lambda n: b" " * n + b"a\n",
    "empty": lambda n: b"\n" * n + b"a",
    "gaps": lambda n: b"\ta b c\r\n\t\r\n" * (n // 11) + b"a",
    "fields": lambda n: b"a " * (n // 2),
    "late": lambda n: b"a b c\n" * (n // 6) + b"\xff",
}
MEASURE = """
import sys, pathlib
import factorgraph as fg
from factorgraph.labelers.encoding import read_columns, read_crfsuite
def peak():
    return next(int(l.split()[1]) for l in open("/proc/self/status") if l.startswith("VmHWM"))
folder = pathlib.Path(sys.argv[1])
(folder / "warm.txt").write_text("a b c\\n")
read_columns(folder / "warm.txt")
(folder / "warm.txt").write_text("a\\tb:1\\n")
read_crfsuite(folder / "warm.txt")
before = peak()
for reader in (read_columns, read_crfsuite):
    try:
        reader(sys.argv[2])
    except fg.FormatError:
        pass
    except MemoryError:
        print("memory")
print(1024 * (peak() - before))
"""


def measured(folder, kind, size):
    """Bytes by which reading raises the peak."""
    path = make(folder, LIES[kind](size), f"{kind}.txt")
    command = [sys.executable, "-c", MEASURE, str(folder), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=dict(os.environ), timeout=300)
    return int(done.stdout), path.stat().st_size


@pytest.mark.check
@pytest.mark.parametrize("kind", LIES)
def test_a_refused_file_costs_six_times_its_text(folder, kind):
    if not Path("/proc/self/status").exists():
        pytest.skip("peak memory is measured on Linux")
    peak, size = measured(folder, kind, 24 << 20)
    assert peak <= (64 << 20) + 6 * size, f"{peak / size:.2f} times"


def test_a_refused_file_costs_little(folder):
    if not Path("/proc/self/status").exists():
        pytest.skip("peak memory is measured on Linux")
    peak, size = measured(folder, "ragged", 4 << 20)
    assert peak <= (16 << 20) + 6 * size


@pytest.mark.check
def test_streaming_takes_memory_for_one_piece(folder):
    path = make(folder, b"aaaa bb c\n\n" * (4 << 20), "long.txt")
    source = (
        "import sys\nfrom factorgraph.labelers.encoding import stream_columns\n"
        "peak = lambda: next(int(l.split()[1]) for l in open('/proc/self/status') if l.startswith('VmHWM'))\n"
        "parts = stream_columns(sys.argv[1])\ncount = next(parts).tokens\nbefore = peak()\n"
        "count += sum(part.tokens for part in parts)\nprint(count, peak() - before)"
    )
    done = subprocess.run([sys.executable, "-c", source, str(path)], capture_output=True, text=True, check=True)
    count, growth = map(int, done.stdout.split())
    assert count == 4 << 20 and growth < 24 << 10


@pytest.mark.jitoff
def test_readers_without_the_compiler(folder):
    assert lists(read_columns(make(folder, SMALL)))[1] == [("It", "PRP", "B-NP")]
    attributes, labels = read_crfsuite(make(folder, SEEDS[2]))
    assert attributes.items(0) == [("w=a", 1.0), ("x:y", 1.5)] and labels.column("label") == [["B", "I"], ["O"]]
