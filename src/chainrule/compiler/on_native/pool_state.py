"""What the threads of a pool share."""

from __future__ import annotations

import ctypes

LINE = 128
"""Bytes that processors pass between their caches at once: two lines of 64 on x86."""
FIELD = 21
"""Bits for each of the three numbers in a lane's word."""


class State(ctypes.Structure):
    """What the threads share. Each group of fields that are written together has lines of its own.

    After it come the lanes, a line each: the word, ``tasks << 42 | claimed from the end << 21 | claimed from the
    beginning``, and the first task.
    """

    stop: int
    threads: int
    lanes: int
    workers: int
    parked: int
    rounds: int
    allowed: bytes
    processor: int
    _fields_ = (
        ("entry", ctypes.c_void_p),
        ("operands", ctypes.c_void_p),
        ("stop", ctypes.c_int64),
        ("threads", ctypes.c_int64),
        ("lanes", ctypes.c_int64),
        ("mode", ctypes.c_int64),  # how the caller's processor rounds
        ("_job", ctypes.c_char * (LINE - 48)),
        ("done", ctypes.c_int64),  # tasks that workers have run since the state was made
        ("_done", ctypes.c_char * (LINE - 8)),
        ("owner", ctypes.c_int64),  # 1 while a job runs
        ("_owner", ctypes.c_char * (LINE - 8)),
        ("steps", ctypes.c_int64),  # programs that are running
        ("workers", ctypes.c_int64),
        ("parked", ctypes.c_int64),
        ("permits", ctypes.c_int64),  # workers that were told to wake up and have not yet
        ("rounds", ctypes.c_int64),  # SPIN
        ("processor", ctypes.c_int64),  # of whoever began the last program
        ("_sleep", ctypes.c_char * (LINE - 48)),
        ("allowed", ctypes.c_char * LINE),  # processors that workers may choose from, a bit each; 0 for any
        ("mutex", ctypes.c_char * LINE),
        ("condition", ctypes.c_char * LINE),
    )
