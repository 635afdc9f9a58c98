"""Interrupts at a chosen moment."""

import sys


class Interrupt(BaseException):
    pass


def swallows(frame):
    """Whether a frame is that of a destructor of others, or of what this calls: what is raised there goes nowhere."""
    while frame and (frame.f_code.co_name != "__del__" or frame.f_globals["__name__"].startswith("pygrad")):
        frame = frame.f_back
    return frame is not None


def interrupted_at(event, function):
    """Call a function and raise Interrupt at the event of that number, or at the first that does not swallow it.

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
