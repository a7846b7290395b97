"""The command line: `factorgraph COMMAND`, or `python -m factorgraph COMMAND`.

A command is one function that adds its parser and sets `run`, a function of the parsed arguments that returns the exit
status; it imports what it needs when it runs. COMMANDS lists them. Exit status: 0, 1 for an error, 2 for wrong usage.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from .. import __version__
from ..errors import FactorGraphError
from . import files, sequences


def _demo(commands: Any) -> None:
    parser = commands.add_parser(
        "demo",
        help="learn to read touching handwritten digits from strings alone",
        description="Learn to read lines of touching handwritten digits from their strings alone, read lines of other "
        "digits, compare with cutting first and recognising afterwards, and draw a dozen lines. Takes about a minute.",
    )
    parser.add_argument("--seed", type=_seed, default=0, metavar="N", help="of every random choice (default: 0)")
    parser.add_argument("--quick", action="store_true", help="a few hundred lines, a few seconds: to see that it runs")
    parser.add_argument(
        "--full", action="store_true", help="what each part of the reader is worth, on three seeds: many minutes"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    parser.add_argument(
        "--picture",
        type=Path,
        default=Path("out/handwriting.png"),
        metavar="PATH",
        help="a PNG; its folder is made (default: %(default)s)",
    )

    def run(arguments: argparse.Namespace) -> int:
        import json
        from dataclasses import asdict

        from ..demo import FULL, QUICK, run

        _check_picture(arguments.picture, parser)
        size = QUICK if arguments.quick else FULL
        if arguments.full:
            from ..demo.ablation import ablation

            ablation(size, say=lambda line: print(line, flush=True), picture=arguments.picture)
            return 0
        report = run(
            arguments.seed,
            size,
            arguments.picture,
            say=(lambda line: None) if arguments.json else (lambda line: print(line, flush=True)),
            progress=sys.stderr.isatty(),
        )
        if arguments.json:
            print(json.dumps(asdict(report)))
        return 0

    parser.set_defaults(run=run)


def _info(commands: Any) -> None:
    parser = commands.add_parser(
        "info",
        help="say what a file holds, or what this installation runs on and where its compiled kernels lie",
        description="Of a FILE: variables, states, factors, tables, components. Without one: versions, cores, the "
        "processor's vectors, whether kernels are compiled and where they are kept.",
    )
    files.add_file(parser, nargs="?")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")

    def run(arguments: argparse.Namespace) -> int:
        import json
        from dataclasses import asdict

        if arguments.file is not None:
            return files.describe(arguments)

        from ..info import environment

        found = environment()
        print(json.dumps(asdict(found)) if arguments.json else "\n".join(found.lines()))
        return 0

    parser.set_defaults(run=run)


COMMANDS = (_demo, sequences.train, sequences.tag, sequences.evaluate, files.solve, files.convert, _info)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command, by default that of the process; returns its exit status. Wrong usage raises SystemExit(2)."""
    parser = argparse.ArgumentParser(
        prog="factorgraph", description="Energy-based structured prediction on factor graphs."
    )
    parser.add_argument("--version", action="version", version=f"factorgraph {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for add in COMMANDS:
        add(commands)
    arguments = parser.parse_args(argv)
    try:
        status: int = arguments.run(arguments)
        sys.stdout.flush()  # now, not at the exit of Python: nobody could catch there what a closed pipe says
    except FactorGraphError as error:
        print(f"factorgraph: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # `factorgraph … | head`: whoever reads has enough; nor shall the exit of Python complain
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:  # a full disk, say
        print(f"factorgraph: cannot write: {error}", file=sys.stderr)
        with suppress(OSError, ValueError):  # nor shall the exit of Python write again
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print("factorgraph: interrupted", file=sys.stderr)
        return 130
    return status


def _seed(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a non-negative integer; got {text!r}")
    return int(text)


def _check_picture(path: Path, parser: argparse.ArgumentParser) -> None:
    """Make its folder; refuse now what could not be written after a minute of work."""
    if path.suffix.lower() != ".png":
        parser.error(f"argument --picture: expected a name that ends in .png; got {str(path)!r}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        parser.error(f"argument --picture: cannot make the folder {str(path.parent)!r}: {error.strerror}")
    if path.is_dir() or not os.access(path.parent, os.W_OK):
        parser.error(f"argument --picture: cannot write {str(path)!r}: choose a file in a folder that is yours")


__all__ = ["COMMANDS", "main"]
