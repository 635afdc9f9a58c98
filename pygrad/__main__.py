"""The command line: `python -m pygrad run script.py [args]`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import pygrad
from pygrad import dropin


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m pygrad", description="micrograd at the speed of C")
    parser.add_argument("--version", action="version", version=f"pygrad {pygrad.__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run a script that says `import micrograd` on pygrad")
    run.add_argument("script")
    run.add_argument("args", nargs=argparse.REMAINDER, help="the script's own arguments")
    options = parser.parse_args(argv)
    try:
        dropin.run(options.script, options.args)
    except FileNotFoundError as error:
        if error.errno is not None:  # the script's own, not ours
            raise
        parser.error(str(error))


if __name__ == "__main__":
    main()
