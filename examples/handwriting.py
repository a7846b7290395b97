"""Read lines of touching handwritten digits, with a model that was never shown where one digit ends.

    python examples/handwriting.py                    # about a minute
    python examples/handwriting.py --quick            # some seconds, and it reads badly
    python examples/handwriting.py --picture out.png  # also draw a dozen lines

A line is a lattice: nodes are columns where it may be cut, an arc is the ink between two of them. A small network gives
every arc ten energies, one per digit. A path from the first node to the last one spells a string; its energy is the sum
over its arcs. The loss compares two sums over paths: those that spell the right string, and all.
"""

import argparse

import numpy as np

import factorgraph as fg
from factorgraph.datasets import digit_lines


def main():
    parser = argparse.ArgumentParser(description="Read touching handwritten digits.")
    parser.add_argument("--quick", action="store_true", help="few lines, few epochs")
    parser.add_argument("--picture", metavar="PATH", help="draw a dozen lines into this PNG")
    arguments = parser.parse_args()

    # No digit image occurs both in a line to learn from and in a line to be tested on.
    if arguments.quick:
        lines, size = digit_lines(train=400, test=100), {"epochs": 4, "batch_size": 4}
    else:
        lines, size = digit_lines(train=10000, test=1000, vary=0.1), {"epochs": 10, "batch_size": 32, "hidden": 256}
    images, strings = ([line.image for line in lines.train], [line.digits for line in lines.train])
    tests, truths = ([line.image for line in lines.test], [line.digits.tolist() for line in lines.test])

    rule = fg.optim.Adam(8e-3, l2=3e-4, schedule="linear")
    reader = fg.SegmentLabeler(optimizer=rule, progress=True, **size).fit(images, strings)
    print(f"string error    {1 - reader.score(tests, truths):6.1%}")
    print(f"character error {reader.character_error(tests, truths):6.1%}")
    readings = reader.predict(tests)
    for truth, reading in list(zip(truths, readings))[:5]:
        print("wrote", "".join(map(str, truth)), "read", "".join(map(str, reading)))

    # Numbers with a check digit, s_1 + 3 s_2 + s_3 + … divisible by ten: the reader is told so after training.
    reader.grammar = fg.Acceptor.check_digit(10, weights=(1, 3))
    chosen = [i for i, truth in enumerate(truths) if reader.grammar.accepts(truth)]
    X, y = [tests[i] for i in chosen], [truths[i] for i in chosen]
    free = np.mean([list(readings[i]) != truths[i] for i in chosen])
    print(
        f"of {len(chosen)} lines with a check digit {free:.1%} are misread, {1 - reader.score(X, y):.1%} if it is used"
    )

    if arguments.picture:
        from factorgraph.plots import draw_lines

        cuts = [np.append(0, spans[:, 1]) for spans in reader.align(tests[:12], readings[:12])]
        draw_lines(arguments.picture, tests[:12], cuts, readings[:12], truths[:12])


if __name__ == "__main__":
    main()
