"""Counts, a step every 0.2 s, and saves now and then; standard library only, so it starts at once.

Usage: counter.py STEPS [--witness DIR] [--resume-from PATH] [--save-every N]
                  [--on-term save|ignore] [--exit CODE] [--spawn-orphan]

Each step leaves an `alive` line in the trace, so that a test knows how long a rank lived at least,
however it was killed.
"""

import argparse
import os
import signal
import subprocess
import sys
import time

import witness

STEP_S = 0.2
KEPT = 3

parser = argparse.ArgumentParser()
parser.add_argument("steps", type=int)
parser.add_argument("--witness", default="")
parser.add_argument("--resume-from", default="")
parser.add_argument("--save-every", type=int, default=5)
parser.add_argument("--on-term", choices=["save", "ignore"])
parser.add_argument("--exit", type=int, default=0)
parser.add_argument("--spawn-orphan", action="store_true")
args = parser.parse_args()

folder = os.environ["UGRO_CHECKPOINT_DIR"]
rank = os.environ.get("RANK", "0")
stopping = False


def on_term(*_):
    global stopping
    stopping = args.on_term == "save"
    witness.note("term")


def save(step):
    """step-N.txt, whole or not at all; only the newest few stay."""
    temporary = f"{folder}/.step-{step}.{rank}.tmp"
    try:
        with open(temporary, "w") as file:
            file.write(f"{step}\n")
        os.replace(temporary, f"{folder}/step-{step}.txt")
    except OSError:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise
    old = step - KEPT * args.save_every
    if os.path.exists(f"{folder}/step-{old}.txt"):
        try:
            os.unlink(f"{folder}/step-{old}.txt")
        except FileNotFoundError:
            pass  # another rank of this host was faster


if args.on_term:
    signal.signal(signal.SIGTERM, on_term)
gpu = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")[int(os.environ.get("LOCAL_RANK", "0"))]
witness.start(args.witness, resume_from=args.resume_from, gpu=gpu)
if args.spawn_orphan:
    # A grandchild in a session of its own whose parent is gone: the kind that gets left behind.
    inner = "import subprocess; subprocess.Popen(['sleep', '600'], start_new_session=True)"
    subprocess.run([sys.executable, "-c", inner], check=True, start_new_session=True)
first = 0
if args.resume_from:
    with open(args.resume_from) as file:
        first = int(file.read())
print(f"rank {rank} counts from {first}", flush=True)
for step in range(first + 1, args.steps + 1):
    time.sleep(STEP_S)
    witness.note("alive", step=step)
    if stopping:
        save(step)
        witness.note("stopped", step=step)
        sys.exit(0)
    if step % args.save_every == 0:
        save(step)
witness.note("end")
sys.exit(args.exit)
