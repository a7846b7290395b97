"""Read lines of touching handwritten digits, with a model that was never shown where one digit ends.

    python examples/handwriting.py                    # about a minute
    python examples/handwriting.py --quick            # some seconds, and it reads badly
    python examples/handwriting.py --picture out.png  # also draw a dozen lines

An energy-based model is four choices: an architecture, a way of inference, a loss, an optimiser.
"""

import argparse

import factorgraph as fg
from factorgraph.datasets import digit_lines
from factorgraph.labelers.handwriting import segment
from factorgraph.labelers.metrics import character_error, string_error


def build(g, image):
    """The architecture: one line of writing as a lattice.

    Nodes are columns where the line may be cut, an arc is the ink between two of them. A small network gives every
    arc ten energies, one per digit. A path from the first node to the last one spells a string; its energy is the sum
    over its arcs. Parameters are shared by name: all arcs of all lines use the network "glyph".
    """
    segments = segment(image)
    line = g.lattice("line", arcs=(segments.start, segments.end), states=10)
    g.add(fg.MLP(segments.features, "glyph", hidden=96), line)


def read(image, parameters):
    """Inference: the path of least energy gives the string, and the columns at which the line is cut."""
    g = fg.FactorGraph()
    build(g, image)
    solution = fg.solve(g, parameters=parameters)
    segments = segment(image)
    cuts = segments.cuts[[0, *segments.end[solution.paths["line"]]]]
    return solution.strings["line"], cuts


def main():
    parser = argparse.ArgumentParser(description="Read touching handwritten digits.")
    parser.add_argument("--quick", action="store_true", help="few lines, few epochs")
    parser.add_argument("--picture", metavar="PATH", help="draw a dozen lines into this PNG")
    arguments = parser.parse_args()

    # No digit image occurs both in a line to learn from and in a line to be tested on.
    if arguments.quick:
        lines, epochs, batch = digit_lines(train=400, test=100), 4, 4
    else:
        lines, epochs, batch = digit_lines(train=5000, test=1000), 20, 32

    # The loss compares two sums over paths: those that spell the right string, and all. Where the cuts are is latent.
    # The optimiser is Adam, with a rate that falls to zero.
    model = fg.Model(build)
    run = fg.train(
        model,
        [line.image for line in lines.train],
        [line.digits for line in lines.train],
        loss=fg.losses.NLL(),
        optimizer=fg.optim.Adam(8e-3, schedule="linear"),
        batch=batch,
        epochs=epochs,
        progress=True,
    )

    truths = [line.digits for line in lines.test]
    strings = model.predict(run.parameters, [line.image for line in lines.test])
    print(f"string error    {string_error(truths, strings):6.1%}")
    print(f"character error {character_error(truths, strings):6.1%}")
    for truth, string in list(zip(truths, strings))[:5]:
        print("wrote", "".join(map(str, truth)), "read", "".join(map(str, string)))

    if arguments.picture:
        from factorgraph.plots import draw_lines

        some = lines.test[:12]
        readings, cuts = zip(*(read(line.image, run.parameters) for line in some))
        draw_lines(arguments.picture, [line.image for line in some], cuts, readings, truths[:12])


if __name__ == "__main__":
    main()
