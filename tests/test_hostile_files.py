"""Files that lie, end early, or are no model at all: only FormatError, with file, line and token, in bounded memory."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from test_formats import PREAMBLE, SHARED, UAI, WCSP, make

import factorgraph as fg
from factorgraph.io import read_labels

EVIDENCE = "1\n2 0 1 2 2\n"
BIG = "9" * 30

REFUSED = [
    ("", "a.uai", 1, "", "expected MARKOV or BAYES; got the end of the file"),
    (" \n \n", "a.uai", 3, "", "expected MARKOV or BAYES; got the end of the file"),
    ("MARKOVIAN 0 0", "a.uai", 1, "MARKOVIAN", "expected MARKOV or BAYES; got 'MARKOVIAN'"),
    ("MARKOV\n-3", "a.uai", 2, "-3", "expected the number of variables, 0 to 2147483647; got '-3'"),
    ("MARKOV\n3.0", "a.uai", 2, "3.0", "expected the number of variables"),
    (f"MARKOV\n{BIG}\n2", "a.uai", 2, BIG, "expected the number of variables"),
    ("MARKOV\n2000000000\n2", "a.uai", 3, "2", "room for at most 1"),
    ("MARKOV\n2\n2 0\n0", "a.uai", 3, "0", "expected the states of a variable, 1 to 2147483647; got '0'"),
    ("MARKOV\n2\n2 x\n0", "a.uai", 3, "x", "expected the states of a variable"),
    (f"MARKOV\n1\n2\n{BIG}\n1 0\n", "a.uai", 5, "1", "room for at most"),
    ("MARKOV\n1\n2\n1\n-1\n2 1 1", "a.uai", 5, "-1", "expected the number of variables of factor 0, 0 to 31; got '-1'"),
    ("MARKOV\n1\n2\n1\n32\n2 1 1", "a.uai", 5, "32", "Tables have few axes: their sizes multiply"),
    ("MARKOV\n1\n2\n1\n1 1\n2 1 1", "a.uai", 5, "1", "expected a variable of factor 0, namely 0; got '1'"),
    ("MARKOV\n0\n1\n1 0\n2 1 1", "a.uai", 4, "0", "expected a variable of factor 0; there are no variables; got '0'"),
    ("MARKOV\n1\n2\n1\n1 0\n3 1 1 1", "a.uai", 6, "3", "entries of the table of factor 0, namely 2; got '3'"),
    ("MARKOV\n1\n2\n1\n1 0\n2 1", "a.uai", 6, "", "weight (finite, not negative) of factor 0; got the end"),
    ("MARKOV\n1\n2\n1\n1 0\n2 1\n-1", "a.uai", 7, "-1", "(finite, not negative) of factor 0; got '-1'"),
    ("MARKOV\n1\n2\n1\n1 0\n2 1 nan", "a.uai", 6, "nan", "expected a probability or weight"),
    ("MARKOV\n1\n2\n1\n1 0\n2 1 inf", "a.uai", 6, "inf", "expected a probability or weight"),
    ("MARKOV\n1\n2\n1\n1 0\n2 1 1e999", "a.uai", 6, "1e999", "expected a probability or weight"),
    ("MARKOV\n1\n2\n1\n1 0\n2 1 0x1", "a.uai", 6, "0x1", "expected a probability or weight"),
    ("MARKOV\n1\n2\n1\n1 0\n2 1 1_0", "a.uai", 6, "1_0", "expected a probability or weight"),
    ("MARKOV\n1\n2\n1\n1 0\n2 1 inf", "a.LG", 6, "inf", "expected a logarithm (finite or -inf) of factor 0; got 'inf'"),
    ("MARKOV\n1\n2\n1\n1 0\n2 1 1\n7", "a.uai", 7, "7", "expected the end of the file; got '7'"),
    ("MARKOV\n1\n2000000000\n1\n1 0\n2000000000 1 1", "a.uai", 6, "2000000000", "which the scopes ask for"),
    (
        "MARKOV\n3\n2000000000 2000000000 2000000000\n1\n3 0 1 2\n8 1 1",
        "a.uai",
        6,
        "8",
        "expected 1000000000000000000 times an entry of a table",
    ),
    ("MARKOV\n1\n2000000000\n0", "a.uai", None, None, "variables need 14.9 GiB, the memory_limit is 2 GiB"),
    ("MARKOV\n1\n2\n1\n1 0\n2 \xe9 1".encode("latin-1"), "a.uai", 6, "\\xe9", "expected a probability or weight"),
    ("\x00MARKOV", "a.uai", None, None, "expected text; got a byte 0"),
    (gzip.compress(b"MARKOV 0 0", mtime=0), "a.uai", None, None, "It looks compressed: name it *.gz"),
    (lzma.compress(b"MARKOV 0 0"), "a.uai", None, None, "It looks compressed: name it *.xz"),
    (b"MARKOV 0 0", "a.uai.gz", None, None, "cannot be read: "),
    (b"MARKOV 0 0", "a.uai.xz", None, None, "cannot be read: "),
    (b"MARKOV 0 0", "a.uai.bz2", None, None, "cannot be read: "),
    (b"", "a.uai.xz", None, None, "cannot be read: "),
    ("", "a.wcsp", 1, "", "expected the name of the problem, in UTF-8; got the end"),
    (b"\xff\xfe 1 2 3 4", "a.wcsp", 1, "\\xff\\xfe", "expected the name of the problem, in UTF-8"),
    ("p 2 3 1 9\n3 -3\n", "a.wcsp", 2, "-3", "expected the states of a variable"),
    ("p 2 3 999 9\n3 3\n1 0 0 0", "a.wcsp", 3, "1", "expected 999 times a function"),
    ("p 2 3 1 9\n3 3\n1 2 0 0", "a.wcsp", 3, "2", "expected a variable of factor 0, 0 to 1; got '2'"),
    ("p 2 3 1 9\n3 3\n2 0 1 -1 salldiff var -1", "a.wcsp", 3, "salldiff", "global cost function; got 'salldiff'"),
    ("p 2 3 1 9\n3 3\n2 0 1 -1 >= 1 0", "a.wcsp", 3, ">=", "global cost function; got '>='"),
    ("p 2 3 1 9\n3 3\n2 0 1 0 1\n0 3 1", "a.wcsp", 4, "3", "a label in a tuple of function 0, 0 to 2; got '3'"),
    ("p 2 3 1 9\n3 3\n2 0 1 0 1\n0 1 1.5", "a.wcsp", 4, "1.5", "expected a cost of function 0, 0 or more; got '1.5'"),
    ("p 2 3 1 9\n3 3\n2 0 1 0 1\n0 1 -1", "a.wcsp", 4, "-1", "expected a cost of function 0"),
    ("p 2 3 1 9\n3 3\n2 0 1 0 7\n0 1 1", "a.wcsp", 4, "", "a label in a tuple of function 0, 0 to 2; got the end"),
    ("p 2 3 1 9\n3 3\n2 0 1 0 -1\n", "a.wcsp", 3, "-1", "minus the number of the shared function it is like"),
    ("p 3 3 2 9\n3 3 2\n-2 0 1 0 0 2 1 2 0 -1", "a.wcsp", 3, "", "as many variables and states as the one whose costs"),
    ("p 1 3 1 9\n3\n1 0 0 0\n5", "a.wcsp", 4, "5", "expected the end of the file"),
    ("p 3 9999 1 9\n9999 9999 9999\n3 0 1 2 1 0", "a.wcsp", None, None, "need 7.274 TiB, the memory_limit is 2 GiB"),
    (f"p 40 2 1 9\n{'2 ' * 40}\n31 {' '.join(map(str, range(31)))} 1 0", "a.wcsp", None, None, "need 16 GiB"),
]


@pytest.mark.jitoff
@pytest.mark.parametrize("text, name, line, token, sentence", REFUSED, ids=range(len(REFUSED)))
def test_what_is_refused_and_where(tmp_path, text, name, line, token, sentence):
    path = make(tmp_path, text, name)
    with pytest.raises(fg.FormatError) as error:
        fg.read(path)
    assert sentence in str(error.value)
    assert (error.value.file, error.value.line, error.value.token) == (str(path), line, token)
    assert str(error.value).startswith(f"{path}{f', line {line}' if line else ''}: ")


@pytest.mark.jitoff
def test_what_is_no_file(tmp_path):
    for path, sentence in [
        (tmp_path / "none.uai", "cannot be read: No such file or directory"),
        (str(tmp_path / "a\0b.uai"), "cannot be read: "),
        (tmp_path / "a.txt", "expected a name that ends in .uai, .LG, .wcsp, or in one of these and .xz, .gz, .bz2"),
        (tmp_path / "uai", "expected a name that ends in"),
    ]:
        with pytest.raises(fg.FormatError, match="^") as error:
            fg.read(path)
        assert sentence in str(error.value)
    (tmp_path / "folder.uai").mkdir()
    os.mkfifo(tmp_path / "pipe.uai")
    (tmp_path / "zero.uai").symlink_to("/dev/zero")
    for name in ("folder.uai", "pipe.uai", "zero.uai"):
        with pytest.raises(fg.FormatError, match="expected a file; it is a folder or a device"):
            fg.read(tmp_path / name)


@pytest.mark.jitoff
def test_the_limit_holds_for_text_and_tables(tmp_path):
    path = make(tmp_path, UAI)
    assert fg.read(path, memory_limit=len(UAI)).compile().size == 10
    with pytest.raises(fg.FormatError, match="at most 40 bytes of text, as much as the memory_limit; got more"):
        fg.read(path, memory_limit=40)
    with pytest.raises(fg.FormatError, match=r"tables and variables need 128 bytes.*largest is over \(2, 2, 2, 2\)"):
        fg.read(make(tmp_path, "p 4 2 1 9 2 2 2 2 4 0 1 2 3 0 0", "a.wcsp"), memory_limit=100)


@pytest.mark.parametrize("suffix, pack", [(".gz", gzip.compress), (".xz", lzma.compress), (".bz2", bz2.compress)])
def test_archives_cut_short_or_changed(tmp_path, suffix, pack):
    packed = pack(UAI.encode())
    rng = random.Random(0)
    for cut in range(len(packed)):
        with pytest.raises(fg.FormatError):
            fg.read(make(tmp_path, packed[:cut], f"a.uai{suffix}"))
    for _ in range(100):
        changed = bytearray(packed)
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
        harmless(make(tmp_path, bytes(changed), f"a.uai{suffix}"))


# ---------------------------------------------------------------- fuzzing

TOKENS = [*"0 1 2 3 -1 -2 nan inf -inf 1e999 1e-999 x 1.5 31 32 99 : . - +".split(), BIG, "2147483648", "-9" * 9, ""]


def mutated(text: bytes, rng: random.Random) -> bytes:
    """One to four changes of bytes, tokens, lengths."""
    for _ in range(rng.randint(1, 4)):
        tokens = text.split()
        kind = rng.randrange(7)
        at = rng.randrange(len(text) + 1)
        if kind == 0:
            text = text[:at] + bytes([rng.randrange(256)]) + text[at + rng.randrange(2) :]
        elif kind == 1:
            text = text[:at]
        elif kind == 2:
            text = text[:at] + text[rng.randrange(len(text) + 1) :]
        elif tokens:
            i = rng.randrange(len(tokens))
            change = {
                3: [rng.choice(TOKENS).encode()],
                4: [],
                5: [tokens[i], tokens[rng.randrange(len(tokens))]],
                6: [str(rng.randrange(-3, 40)).encode()],
            }[kind]
            text = b" ".join(tokens[:i] + change + tokens[i + 1 :])
    return text


def generated(rng: random.Random) -> tuple[bytes, str]:
    """A model by the grammar, mostly valid, with odd numbers here and there."""

    def odd(usual: object) -> str:
        return rng.choice(TOKENS) if rng.random() < 0.01 else str(usual)

    states = [rng.choice([1, 2, 3, 2, 7]) for _ in range(rng.randrange(6))]
    most = 4 if states else 1
    scopes = [[rng.randrange(len(states)) for _ in range(rng.randrange(most))] for _ in range(rng.randrange(6))]
    sizes = [1] * len(scopes)
    for f, scope in enumerate(scopes):
        for v in scope:
            sizes[f] *= states[v]
    if rng.random() < 0.5:
        words = ["MARKOV", odd(len(states)), *map(odd, states), odd(len(scopes))]
        words += [odd(n) for scope in scopes for n in [len(scope), *scope]]
        words += [odd(x) for size in sizes for x in [size, *(rng.random() for _ in range(size))]]
        return " ".join(words).encode(), "a.uai"
    words = ["p", odd(len(states)), odd(7), odd(len(scopes)), odd(9), *map(odd, states)]
    shared = 0
    for scope in scopes:
        if shared and rng.random() < 0.3:
            words += map(odd, [len(scope), *scope, 0, -rng.randint(1, shared)])
            continue
        negative = bool(scope) and rng.random() < 0.3
        shared += negative
        tuples = rng.randrange(4)
        words += map(odd, [-len(scope) if negative else len(scope), *scope, rng.randrange(12), tuples])
        for _ in range(tuples):
            words += map(odd, [*(rng.randrange(states[v]) for v in scope), rng.randrange(12)])
    return " ".join(words).encode(), "a.wcsp"


def harmless(path: Path, evidence: Path | None = None) -> bool:
    """Whether a file is accepted; every error but FormatError is a bug, and so is a wait."""
    start = time.perf_counter()
    try:
        graph = fg.read(path, evidence, memory_limit="64 MiB")
        graph.energies()
        return True
    except fg.FormatError as error:
        assert error.file in (str(path), str(evidence)) and str(error).startswith(error.file)
        assert (error.line is None) == (error.token is None)
        return False
    finally:
        assert time.perf_counter() - start < 20


def fuzz(folder: Path, seconds: float, seed: int) -> None:
    rng = random.Random(seed)
    bodies = [(UAI, "a.uai"), (PREAMBLE + "4 0 -inf 1 2 6 1 2 3 4 5 6", "a.LG"), (WCSP, "a.wcsp"), (SHARED, "a.wcsp")]
    end = time.perf_counter() + seconds
    accepted = total = 0
    while time.perf_counter() < end:
        kind = rng.randrange(4)
        if kind == 0:
            body, name = generated(rng)
            accepted += harmless(make(folder, body, name))
        elif kind == 1:
            body, name = generated(rng)
            harmless(make(folder, mutated(body, rng), name))
        elif kind == 2:
            body, name = rng.choice(bodies)
            harmless(make(folder, mutated(body.encode(), rng), name))
        else:
            evidence = make(folder, mutated(EVIDENCE.encode(), rng), "a.evid")
            harmless(make(folder, UAI), evidence)
            try:
                read_labels(evidence, fg.read(folder / "a.uai").compile().states)
            except fg.FormatError:
                pass
        total += 1
    assert total > 100 and accepted > total / 40


def test_fuzzing(tmp_path):
    fuzz(tmp_path, 4, 0)


@pytest.mark.check
def test_fuzzing_at_length(tmp_path):
    fuzz(tmp_path, 60, 1)


# ---------------------------------------------------------------- memory

MEASURE = """
import resource, sys
import factorgraph as fg
from factorgraph.io import read_labels
from pathlib import Path

path, warm, room = sys.argv[1], sys.argv[2:-1], int(sys.argv[-1])
for each in warm:
    fg.read(each).energies()

def status(name):
    return next(int(line.split()[1]) << 10 for line in open("/proc/self/status") if line.startswith(name))

Path("/proc/self/clear_refs").write_text("5")
before = status("VmRSS:")
resource.setrlimit(resource.RLIMIT_AS, (status("VmSize:") + 4 * room + (256 << 20),) * 2)
try:
    fg.read(path)
    print("accepted", end=" ")
except fg.FormatError as error:
    print("refused", end=" ")
    print(error, file=sys.stderr)
print(status("VmHWM:") - before)
"""


def measure(folder: Path, path: Path, room: int) -> tuple[str, int]:
    """(accepted or refused, bytes of the peak) of reading in a process whose kernels are loaded."""
    warm = [str(make(folder, UAI, "warm.uai")), str(make(folder, WCSP, "warm.wcsp"))]
    command = [sys.executable, "-c", MEASURE, str(path), *warm, str(room)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    outcome, peak = done.stdout.split()
    return outcome, int(peak)


def large(kind: str, size: int) -> tuple[bytes, str]:
    """Files of about `size` bytes that are refused at their very end, the more numbers to a byte the better."""
    if kind == "entries":
        n = size // 2
        return b"MARKOV 1 %d 1 1 0 %d " % (n, n) + b"1 " * (n - 1) + b"x", "a.uai"
    if kind == "constants":
        n = size // 6
        return b"MARKOV 0 %d " % n + b"0 " * n + b"1 1 " * (n - 1) + b"1 x", "a.uai"
    if kind == "variables":
        n = size // 2
        return b"MARKOV %d " % n + b"1 " * n + b"0 x", "a.uai"
    if kind == "unaries":
        n = size // 8
        return b"MARKOV 1 1 %d " % n + b"1 0 " * n + b"1 1 " * n + b"x", "a.uai"
    if kind == "functions":
        n = size // 6
        return b"p 0 0 %d 9 " % n + b"0 1 0 " * n + b"x", "a.wcsp"
    if kind == "shared":
        n = size // 9
        return b"p 1 1 %d 9 1 " % n + b"-1 0 1 0 " * n + b"x", "a.wcsp"
    if kind == "tuples":
        n = size // 4
        return b"p 1 1 1 9 1 1 0 0 %d " % n + b"0 1 " * n + b"x", "a.wcsp"
    if kind == "token":
        return b"MARKOV " + b"9" * size, "a.uai"
    assert kind == "blanks"
    return b"MARKOV" + b" \n" * (size // 2), "a.uai"


KINDS = ["entries", "constants", "variables", "unaries", "functions", "shared", "tuples", "token", "blanks"]


@pytest.mark.check
@pytest.mark.parametrize("kind", KINDS)
def test_a_refused_file_costs_six_times_its_text(tmp_path, kind):
    data, name = large(kind, 24 << 20)
    outcome, peak = measure(tmp_path, make(tmp_path, data, name), len(data))
    assert outcome == "refused" and peak <= (64 << 20) + 6 * len(data), f"{peak / len(data):.2f} times"


@pytest.mark.parametrize("kind", ["entries", "functions"])
def test_a_refused_file_costs_little(tmp_path, kind):
    data, name = large(kind, 8 << 20)
    outcome, peak = measure(tmp_path, make(tmp_path, data, name), len(data))
    assert outcome == "refused" and peak <= (16 << 20) + 6 * len(data)


@pytest.mark.check
def test_bombs(tmp_path):
    for suffix, pack in ((".xz", lzma.compress), (".gz", gzip.compress), (".bz2", bz2.compress)):
        bomb = make(tmp_path, pack(bytes(80 << 20)), f"zeros.uai{suffix}")
        outcome, peak = measure(tmp_path, bomb, 64 << 20)
        assert outcome == "refused" and peak < 64 << 20
        bomb = make(tmp_path, pack(b" " * (32 << 20)), f"blanks.uai{suffix}")
        with pytest.raises(fg.FormatError, match="expected at most 16 MiB of text"):
            fg.read(bomb, memory_limit="16 MiB")


@pytest.mark.check
def test_an_accepted_file_adds_its_tables(tmp_path):
    path = make(tmp_path, "p 3 300 1 9 300 300 300 3 0 1 2 1 1 7 7 7 0", "a.wcsp")
    outcome, peak = measure(tmp_path, path, 300**3 * 8)
    assert outcome == "accepted" and peak <= (64 << 20) + 300**3 * 8
    n = 2 << 20
    data = b"MARKOV 1 %d 1 1 0 %d " % (n, n) + b"1 " * n
    outcome, peak = measure(tmp_path, make(tmp_path, data), len(data))
    assert outcome == "accepted" and peak <= (64 << 20) + 6 * len(data) + 8 * n
