"""Interrupts at a chosen moment."""

import gc
import sys


class Interrupt(BaseException):
    pass


def swallows(frame):
    """Whether what is raised in a frame goes nowhere: the interpreter called it, or its caller, by itself.

    These are destructors, the collector's callbacks (Hypothesis has one) and those of weak dicts and sets. Those of
    pygrad count as other code: it must be right after an interrupt of them, too.
    """
    callbacks = {getattr(callback, "__code__", None) for callback in gc.callbacks}
    while frame:
        name, module = frame.f_code.co_name, frame.f_globals.get("__name__", "")
        weak = module in {"weakref", "_weakrefset"} and name in {"remove", "_remove"}
        if (name == "__del__" or weak or frame.f_code in callbacks) and not module.startswith("pygrad"):
            return True
        frame = frame.f_back
    return False


def interrupted_at(event, function):
    """Call a function and raise Interrupt at the event of that number, or after it as soon as none swallows it.

    Return whether it came so far.
    """
    count = 0

    def trace(frame, kind, arg):
        nonlocal count
        frame.f_trace_opcodes = True
        if kind == "opcode":
            count += 1
            if count >= event and not swallows(frame):
                sys.settrace(None)
                raise Interrupt
        return trace

    before = sys.gettrace()
    sys._getframe().f_trace_opcodes = True  # CPython 3.12 traces opcodes only if a frame wanted that before settrace()
    sys.settrace(trace)
    try:
        function()
    except Interrupt:
        return True
    finally:
        sys.settrace(before)
    return False
