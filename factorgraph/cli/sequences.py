"""Commands on files of tokens, one a line with an empty line between sequences: train, tag, evaluate."""

from __future__ import annotations

import argparse
import lzma
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import FactorGraphError, FormatError
from .files import check_output

if TYPE_CHECKING:
    from ..labelers.encoding import Columns
    from ..labelers.sequence import SequenceLabeler

_NAMES = "w,pos,label"


def train(commands: Any) -> None:
    """`train FILE --model MODEL`."""
    parser = commands.add_parser(
        "train",
        help="learn to label sequences of tokens",
        description="Learn from a file with one token a line, columns separated by blanks and an empty line between "
        "sequences; the last column is the label. Progress goes to standard error.",
    )
    parser.add_argument("file", metavar="FILE", help="to learn from; also .gz, .xz, .bz2")
    parser.add_argument("--model", type=Path, required=True, metavar="MODEL", help="to be written or replaced (.npz)")
    parser.add_argument(
        "--columns", default=_NAMES, metavar="NAMES", help="of the columns, - for unused ones (default: %(default)s)"
    )
    parser.add_argument("--tabs", action="store_true", help="columns are separated by tabs alone")
    parser.add_argument(
        "--templates",
        metavar="T",
        help="crfsuite, or a file with a template such as w[-1]|w[0] a line (default: for words and parts of speech)",
    )
    parser.add_argument("--loss", default="margin", metavar="L", help="margin, perceptron, nll (default: %(default)s)")
    parser.add_argument("--optimizer", metavar="O", help="(default: what suits the loss)")
    parser.add_argument("--epochs", type=_count, metavar="N", help="(default: 10; of L-BFGS at most 100 iterations)")
    parser.add_argument("--order", type=int, choices=(1, 2), default=1, help="labels before one that it looks at")
    parser.add_argument("--cutoff", type=_count, default=1, metavar="N", help="drop features that are rarer")
    parser.add_argument("--constrain", metavar="S", help="rules for labels: iob1, iob2 or iobes")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the order of sequences (default: 0)")
    parser.add_argument("--threads", type=_count, metavar="N", help="(default: as many as the work is worth)")
    parser.add_argument("--quiet", action="store_true", help="no progress")

    def run(arguments: argparse.Namespace) -> int:
        from ..labelers.encoding import read_columns
        from ..labelers.sequence import SequenceLabeler

        check_output(arguments.model, parser, "--model")
        if arguments.file == "-":
            parser.error("argument FILE: expected the name of a file; standard input is for tag and evaluate")
        names = _names(arguments.columns, parser)
        labeler = SequenceLabeler(
            arguments.loss,
            arguments.optimizer,
            arguments.epochs,
            order=arguments.order,
            templates=_templates(arguments.templates),
            columns=[name for name in names[:-1] if name],
            cutoff=arguments.cutoff,
            constrain=arguments.constrain,
            random_state=arguments.seed,
            threads=arguments.threads,
            verbose=not arguments.quiet and sys.stderr.isatty(),
        )
        data = read_columns(arguments.file, names, "\t" if arguments.tabs else None)
        if not data.tokens:
            raise FormatError(f"{arguments.file}: expected at least one token; the file is empty", arguments.file)
        _say(arguments, f"{arguments.file}: {len(data)} sequences, {data.tokens} tokens")
        labeler.fit(data.select(*data.names[:-1]), data)
        labeler.save(arguments.model)
        last = labeler.history_[-1]
        _say(
            arguments,
            f"{len(labeler.history_)} epochs in {labeler.history_['seconds'].sum():.1f} s, last loss {last['loss']:.6g}"
            f"; {labeler.classes_.size} labels, {labeler.n_features_} features; {arguments.model}: "
            f"{arguments.model.stat().st_size} bytes",
        )
        return 0

    parser.set_defaults(run=run)


def tag(commands: Any) -> None:
    """`tag MODEL FILE`."""
    parser = commands.add_parser(
        "tag",
        help="label the tokens of a file",
        description="Print the lines of FILE, or of standard input, with the predicted label behind each, piece by "
        "piece. Columns are those that the model was trained on; more of them, a label say, are passed through.",
    )
    _add_model(parser)

    def run(arguments: argparse.Namespace) -> int:
        labeler = _load(arguments.model)
        for lines, tokens in _pieces(labeler, arguments):
            labels = labeler.predict(tokens)
            out = []
            for sequence, found in zip(lines, labels):
                out += [f"{line}{arguments.separator}{label}" for line, label in zip(sequence, found)]
                out.append("")
            sys.stdout.write("\n".join(out) + "\n")
        return 0

    parser.set_defaults(run=run)


def evaluate(commands: Any) -> None:
    """`evaluate MODEL FILE`."""
    parser = commands.add_parser(
        "evaluate",
        help="say how well a model labels a file whose last column is the label",
        description="Print the accuracy of tokens, and precision, recall and F1 of labelled spans by type, as CoNLL's "
        "shared tasks do.",
    )
    _add_model(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")

    def run(arguments: argparse.Namespace) -> int:
        from ..labelers.spans import Counting

        labeler, counting = _load(arguments.model), Counting()
        for lines, tokens in _pieces(labeler, arguments, labelled=True):
            for sequence, found in zip(lines, labeler.predict(tokens)):
                counting.add([line.split(arguments.between)[-1] for line in sequence], [str(label) for label in found])
        report = counting.report()
        if not report.tokens:
            raise FormatError(f"{arguments.file}: expected at least one token; the file is empty", arguments.file)
        if arguments.json:
            import json

            scores = {"all": report.total, **report.types}
            print(
                json.dumps(
                    {
                        "tokens": report.tokens,
                        "accuracy": report.accuracy,
                        "spans": {
                            kind: {"precision": s.precision, "recall": s.recall, "f1": s.f1, "true": s.true}
                            for kind, s in scores.items()
                        },
                    }
                )
            )
        else:
            print(report)
        return 0

    parser.set_defaults(run=run)


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, metavar="MODEL", help="as written by train")
    parser.add_argument(
        "file", metavar="FILE", nargs="?", default="-", help="also .gz, .xz, .bz2; - for standard input (default)"
    )
    parser.add_argument(
        "--columns", metavar="NAMES", help="of the file, - for unused ones (default: those of the model, in order)"
    )
    parser.add_argument("--tabs", action="store_true", help="columns are separated by tabs alone")


def _load(path: Path) -> SequenceLabeler:
    from ..labelers.sequence import SequenceLabeler

    return SequenceLabeler.load(path)


def _pieces(
    labeler: SequenceLabeler, arguments: argparse.Namespace, labelled: bool = False
) -> Iterator[tuple[list[list[str]], Columns]]:
    """Some hundred thousand tokens at a time: lines of every sequence, and the columns that the model wants.

    labelled: whether a column behind these has to be there, the label.
    """
    from ..labelers.encoding import Columns

    arguments.between = "\t" if arguments.tabs else None
    arguments.separator = "\t" if arguments.tabs else " "
    wanted = labeler.columns_
    names = tuple(arguments.columns.split(",")) if arguments.columns else wanted
    if missing := [name for name in wanted if name not in names]:
        raise FactorGraphError(f"--columns: expected {', '.join(wanted)} among them; {missing[0]!r} is missing")
    least = max(names.index(name) for name in wanted) + 2 if labelled else 0
    for first, lines in _sequences(arguments.file):
        rows = []
        for i, line in enumerate(line for sequence in lines for line in sequence):
            row = line.split(arguments.between)
            if len(row) < len(names):
                raise FormatError(
                    f"{arguments.file}: expected columns {', '.join(names)}; got {line[:60]!r}, token {first + i}",
                    arguments.file,
                )
            if len(row) < least:
                raise FormatError(
                    f"{arguments.file}: expected a label behind columns {', '.join(names)}; got {line[:60]!r}, token "
                    f"{first + i}",
                    arguments.file,
                )
            rows.append(row[: len(names)])
        columns = {name: [row[names.index(name)] for row in rows] for name in wanted}
        yield lines, Columns.from_columns(columns, [len(sequence) for sequence in lines])


def _sequences(file: str, tokens: int = 1 << 17) -> Iterator[tuple[int, list[list[str]]]]:
    """Lines in sequences, so many at a time, with the number of those before them."""
    found: list[list[str]] = [[]]
    count = done = 0
    for line in _lines(file):
        text = line.rstrip("\r\n")
        if text.strip():
            found[-1].append(text)
            count += 1
        elif found[-1]:
            if count >= tokens:
                yield done, found
                done, found, count = done + count, [], 0
            found.append([])
    if found[-1] or len(found) > 1:
        yield done, [sequence for sequence in found if sequence]


def _lines(file: str) -> Iterator[str]:
    if file == "-":
        yield from sys.stdin
        return
    from ..io.source import COMPRESSED

    opened = COMPRESSED.get(Path(file).suffix, open)
    try:
        with opened(file, "rt", encoding="utf-8-sig") as stream:  # a mark at the beginning is no part of a word
            yield from stream
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise FormatError(f"{file}: cannot be read: {reason or error}", file) from None
    except UnicodeDecodeError as error:
        raise FormatError(f"{file}: expected text in UTF-8 ({error.reason})", file) from None


def _templates(given: str | None) -> tuple[str, ...] | None:
    """From a name or a file."""
    from ..labelers.encoding import CRFSUITE_CHUNKING

    if given is None:
        return None
    if given == "crfsuite":
        return CRFSUITE_CHUNKING
    try:
        text = Path(given).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise FormatError(f"--templates: cannot read {given!r}: {error}", given) from None
    found = tuple(line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#"))
    if not found:
        raise FactorGraphError(f"--templates: expected templates in {given!r}, one a line; it has none")
    return found


def _names(text: str, parser: argparse.ArgumentParser) -> tuple[str | None, ...]:
    names = tuple(None if name in ("", "-") else name for name in text.split(","))
    if len(names) < 2 or names[-1] is None or all(name is None for name in names[:-1]):
        parser.error(f"argument --columns: expected names such as {_NAMES}, the last of them the label; got {text!r}")
    return names


def _say(arguments: argparse.Namespace, text: str) -> None:
    if not arguments.quiet:
        print(text, file=sys.stderr)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a number ≥ 1; got {text!r}")
    return int(text)
