"""Find phones in a stream of sound-like frames, from words alone: the reader of handwriting, without an image.

    python examples/speech_like.py            # some seconds
    python examples/speech_like.py --quick
    python examples/speech_like.py --picture out.png  # also draw some utterances

Frames are vectors; a phone is a glide between two of them that lasts three to seven frames, faster or slower, under
noise. Nobody says where a phone ends. The cutter allows a boundary wherever the frames change, the features describe
how a segment runs, and a table of pairs, learned along, says which phones follow each other.
"""

import argparse

import numpy as np

import factorgraph as fg

PHONES = ("a", "e", "k", "m", "o", "s", "t")
BANDS, LONGEST = 5, 9


def stream(rng, voice, count, noise=0.5):
    """`count` utterances: frames (T, BANDS), phones, and the frames at which phones end."""
    out = []
    for _ in range(count):
        phones = rng.integers(len(PHONES), size=rng.integers(2, 6))
        phones = phones[np.append(True, phones[1:] != phones[:-1])]
        lasts = rng.integers(3, 8, size=phones.size)
        frames = []
        for phone, steps in zip(phones, lasts):
            way = np.linspace(0, 1, steps)[:, None]
            frames.append((1 - way) * voice[phone, 0] + way * voice[phone, 1])
        frames = np.concatenate(frames)
        out.append((frames + rng.normal(0, noise, frames.shape), [PHONES[k] for k in phones], np.cumsum(lasts)))
    return out


def cutter(frames):
    """Boundaries before every other frame, and where frames change most; segments of two to nine frames."""
    change = np.linalg.norm(np.diff(frames, axis=0), axis=1)
    inner = set(range(2, len(frames) - 1, 2)) | set((1 + np.flatnonzero(change > np.median(change))).tolist())
    cuts = np.array(sorted({0, len(frames)} | inner))
    pairs = [(i, j) for i in range(len(cuts)) for j in range(i + 1, len(cuts)) if 2 <= cuts[j] - cuts[i] <= LONGEST]
    start, end = np.array(pairs).T
    return fg.Segmentation(cuts, start, end)


def features(frames, spans):
    """How each segment runs: its beginning, middle and end, how much they vary, and how long it is."""
    rows = []
    for left, right in spans:
        part = frames[left:right]
        third = max(1, len(part) // 3)
        rows.append(
            [part[:third].mean(0), part.mean(0), part[-third:].mean(0), part.std(0), np.full(1, len(part) / LONGEST)]
        )
    return np.array([np.concatenate(row) for row in rows], np.float32)


def main():
    parser = argparse.ArgumentParser(description="Find phones in a synthetic stream.")
    parser.add_argument("--quick", action="store_true", help="fewer utterances, fewer epochs")
    parser.add_argument("--picture", metavar="PATH", help="draw what is heard into this PNG")
    arguments = parser.parse_args()
    quick = arguments.quick

    rng = np.random.default_rng(0)
    voice = rng.normal(size=(len(PHONES), 2, BANDS))
    learned, unseen = stream(rng, voice, 150 if quick else 600), stream(rng, voice, 50 if quick else 200)
    X, y, _ = zip(*learned)
    tests, truths, ends = zip(*unseen)

    listener = fg.SegmentLabeler(cutter, features, hidden=32, bigram=True, epochs=6 if quick else 15, batch_size=8)
    print(f"{listener.reachable(X, y).mean():.1%} of the utterances have a path for their phones")
    listener.fit(X, y)
    print(f"utterances misheard {1 - listener.score(tests, truths):6.1%}")
    print(f"phone error         {listener.character_error(tests, truths):6.1%}")
    found = listener.align(tests, truths)
    near = [abs(a - b) <= 1 for spans, true in zip(found, ends) for a, b in zip(spans[:-1, 1], true[:-1])]
    print(f"boundaries found to within a frame {np.mean(near):.1%}, none of them ever shown")

    listener.grammar = fg.Acceptor.lexicon({tuple(word) for word in truths}, symbols=PHONES)
    print(f"with a lexicon, misheard {1 - listener.score(tests, truths):.1%}")
    for word, energy in listener.predict_k_best(tests[:1], 3)[0]:
        print(f"    {' '.join(word):20} {energy:8.2f}   (said: {' '.join(truths[0])})")

    if arguments.picture:
        from factorgraph.plots import draw_lines

        listener.grammar = None
        heard = listener.predict(tests[:8])
        cuts = [np.append(0, spans[:, 1]) for spans in listener.align(tests[:8], heard)]
        low, high = np.min(np.concatenate(tests)), np.max(np.concatenate(tests))
        images = [(frames.T - low) / (high - low) for frames in tests[:8]]
        draw_lines(arguments.picture, images, cuts, heard, truths[:8])


if __name__ == "__main__":
    main()
