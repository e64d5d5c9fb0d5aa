"""A small resumable DDP training with the switches that the lab tests need.

Every rank prints `step N loss X`. On SIGTERM all ranks agree on a step, save there and exit 0.
`--idle-after N --idle-time S`: after step N nothing goes over the network for S seconds.
"""

import argparse
import os
import signal
import sys
import time

import witness

parser = argparse.ArgumentParser()
parser.add_argument("--steps", type=int, default=20)
parser.add_argument("--step-time", type=float, default=0.1)
parser.add_argument("--lr", type=float, default=0.05)
parser.add_argument("--ckpt-every", type=int, default=5)
parser.add_argument("--save-on", choices=["all", "rank0"], default="all")
parser.add_argument("--checkpoint-dir", default=os.environ.get("UGRO_CHECKPOINT_DIR", ""))
parser.add_argument("--resume-from", default="")
parser.add_argument("--witness", default="")
parser.add_argument("--idle-after", type=int, default=0)
parser.add_argument("--idle-time", type=float, default=20)
parser.add_argument("--raise-at", type=int, default=0)
parser.add_argument("--raise-rank", type=int, default=0)
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
from torch.nn.parallel import DistributedDataParallel  # noqa: E402


def save(model, optimizer, step):
    """Writes step-N.pt whole or not at all."""
    folder = args.checkpoint_dir
    if not folder or (args.save_on == "rank0" and dist.get_rank() != 0):
        return
    os.makedirs(folder, exist_ok=True)
    # Ranks may share the folder (several on a host, or a file server): each writes its own file.
    temporary = os.path.join(folder, f".step-{step}.{dist.get_rank()}.tmp")
    state = {"step": step, "model": model.state_dict(), "optimizer": optimizer.state_dict()}
    with open(temporary, "wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, os.path.join(folder, f"step-{step}.pt"))


def load(model, optimizer):
    """State of the checkpoint to go on from; gives its step."""
    if not args.resume_from:
        return 0
    state = torch.load(args.resume_from, weights_only=True)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    return state["step"]


def anyone_stopping():
    """True on all ranks alike as soon as one of them got SIGTERM."""
    flag = torch.tensor([1.0 if stopping else 0.0])
    dist.all_reduce(flag, op=dist.ReduceOp.MAX)
    return flag.item() > 0


def wait(seconds):
    end = time.monotonic() + seconds
    while not stopping and (left := end - time.monotonic()) > 0:
        time.sleep(min(left, 0.1))


def leave():
    """Ends the group. Without the barrier PyTorch 2.13 aborts now and then (exit code -6, "terminate
    called without an active exception"): Gloo's thread still holds the last tensor."""
    dist.barrier()
    dist.destroy_process_group()


@record
def main():
    torch.manual_seed(0)
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    rank = dist.get_rank()
    model = DistributedDataParallel(torch.nn.Linear(8, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=args.lr)
    first = load(model, optimizer)
    witness.note("train", first_step=first, world_size=dist.get_world_size())
    print(f"rank {rank} of {dist.get_world_size()} goes on from step {first}", flush=True)
    for step in range(first + 1, args.steps + 1):
        x = torch.randn(16, 8)
        loss = torch.nn.functional.mse_loss(model(x), x.sum(dim=1, keepdim=True))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(f"step {step} loss {loss.item():.4f}", flush=True)
        if step == args.raise_at and rank == args.raise_rank:
            raise ValueError(f"asked to fail at step {step}")
        if anyone_stopping():
            save(model, optimizer, step)
            witness.note("stopped", step=step)
            print(f"stopped at step {step}", flush=True)
            leave()
            sys.exit(0)
        if step % args.ckpt_every == 0 or step == args.steps:
            save(model, optimizer, step)
        wait(args.step_time)
        if step == args.idle_after:
            print("idle", flush=True)
            witness.note("idle", step=step)
            wait(args.idle_time)
    leave()
    witness.note("end", step=args.steps)


main()
