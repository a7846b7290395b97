"""Tokens to features: every encoder against a twin that makes strings, one at a time."""

import pickle
import random
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import factorgraph as fg
from factorgraph.labelers.encoding import (
    CHUNKING,
    CRFSUITE_CHUNKING,
    Columns,
    Features,
    Numbers,
    Templates,
    Vocabulary,
    encoder_for,
    entries,
    features,
    load_encoder,
    read_columns,
    stages,
    templates,
)
from factorgraph.labelers.encoding.parse import function, parse

WORDS = st.one_of(st.text(max_size=6), st.sampled_from(["the", "The", "1999", "ﬁ", "", "\0", "a|b", "McCain-2008"]))
TOKENS = st.lists(st.lists(st.tuples(WORDS, st.sampled_from(["N", "V", ""])), max_size=5), max_size=6)
FUNCTIONS = ["", "lower", "shape", "brief", "class", "prefix1", "suffix1", "suffix3", "prefix12"]


@st.composite
def term(draw):
    column, offset, name = (
        draw(st.sampled_from(["w", "pos"])),
        draw(st.integers(-3, 3)),
        draw(st.sampled_from(FUNCTIONS)),
    )
    return f"{name}({column}[{offset}])" if name else f"{column}[{offset}]"


TEMPLATE = st.one_of(st.lists(term(), min_size=1, max_size=4).map("|".join), st.sampled_from(["bias", "BOS", "EOS"]))


def entries_of(text, sequences, s, t, pad):
    """What a template finds at a token: a tuple of strings, or None."""
    sequence = sequences[s]
    if text in ("bias", "BOS", "EOS"):
        return () if text == "bias" or t == (0 if text == "BOS" else len(sequence) - 1) else None
    found = []
    for each in parse(text):
        j = t + each.offset
        if 0 <= j < len(sequence):
            word = sequence[j][("w", "pos").index(each.column)]
            found.append(("in", function(each.function)(word) if each.function else word))
        elif pad:
            found.append(("before",) if j < 0 else ("after",))
        else:
            return None
    return tuple(found)


class Twin:
    """Templates by strings: rows of (template, value) for every token."""

    def __init__(self, texts, pad, cutoff):
        self.texts, self.pad, self.cutoff = texts, pad, cutoff

    def rows(self, sequences):
        for s, sequence in enumerate(sequences):
            for t in range(len(sequence)):
                found = ((j, entries_of(text, sequences, s, t, self.pad)) for j, text in enumerate(self.texts))
                yield [each for each in found if each[1] is not None]

    def fit(self, sequences):
        counts = {}
        for row in self.rows(sequences):
            for each in row:
                counts[each] = counts.get(each, 0) + 1
        kept = [each for each, count in counts.items() if count >= self.cutoff]
        self.ids = {each: i for i, each in enumerate(sorted(kept, key=lambda each: each[0]))}

    def transform(self, sequences):
        rows = list(self.rows(sequences))
        known = [[self.ids[each] for each in row if each in self.ids] for row in rows]
        return known, sum(map(len, rows)) - sum(map(len, known))


def rows_of(encoded):
    return [encoded.indices[a:b].tolist() for a, b in zip(encoded.indptr[:-1], encoded.indptr[1:])]


def columns_of(sequences):
    return Columns.from_tokens(sequences, ["w", "pos"])


def same(a, b):
    for name in ("indptr", "indices", "values", "lengths", "unknown"):
        x, y = getattr(a, name), getattr(b, name)
        assert (x is None) == (y is None) and np.array_equal(x, y), name


@given(st.lists(TEMPLATE, min_size=1, max_size=4), TOKENS, TOKENS, st.booleans(), st.integers(1, 3))
def test_templates_are_their_twin(texts, sequences, others, pad, cutoff):
    twin, ours = Twin(texts, pad, cutoff), Templates(*texts, pad=pad, cutoff=cutoff)
    twin.fit(sequences)
    encoded = ours.fit(columns_of(sequences))
    assert ours.n_features == len(twin.ids)
    assert (rows_of(encoded), encoded.unknown) == twin.transform(sequences)
    assert encoded.lengths.tolist() == list(map(len, sequences))
    same(encoded, ours.transform(columns_of(sequences)))
    loaded = load_encoder(ours.arrays())
    for each in (ours, loaded):
        found = each.transform(columns_of(others))
        assert (rows_of(found), found.unknown) == twin.transform(others)
    assert [ours.name(i) for i in range(ours.n_features)] == [loaded.name(i) for i in range(ours.n_features)]


@given(st.lists(TEMPLATE, min_size=1, max_size=3), TOKENS, TOKENS, st.sampled_from([1, 30, 1000]), st.booleans())
def test_long_products_go_in_stages(texts, sequences, others, most, pad):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(templates, "KEYS", most)
        patch.setattr(stages, "DIRECT", min(most, 8))
        patch.setattr(templates, "PIECE", 3)
        ours = Templates(*texts, pad=pad)
        twin = Twin(texts, pad, 1)
        twin.fit(sequences)
        encoded = ours.fit(columns_of(sequences))
        assert rows_of(encoded) == twin.transform(sequences)[0]
        names = [ours.name(i) for i in range(ours.n_features)]
        loaded = load_encoder(ours.arrays())
        found = loaded.transform(columns_of(others))
        assert (rows_of(found), found.unknown) == twin.transform(others)
    whole = Templates(*texts, pad=pad)
    same(encoded, whole.fit(columns_of(sequences)))
    assert names == [whole.name(i) for i in range(whole.n_features)]


def test_a_product_beyond_64_bits():
    words = [[(f"w{i}", "N") for i in range(40_000)]]
    text = "|".join(f"w[{i}]" for i in range(-3, 4))
    ours = Templates(text)
    encoded = ours.fit(columns_of(words))
    assert [stage.product <= 1 << 62 for stage in ours._stages[0]] == [True] * 2
    assert encoded.indices.tolist() == list(range(40_000))
    assert ours.name(1) == f"{text}=<before>|<before>|w0|w1|w2|w3|w4"
    found = ours.transform(columns_of([words[0][:5]]))
    assert rows_of(found) == [[0], [1], [], [], []] and found.unknown == 3


def test_names():
    ours = Templates("w[0]", "suffix2(w[-1])|pos[1]", "bias", "BOS", "EOS")
    encoded = ours.fit(columns_of([[("one", "A"), ("two", "B")]]))
    named = [[ours.name(i) for i in row] for row in rows_of(encoded)]
    assert named == [
        ["w[0]=one", "suffix2(w[-1])|pos[1]=<before>|B", "bias", "__BOS__"],
        ["w[0]=two", "suffix2(w[-1])|pos[1]=ne|<after>", "bias", "__EOS__"],
    ]
    with pytest.raises(fg.FactorGraphError, match="expected a feature 0 … 6; got 7"):
        ours.name(7)


WRONG = ["", "w", "w[", "w[0]]", "w[x]", "no(w[0])", "suffix(w[0])", "lower3(w[0])", "w[0]|", "w[999999]"]


@pytest.mark.parametrize("text", WRONG)
def test_templates_that_are_none(text):
    with pytest.raises(fg.FactorGraphError, match=r"expected terms such as w\[-1\] or suffix3\(w\[0\]\)"):
        Templates(text)


def test_what_templates_refuse():
    with pytest.raises(fg.FactorGraphError, match="expected Columns; got list"):
        Templates("w[0]").fit([["a"]])
    with pytest.raises(fg.FactorGraphError, match="expected one of the columns 'pos', 'w'; got 'x'"):
        Templates("x[0]").fit(columns_of([[("a", "N")]]))
    with pytest.raises(fg.FactorGraphError, match="at least one template"):
        Templates()
    with pytest.raises(fg.FactorGraphError, match="expected fit before transform"):
        Templates("w[0]").transform(columns_of([]))


@pytest.mark.data
def test_crfsuites_templates_have_its_features(data_dir):
    pycrfsuite = pytest.importorskip("pycrfsuite")
    columns = read_columns(data_dir / "conll2000" / "test.txt")[:200]
    ours = Templates(*CRFSUITE_CHUNKING, pad=False)
    encoded = ours.fit(columns)
    words, tags = columns.column("w"), columns.column("pos")
    t = 0
    for w, pos in zip(words, tags):
        items = []
        for i in range(len(w)):
            item = []
            for text in CRFSUITE_CHUNKING[:-2]:
                where = [(each.column, i + each.offset) for each in parse(text)]
                if all(0 <= j < len(w) for _, j in where):
                    item.append(text + "=" + "|".join((w if c == "w" else pos)[j] for c, j in where))
            items.append(item + ["__BOS__"] * (i == 0) + ["__EOS__"] * (i == len(w) - 1))
        for item in pycrfsuite.ItemSequence(items).items():
            assert [ours.name(i) for i in encoded.indices[slice(*encoded.indptr[t : t + 2])]] == list(item)
            t += 1
    assert t == encoded.tokens


@pytest.mark.data
def test_the_features_of_conll2000(data_dir):
    columns = read_columns(data_dir / "conll2000" / "train.txt")
    assert (len(columns), columns.tokens) == (8936, 211_727)
    assert Templates(*CRFSUITE_CHUNKING, pad=False).fit(columns).indices.size == 3_808_439
    rich = Templates(*CHUNKING, cutoff=2)
    same(rich.fit(columns), rich.transform(columns))


@given(st.lists(st.lists(st.one_of(WORDS, st.integers(0, 40).map(str)), max_size=30), max_size=4))
def test_a_vocabulary_is_a_dict(parts):
    ours, twin = Vocabulary(), {}
    for part in parts:
        assert ours.add(part).tolist() == [twin.setdefault(each, len(twin)) for each in part]
    assert ours.strings() == list(twin) and [ours.string(i) for i in range(len(ours))] == list(twin)
    assert ours.find(["the", "\0", "\0\0", "7"]).tolist() == [twin.get(each, -1) for each in ("the", "\0", "\0\0", "7")]


def test_a_vocabulary_grows():
    rng = random.Random(0)
    words = ["".join(rng.choices("abé-", k=rng.randint(0, 12))) for _ in range(30_000)]
    ours, twin = Vocabulary(), {}
    assert ours.add(words).tolist() == [twin.setdefault(each, len(twin)) for each in words]
    assert ours.find(words[:100]).tolist() == [twin[each] for each in words[:100]] and ours.strings() == list(twin)


VALUES = st.recursive(
    st.one_of(WORDS, st.booleans(), st.integers(-3, 3), st.floats(-1e3, 1e3, width=32), st.just(np.float32(0.5))),
    lambda inner: st.one_of(
        st.lists(WORDS, max_size=3),
        st.sets(WORDS, max_size=2),
        st.tuples(WORDS, WORDS),
        st.dictionaries(WORDS, inner, max_size=3),
    ),
    max_leaves=4,
)
ENTRY = st.one_of(st.dictionaries(WORDS, VALUES, max_size=5), st.lists(WORDS, max_size=4), st.sets(WORDS, max_size=3))
SEQUENCES = st.lists(st.lists(ENTRY, max_size=4), max_size=4)


def named(token):
    """(name, value) of a token, as python-crfsuite has them."""
    if not isinstance(token, dict):
        return [(name, 1.0) for name in token]
    found = []
    for key, value in token.items():
        if isinstance(value, str):
            found.append((f"{key}:{value}", 1.0))
        elif isinstance(value, dict | list | tuple | set):
            found += [(f"{key}:{name}", v) for name, v in named(value)]
        else:
            found.append((key, float(np.float32(value))))
    return found


def shown(encoder, encoded):
    values = np.ones(encoded.indices.size) if encoded.values is None else encoded.values
    names = [encoder.name(i) for i in encoded.indices.tolist()]
    pairs = list(zip(names, values.tolist()))
    return [pairs[a:b] for a, b in zip(encoded.indptr[:-1], encoded.indptr[1:])]


@given(SEQUENCES, SEQUENCES, st.sampled_from([1, 3, 1 << 12]), st.sampled_from([0, 1 << 20]), st.integers(1, 2))
def test_features_are_their_twin(sequences, others, block, remembered, cutoff):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(features, "_BLOCK", block)
        patch.setattr(features, "_REMEMBERED", remembered)
        ours = Features(cutoff)
        encoded = ours.fit(sequences)
        twin = [[each for each in named(token) if each[1]] for sequence in sequences for token in sequence]
        counts = {}
        for name in [name for row in twin for name, _ in row]:
            counts[name] = counts.get(name, 0) + 1
        kept = {name for name, count in counts.items() if count >= cutoff}
        assert shown(ours, encoded) == [[each for each in row if each[0] in kept] for row in twin]
        assert encoded.unknown == sum(count for name, count in counts.items() if name not in kept)
        assert encoded.lengths.tolist() == list(map(len, sequences))
        same(encoded, ours.transform(sequences))
        for each in (ours, load_encoder(ours.arrays())):
            found = each.transform(others)
            twin = [[pair for pair in named(token) if pair[1]] for sequence in others for token in sequence]
            assert shown(each, found) == [[pair for pair in row if pair[0] in kept] for row in twin]
            assert found.unknown == sum(pair[0] not in kept for row in twin for pair in row)


def test_python_crfsuite_agrees():
    pycrfsuite = pytest.importorskip("pycrfsuite")
    token = {"a": "b", "c": True, "d": False, "e": 2.5, "f": {"g": {"h": "i", "j": 3}, "k": ["l", "m"]}, "n": {"o"}}
    sequence = [token, ["p", "a:b"]]
    ours = Features()
    theirs = [list(item.items()) for item in pycrfsuite.ItemSequence(sequence).items()]
    assert shown(ours, ours.fit([sequence])) == [[pair for pair in item if pair[1]] for item in theirs]


BAD = [
    ([[{"a": None}]], "expected a string, a finite number of float32, .*; got 'a': None at token 0 of sequence 0"),
    ([[], [{"b": 1}, {"a": float("nan")}]], "got 'a': nan at token 1 of sequence 1"),
    ([[{"a": 1e300}]], "got 'a': 1e\\+300 at token 0"),
    ([[{"a": 10**400}]], "got 'a': 1000"),
    ([[{"a": b"1"}]], "got 'a': b'1'"),
    ([[{"a": np.ones(2)}]], "got 'a': array"),
    ([[{"b": [1], "a": 1}]], "expected strings as names of features; got 1 at token 0"),
    ([[{3: "x"}]], "expected strings as names of features; got 3"),
    ([[{3: {"x": 1}}]], "expected strings as names of features; got 3"),
    ([[["a", None]]], "expected strings as names of features; got None"),
    ([["the", "cat"]], "expected tokens that are dicts, or lists of strings; got 'the' at token 0 of sequence 0"),
    ([{"a": 1}], "expected sequences of tokens, .* got dict as sequence 0"),
    (["the"], "expected sequences of tokens, .* got str as sequence 0"),
    ([3], "got int as sequence 0"),
]


@pytest.mark.parametrize("X, sentence", BAD)
def test_what_is_no_feature(X, sentence):
    for fit in (True, False):
        with pytest.raises(fg.FactorGraphError, match=sentence):
            Features().fit(X) if fit else Features().transform(X)


def test_deep_nesting_is_refused():
    token = {}
    for _ in range(500):
        token = {"a": token}
    with pytest.raises(fg.FactorGraphError, match="at most 64 nested dicts"):
        Features().fit([[token]])


def test_hashed_features():
    tokens = [[{"w": f"word{i}", "n": i} for i in range(3000)]]
    ours, other = Features(hash_bits=20), Features(hash_bits=20)
    encoded = ours.fit(tokens)
    same(encoded, other.transform(tokens))
    same(encoded, load_encoder(ours.arrays()).transform(tokens))
    assert ours.n_features == 1 << 20 and encoded.unknown == 0 and ours.name(7) == "hash 7"
    assert len(set(encoded.indices.tolist())) > 2980
    with pytest.raises(fg.FactorGraphError, match="hash_bits 1 … 30 without a cutoff"):
        Features(hash_bits=31)


def test_transform_forgets(monkeypatch):
    monkeypatch.setattr(features, "_REMEMBERED", 100)
    ours = Features()
    ours.fit([[{"a": "b"}]])
    for i in range(5):
        found = ours.transform([[{"a": f"new{i}{j}"} for j in range(200)] + [{"a": "b"}]])
        assert found.indices.tolist() == [0] and found.unknown == 200
    assert ours._known < 400 and sum(map(len, ours._entries.values())) < 400


def test_numbers():
    from scipy.sparse import csr_array

    rng = np.random.default_rng(0)
    X = rng.integers(-1, 2, (7, 5)).astype(float)
    ours = Numbers()
    encoded = ours.fit([X[:3], X[3:3], X[3:]])
    assert np.array_equal(encoded.matrix(5).toarray(), X) and encoded.lengths.tolist() == [3, 0, 4]
    sparse = csr_array(X)
    sparse.data[0] = 0
    before = sparse.copy()
    for given_x, lengths in ((X, [3, 0, 4]), (csr_array(X), [3, 0, 4]), ([csr_array(X[:3]), X[3:3], X[3:]], None)):
        same(encoded, ours.transform(given_x, lengths))
        same(encoded, load_encoder(ours.arrays()).transform(given_x, lengths))
    assert ours.transform(sparse, [7]).indices.size == encoded.indices.size - 1
    assert np.array_equal(sparse.data, before.data) and np.array_equal(sparse.indptr, before.indptr)
    assert ours.name(4) == "column 4" and ours.n_features == 5
    Xn = X.copy()
    Xn[5, 2] = np.nan
    with pytest.raises(fg.FactorGraphError, match="got nan in row 2, column 2 in sequence 2"):
        ours.transform([X[:3], X[3:3], Xn[3:]])
    with pytest.raises(fg.FactorGraphError, match="got nan in row 5, column 2$"):
        ours.transform(csr_array(Xn), [7])
    with pytest.raises(fg.FactorGraphError, match="expected 5 columns, as in fit; got 4"):
        ours.transform([X[:, :4]])
    with pytest.raises(fg.FactorGraphError, match="expected 5 columns, as the first sequence has; got 4 in sequence 1"):
        ours.fit([X, X[:, :4]])
    with pytest.raises(fg.FactorGraphError, match="add up to the 7 rows of X; got 6"):
        ours.transform(X, [3, 3])
    with pytest.raises(fg.FactorGraphError, match=r"\(tokens, features\); got float64 \(7,\) in sequence 0"):
        ours.fit([X[:, 0]])
    with pytest.raises(fg.FactorGraphError, match="expected finite numbers of float32; got 1e"):
        ours.fit([[[1e300]]])


def test_columns():
    columns = Columns.from_tokens([[("a", "N"), ("b", "V")], [], [("a", "V")]], ["w", "pos"])
    assert columns[0] == [("a", "N"), ("b", "V")] and columns[1] == [] and columns[-1] == [("a", "V")]
    assert columns.column("w") == [["a", "b"], [], ["a"]] and columns.shape == (3,) and columns.tokens == 3
    assert columns[[2, 0]].column("pos") == [["V"], ["N", "V"]] and columns[columns.lengths > 0].column("w")[1] == ["a"]
    assert columns[1:].column("w") == [[], ["a"]] and columns.select("pos").column("pos") == columns.column("pos")
    again = Columns.from_columns({name: columns.column(name) for name in columns.names})
    flat = Columns.from_columns({"w": ["a", "b", "a"], "pos": ["N", "V", "V"]}, lengths=[2, 0, 1])
    for each in (again, flat):
        assert np.array_equal(each.ids, columns.ids) and np.array_equal(each.indptr, columns.indptr)
    with pytest.raises(fg.FactorGraphError, match=r"tuples of 2 strings .*; got \('c',\) at token 1 of sequence 1"):
        Columns.from_tokens([[("a", "b")], [("a", "b"), ("c",)]], ["w", "pos"])
    with pytest.raises(fg.FactorGraphError, match="expected strings; got 3 at token 0 of sequence 1"):
        Columns.from_columns({"w": [["a"], [3]]})
    with pytest.raises(fg.FactorGraphError, match="as many strings in column 'pos' as in 'w'"):
        Columns.from_columns({"w": [["a"], ["b"]], "pos": [["N", "V"], []]})
    with pytest.raises(fg.FactorGraphError, match="distinct names of columns"):
        Columns.from_tokens([], ["w", "w"])
    with pytest.raises(fg.FactorGraphError, match="expected ids 0 … 1 in column 'w'; got 0 … 9"):
        Columns(("w",), np.array([[0, 9]], np.int32), np.array([0, 2]), columns.vocabularies[:1])


def test_an_encoder_for_everything():
    words = columns_of([[("a", "N")]])
    assert isinstance(encoder_for(words, templates=CHUNKING), Templates)
    assert encoder_for(words).templates == CHUNKING and "BOS" in encoder_for([["a"]]).templates
    assert isinstance(encoder_for([[("a", "N")]], templates=CHUNKING, columns=("w", "pos")), Templates)
    assert isinstance(encoder_for([[{"a": 1}]]), Features) and isinstance(encoder_for([[], [["a"]]]), Features)
    assert isinstance(encoder_for([]), Features)
    assert isinstance(encoder_for([np.eye(2)]), Numbers) and isinstance(encoder_for(np.eye(2)), Numbers)
    with pytest.raises(fg.FactorGraphError, match="templates: expected some for columns"):
        encoder_for(Columns.from_columns({"form": [["a"]]}))
    with pytest.raises(fg.FactorGraphError, match=r"X\[0\]: expected a sequence of tokens; got str"):
        encoder_for(["a b"])


def saved():
    """The arrays of one encoder of each kind."""
    yield made_templates().arrays()
    made = Features()
    made.fit([[{"a": "é", "b": 2}]])
    yield made.arrays()


def made_templates():
    made = Templates("w[0]|pos[0]", "lower(w[0])", "bias")
    made.fit(columns_of([[("é", "N"), ("B", "V")]]))
    return made


def test_mutated_arrays_are_refused_or_work():
    rng = random.Random(0)
    refused = 0
    for arrays in saved():
        for _ in range(300):
            changed = {name: np.array(array) for name, array in arrays.items()}
            name = rng.choice(sorted(changed))
            how = rng.randrange(4)
            if how == 0:
                del changed[name]
            elif how == 1 and changed[name].size:
                flat = changed[name].reshape(-1)
                flat[rng.randrange(flat.size)] = rng.choice([0, 1, 7, 200, 255, -1]) % 256 or rng.randrange(100)
            elif how == 2:
                changed[name] = changed[name].reshape(-1)[:-1]
            else:
                changed[name] = changed[name].astype(np.float32)
            try:
                loaded = load_encoder(changed)
                if isinstance(loaded, Templates):
                    loaded.transform(columns_of([[("B", "N"), ("é", "V")]]))
                else:
                    loaded.transform([[{"a": "é"}]])
                assert all(isinstance(loaded.name(i), str) for i in range(min(loaded.n_features, 9)))
            except fg.FactorGraphError:
                refused += 1
    assert refused > 200


def test_threads_and_pickles():
    sequences = [[(f"w{i * j % 97}", f"p{j % 5}") for j in range(50)] for i in range(200)]
    columns, tokens = columns_of(sequences), [[{"w": w, "p": [p]} for w, p in each] for each in sequences]
    for ours, X, other in (
        (Templates("w[0]|pos[1]", "suffix1(w[0])"), columns, columns_of(sequences[::-1])),
        (Features(), tokens, tokens[::-1]),
    ):
        ours.fit(X)
        expected = ours.transform(other)
        copy = pickle.loads(pickle.dumps(ours))
        fresh = load_encoder(ours.arrays())
        with ThreadPoolExecutor(4) as pool:
            for each in pool.map(fresh.transform, [other] * 8):
                same(each, expected)
        same(copy.transform(other), expected)


@pytest.mark.jitoff
def test_encoders_without_the_compiler():
    sequences = [[("Ab", "N"), ("c1", "V")], [("é", "N")]]
    twin, ours = Twin(["w[-1]|pos[0]", "suffix1(w[0])"], True, 1), Templates("w[-1]|pos[0]", "suffix1(w[0])")
    twin.fit(sequences)
    assert rows_of(ours.fit(columns_of(sequences))) == twin.transform(sequences)[0]
    assert entries.Entries().codes([{"a": "b"}, {"a": "b", "c": 2}])[0].tolist() == [1, 1, -1]
