"""A C compiler that takes its time and keeps count."""


def slow_compiler(folder):
    """The path of a command for $CC, and that of a file, which gets a line for each library that the command makes.

    It takes long enough for other processes to want the same library meanwhile.
    """
    script, made = folder / "cc", folder / "made"
    made.touch()
    script.write_text(f'#!/bin/sh\ncase "$*" in *-shared*) echo >>{made}; sleep 1;; esac\nexec cc "$@"\n')
    script.chmod(0o755)
    return script, made
