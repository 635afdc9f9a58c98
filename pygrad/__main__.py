"""Implements `pygrad run script.py [args]`, `pygrad run -m module [args]`, `pygrad cache` and `pygrad bench`."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

import pygrad
from pygrad import dropin
from pygrad.program import native


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with these arguments and return the exit status."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    parser = argparse.ArgumentParser(prog="pygrad", description="micrograd at the speed of C")
    parser.add_argument("--version", action="version", version=f"pygrad {pygrad.__version__}")
    commands = parser.add_subparsers(dest="command")
    run = commands.add_parser("run", help="run a script that imports micrograd on pygrad instead")
    run.add_argument("-m", dest="is_module", action="store_true", help="run a module by its name, such as pytest")
    run.add_argument(
        "--replace",
        action="append",
        choices=["engine", "nn"],
        help="replace only this module of micrograd, even if it is a changed copy; may be given twice",
    )
    run.add_argument("script", help="the path of the script, or after -m the name of a module")
    run.add_argument("args", nargs=argparse.REMAINDER, help="the arguments of the script")
    commands.add_parser("bench", help="compare speeds; `pygrad bench --help` lists the options", add_help=False)
    cache = commands.add_parser("cache", help="list the native code of compiled functions that is kept on disk")
    cache.add_argument("--clear", action="store_true", help="remove it all")
    if arguments[:1] == ["bench"]:  # it parses its own options
        from pygrad.bench.__main__ import main as bench

        return bench(arguments[1:])
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help()
        return 0
    if options.command == "cache":
        return _cache(options.clear)
    try:
        dropin.run(options.script, options.args, options.is_module, options.replace)
    except FileNotFoundError as error:
        if error.errno is not None:  # raised by the script itself
            raise
        parser.error(str(error))
    return 0


def _cache(clear: bool) -> int:
    """List or clear the cache of native code."""
    entries = native.clear_cache() if clear else native.cached()
    for path, status in () if clear else entries:
        used = time.strftime("%Y-%m-%d %H:%M", time.localtime(status.st_mtime))
        print(f"{status.st_size:12,}  {used}  {path.name}")
    count, size = len(entries), sum(status.st_size for _, status in entries)
    files = f"{count} file{'s' * (count != 1)}"
    print(f"{'removed ' * clear}{files} of {size:,} bytes in all, in {native.cache_folder()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
