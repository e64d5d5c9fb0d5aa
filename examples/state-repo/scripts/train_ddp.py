"""A small DDP training script: a deterministic toy regression that saves and resumes.

    torchrun --nproc-per-node 2 train_ddp.py --epochs 5 --lr 0.05

NCCL where there are GPUs, else Gloo. With UGRO_CHECKPOINT_DIR set, every node saves `step-N`
folders there; `--resume-from FOLDER` goes on from one, bit for bit.
"""
import argparse
import os
import shutil
import signal
import time

import torch
import torch.distributed as dist
from torch.distributed.elastic.multiprocessing.errors import record
from torch.nn.parallel import DistributedDataParallel

RANK = int(os.environ.get("RANK", "0"))
LOCAL_RANK = int(os.environ.get("LOCAL_RANK", "0"))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--lr", type=float, default=0.05)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--samples", type=int, default=4096)
    parser.add_argument("--save-every", type=int, default=50, help="steps between checkpoints")
    parser.add_argument("--step-seconds", type=float, default=0, help="pause after each step")
    parser.add_argument("--resume-from", help="a step-N folder")
    return parser.parse_args()


def save(step, model, optimizer):
    """Writes a folder beside its place and renames it: a checkpoint is whole or not there."""
    folder = os.environ.get("UGRO_CHECKPOINT_DIR")
    if not folder or LOCAL_RANK != 0:
        return
    final, draft = os.path.join(folder, f"step-{step}"), os.path.join(folder, f".draft-{RANK}")
    shutil.rmtree(draft, ignore_errors=True)
    os.makedirs(draft)
    state = {"step": step, "model": model.module.state_dict(), "optimizer": optimizer.state_dict()}
    torch.save(state, os.path.join(draft, "state.pt"))
    if os.path.exists(final):  # of an earlier attempt
        shutil.rmtree(final)
    os.rename(draft, final)


@record
def main():
    args = arguments()
    cuda = torch.cuda.is_available()
    device = torch.device("cuda", LOCAL_RANK) if cuda else torch.device("cpu")
    if cuda:
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if cuda else "gloo")
    world = dist.get_world_size()

    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(args.samples, 8, generator=generator)
    targets = inputs @ torch.randn(8, 1, generator=generator) + 0.5
    torch.manual_seed(1)
    model = torch.nn.Linear(8, 1).to(device)
    model = DistributedDataParallel(model, device_ids=[LOCAL_RANK] if cuda else None)
    optimizer = torch.optim.SGD(model.parameters(), lr=args.lr, momentum=0.9)

    step = 0
    if args.resume_from:
        path = os.path.join(args.resume_from, "state.pt")
        state = torch.load(path, map_location=device, weights_only=True)
        model.module.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        step = state["step"]
        print(f"rank={RANK} resumed from step {step}", flush=True)

    stopping = torch.zeros(1, device=device)
    signal.signal(signal.SIGTERM, lambda *_: stopping.fill_(1))
    steps_per_epoch = max(1, args.samples // (args.batch_size * world))
    last = args.epochs * steps_per_epoch
    while step < last:
        epoch, index = divmod(step, steps_per_epoch)
        order = torch.randperm(args.samples, generator=torch.Generator().manual_seed(epoch))
        batch = order[index * world + RANK :: steps_per_epoch * world][: args.batch_size]
        loss = torch.nn.functional.mse_loss(model(inputs[batch].to(device)), targets[batch].to(device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        step += 1
        # One rank's signal stops all ranks after the same step.
        stop = stopping.clone()
        dist.all_reduce(stop, op=dist.ReduceOp.MAX)
        if RANK == 0 and (step % 10 == 0 or step == last):
            print(f"step={step} epoch={epoch} loss={loss.item():.6f}", flush=True)
        if stop.item() or step % args.save_every == 0 or step == last:
            save(step, model, optimizer)
        if stop.item():
            print(f"rank={RANK} saved step {step} and stops", flush=True)
            raise SystemExit(143)
        time.sleep(args.step_seconds)
    dist.barrier()  # with Gloo, a rank that leaves while a peer still talks to it aborts that peer
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
