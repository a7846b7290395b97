"""Words of handwritten letters, three readers: a linear chain, a chain with a neural network, and without segmentation.

    FACTORGRAPH_DATA=folder python examples/ocr_words.py   # folder/ocr/letter.data.gz, Taskar's words: some minutes
    python examples/ocr_words.py --quick                   # without the data: "words" of scikit-learn's digits

The first two are told where every letter is (one picture per letter) and differ in the energies of a letter only. For
the third one the pictures of a word are pasted side by side until they touch: it learns from images of whole words and
their letters, with a lattice of candidate cuts, and a table of pairs of letters like the others.
"""

import argparse
import gzip
import os
from pathlib import Path

import numpy as np

import factorgraph as fg
from factorgraph.labelers.metrics import character_error


def words_of(folder, quick):
    """(letters (L, 16, 8), string) of words to learn from, and to read: fold 0 to read, as the data is divided."""
    path = Path(folder or "", "ocr", "letter.data.gz")
    if folder is None or not path.is_file():
        print("FACTORGRAPH_DATA names no folder with ocr/letter.data.gz: words made of digits instead")
        return synthetic(200 if quick else 1000), synthetic(60 if quick else 300, test=True)
    rows = [line.split() for line in gzip.open(path, "rt")]
    sets, letters, text = ([], []), [], ""
    for row in rows:
        letters.append(np.array(row[6:], np.float32).reshape(16, 8))
        text += row[1]
        if row[2] == "-1":
            sets[row[5] == "0"].append((np.stack(letters), text))
            letters, text = [], ""
    return (sets[0][:300], sets[1][:60]) if quick else sets


def synthetic(count, test=False):
    """Words over "a" … "j" in which a letter is mostly followed by one of three others, drawn as digits."""
    from sklearn.datasets import load_digits

    data, rng = load_digits(), np.random.default_rng(int(test))
    half = np.arange(len(data.target)) % 2 == int(test)
    follow = np.array([[k, k + 1, k + 3] for k in range(10)]) % 10
    out = []
    for _ in range(count):
        digits = [int(rng.integers(10))]
        for _ in range(int(rng.integers(2, 7))):
            digits.append(int(rng.integers(10) if rng.random() < 0.2 else rng.choice(follow[digits[-1]])))
        chosen = [rng.choice(np.flatnonzero(half & (data.target == k))) for k in digits]
        images = np.repeat(data.images[chosen] / 16, 2, axis=1).astype(np.float32)
        out.append((images, "".join("abcdefghij"[k] for k in digits)))
    return out


def chain(hidden):
    """A model of words whose letters are known one by one: pictures, then pairs of neighbours."""

    def build(g, letters):
        x = letters.reshape(len(letters), -1)
        word = g.variables("word", len(x), states=26)
        if hidden:
            g.add(fg.MLP(x, "letter", hidden=hidden), word)
        else:
            g.add(fg.Linear(np.column_stack([x, np.ones(len(x), np.float32)]), "letter"), word)
        g.add(fg.Linear(None, "pair", dtype=np.float32), word[:-1], word[1:])

    return fg.Model(build)


def paste(letters):
    """One image (16, W) of a word: letters cropped to their ink and pushed together."""
    cropped = [letter[:, np.flatnonzero(letter.max(0) > 0.1)] for letter in letters]
    return np.concatenate(cropped, axis=1)


def cutter(image):
    """Cuts before every column; an arc is one to eight columns."""
    width = image.shape[1]
    start, wide = (part.ravel() for part in np.meshgrid(np.arange(width), np.arange(1, 9), indexing="ij"))
    fits = start + wide <= width
    return fg.Segmentation(np.arange(width + 1), start[fits], (start + wide)[fits])


def features(image, spans):
    """The ink between two cuts, centred in 16x8; how wide it is; and a column on either side."""
    wide = np.pad(image, ((0, 0), (8, 9)))
    left, width = spans[:, 0], spans[:, 1] - spans[:, 0]
    step = np.arange(8) - (8 - width[:, None]) // 2
    inside = (step >= 0) & (step < width[:, None])
    picture = wide[:, left[:, None] + 8 + step] * inside
    beside = wide[:, np.stack([left + 7, spans[:, 1] + 8], 1)]
    parts = [part.transpose(1, 0, 2).reshape(len(spans), -1) for part in (picture, beside)]
    return np.concatenate([*parts, np.eye(8)[width - 1]], axis=1).astype(np.float32)


def main():
    parser = argparse.ArgumentParser(description="Words of handwritten letters, with and without a segmentation.")
    parser.add_argument("--quick", action="store_true", help="few words, few epochs")
    parser.add_argument("--picture", metavar="PATH", help="draw words with the cuts that were chosen into this PNG")
    arguments = parser.parse_args()
    quick = arguments.quick
    train, test = words_of(os.environ.get("FACTORGRAPH_DATA"), quick)
    X, tests = [letters for letters, _ in train], [letters for letters, _ in test]
    words, truths = [text for _, text in train], [text for _, text in test]
    print(f"{len(train):,} words to learn from, {len(test):,} others to read")

    epochs, batch = (6, 4) if quick else (20, 16)
    as_states = [np.array([ord(k) - ord("a") for k in word]) for word in words]
    for title, hidden in (("linear chain", 0), ("neural chain", 256)):
        rule = fg.optim.Adam(3e-3, l2=1e-4, schedule="linear")
        run = fg.train(chain(hidden), X, as_states, fg.losses.NLL(), rule, epochs=epochs, batch=batch)
        read = chain(hidden).predict(run.parameters, tests)
        found = ["".join(chr(ord("a") + int(k)) for k in labels) for labels in read]
        print(f"{title:22} letter error {character_error(truths, found):6.1%}")

    rule = fg.optim.Adam(3e-3, l2=1e-4, schedule="linear")
    reader = fg.SegmentLabeler(
        cutter, features, hidden=256, bigram=True, optimizer=rule, epochs=epochs, batch_size=batch
    )
    reader.fit([paste(letters) for letters in X], words)
    images = [paste(letters) for letters in tests]
    print(f"{'unsegmented lattice':22} letter error {reader.character_error(images, truths):6.1%}")
    if arguments.picture:
        from factorgraph.plots import draw_lines

        read = reader.predict(images[:12])
        cuts = [np.append(0, spans[:, 1]) for spans in reader.align(images[:12], read)]
        draw_lines(arguments.picture, images[:12], cuts, read, truths[:12])
    reader.grammar = fg.Acceptor.lexicon(set(words) | set(truths))
    print(f"{'  with a lexicon':22} letter error {reader.character_error(images, truths):6.1%}")


if __name__ == "__main__":
    main()
