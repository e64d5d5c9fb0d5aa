"""Leaves a trace of every start of a rank, so that tests can prove that none started twice.

Each start makes a file DIR/JOB.ATTEMPT.RANK.PID.RANDOM.jsonl of its own; its first line tells who
started where and from what, later lines what became of it. Standard library only.
"""

import json
import os
import socket
import time

_path = None


def start(folder, **facts):
    """Records this process's start; does nothing without a folder."""
    global _path
    if not folder:
        return
    os.makedirs(folder, exist_ok=True)
    who = {
        "job": os.environ.get("UGRO_JOB", "by-hand"),
        "attempt": int(os.environ.get("UGRO_ATTEMPT", "0")),
        "rank": int(os.environ.get("RANK", "0")),
        "pid": os.getpid(),
    }
    name = ".".join(map(str, who.values())) + f".{os.urandom(4).hex()}.jsonl"
    _path = os.path.join(folder, name)
    note("start", host=socket.gethostname(), **who, **facts)


def note(event, **facts):
    """Adds a line to this process's trace."""
    if _path is None:
        return
    line = json.dumps({"event": event, "time": time.time(), **facts}) + "\n"
    fd = os.open(_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(fd, line.encode())
    finally:
        os.close(fd)
