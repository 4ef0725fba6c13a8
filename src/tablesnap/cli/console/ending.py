"""How a process ends whose libraries have threads of their own."""

import os
import sys


def end(code: int) -> int:
    """End this process with *code* where another thread of it is alive; else return *code*.

    Threads of obstore's run on while the interpreter and the C library take themselves down, and now and then touch
    what is gone: of a hundred daemons that had stopped, two or three were killed by SIGSEGV. All that is to be kept is
    written by now. Linux has a directory for each thread in ``/proc/self/task``.
    """
    if len(os.listdir("/proc/self/task")) > 1:
        for stream in filter(None, (sys.stdout, sys.stderr)):
            stream.flush()
        os._exit(code)
    return code
