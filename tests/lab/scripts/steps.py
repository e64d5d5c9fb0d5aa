"""A training whose result shows every step that was taken: lost or repeated ones change the sum.

Usage: steps.py --steps N [--step-time S] [--ckpt-every N] [--witness DIR] [--resume-from PATH]

The model is one number, to which each step adds its own number on every rank (an all_reduce). On
SIGTERM all ranks agree on a step, save there and exit 0. Each rank leaves a `step` line a step.
"""

import argparse
import os
import signal
import sys
import time

import witness

parser = argparse.ArgumentParser()
parser.add_argument("--steps", type=int, required=True)
parser.add_argument("--step-time", type=float, default=0.1)
parser.add_argument("--ckpt-every", type=int, default=5)
parser.add_argument("--resume-from", default="")
parser.add_argument("--witness", default="")
args = parser.parse_args()

stopping = False


def on_term(*_):
    global stopping
    stopping = True


signal.signal(signal.SIGTERM, on_term)
witness.start(args.witness, resume_from=args.resume_from)

import torch  # noqa: E402  (slow: the start is witnessed and SIGTERM handled before it)
import torch.distributed as dist  # noqa: E402
from torch.distributed.elastic.multiprocessing.errors import record  # noqa: E402


def save(step, total):
    """Writes step-N.pt whole or not at all."""
    folder = os.environ["UGRO_CHECKPOINT_DIR"]
    os.makedirs(folder, exist_ok=True)
    temporary = os.path.join(folder, f".step-{step}.{dist.get_rank()}.tmp")
    torch.save({"step": step, "total": total}, temporary)
    os.replace(temporary, os.path.join(folder, f"step-{step}.pt"))
    witness.note("saved", step=step)


def anyone_stopping():
    """True on all ranks alike as soon as one of them got SIGTERM."""
    flag = torch.tensor([1.0 if stopping else 0.0])
    dist.all_reduce(flag, op=dist.ReduceOp.MAX)
    return flag.item() > 0


@record
def main():
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    first, total = 0, torch.zeros(1, dtype=torch.int64)
    if args.resume_from:
        state = torch.load(args.resume_from, weights_only=True)
        first, total = state["step"], state["total"]
    for step in range(first + 1, args.steps + 1):
        part = torch.tensor([step])
        dist.all_reduce(part)
        total += part
        witness.note("step", step=step)
        stop = anyone_stopping()
        if stop or step % args.ckpt_every == 0 or step == args.steps:
            save(step, total)
        if stop:
            witness.note("stopped", step=step)
            break
        time.sleep(args.step_time)
    else:
        witness.note("end", total=total.item(), world_size=dist.get_world_size())
    dist.barrier()  # or a rank may leave while Gloo still works on the last tensor
    dist.destroy_process_group()


main()
sys.exit(0)
