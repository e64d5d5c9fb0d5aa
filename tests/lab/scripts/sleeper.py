"""A job that only waits; standard library only, so it starts at once.

Usage: sleeper.py SECONDS [--witness DIR] [--on-term exit0|ignore] [--exit CODE] [--spawn-orphan] [--note TEXT]
"""

import argparse
import os
import signal
import subprocess
import sys
import time

import witness

parser = argparse.ArgumentParser()
parser.add_argument("seconds", type=float)
parser.add_argument("--witness", default="")
parser.add_argument("--on-term", choices=["exit0", "ignore"])
parser.add_argument("--exit", type=int, default=0)
parser.add_argument("--spawn-orphan", action="store_true")
parser.add_argument("--note", help="left in the trace as it came")
args = parser.parse_args()


def on_term(*_):
    witness.note("term")
    if args.on_term == "exit0":
        sys.exit(0)


if args.on_term:
    signal.signal(signal.SIGTERM, on_term)
witness.start(args.witness, **({} if args.note is None else {"note": args.note}))
if args.spawn_orphan:
    # A grandchild in a session of its own whose parent is gone: the kind that gets left behind.
    inner = "import subprocess, sys; subprocess.Popen(['sleep', '600'], start_new_session=True)"
    subprocess.run([sys.executable, "-c", inner], check=True, start_new_session=True)
print(f"sleeping {args.seconds} s as rank {os.environ.get('RANK', '0')}", flush=True)
end = time.monotonic() + args.seconds
while (left := end - time.monotonic()) > 0:
    time.sleep(min(left, 0.5))
witness.note("end")
sys.exit(args.exit)
