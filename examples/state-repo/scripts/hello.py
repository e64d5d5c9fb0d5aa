"""A distributed trainer in the standard library: fits y = 3x + 2 by averaging gradients.

It needs what UGRO gives every rank: RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT. Alone it runs as
one rank. Checkpoints go to UGRO_CHECKPOINT_DIR, and it goes on from UGRO_RESUME_FROM.
HELLO_STEPS and HELLO_STEP_SECONDS make it longer.
"""
import json
import os
import random
import signal
import socket
import struct
import sys
import time

RANK = int(os.environ.get("RANK", "0"))
LOCAL_RANK = int(os.environ.get("LOCAL_RANK", "0"))
WORLD = int(os.environ.get("WORLD_SIZE", "1"))
MASTER = (os.environ.get("MASTER_ADDR", "127.0.0.1"), int(os.environ.get("MASTER_PORT", "29500")))
STEPS = int(os.environ.get("HELLO_STEPS", "100"))
STEP_SECONDS = float(os.environ.get("HELLO_STEP_SECONDS", "0"))
SAVE_EVERY = 20
stopping = False


def connect():
    """Rank 0 gets a socket from every other rank, the others one to rank 0."""
    if WORLD == 1:
        return []
    if RANK == 0:
        server = socket.create_server(("", MASTER[1]), backlog=WORLD)
        server.settimeout(60)
        return [server.accept()[0] for _ in range(WORLD - 1)]
    deadline = time.monotonic() + 60
    while True:
        try:
            peer = socket.create_connection(MASTER, timeout=5)
            peer.settimeout(60)
            return [peer]
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def receive(peer, count):
    data = b""
    while len(data) < 8 * count:
        part = peer.recv(8 * count - len(data))
        if not part:
            raise ConnectionError("a peer is gone")
        data += part
    return struct.unpack(f"!{count}d", data)


def all_reduce(peers, values):
    """The sum of `values` over all ranks, on every rank."""
    if RANK == 0:
        received = [receive(peer, len(values)) for peer in peers]
        values = [sum(column) for column in zip(values, *received)]
    for peer in peers:
        peer.sendall(struct.pack(f"!{len(values)}d", *values))
    return list(receive(peers[0], len(values))) if RANK > 0 else list(values)


def save(step, weights):
    """One checkpoint a node, complete or not there at all."""
    folder = os.environ.get("UGRO_CHECKPOINT_DIR")
    if not folder or LOCAL_RANK != 0:
        return
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, f"step-{step}.json")
    with open(f"{path}.tmp-{RANK}", "w") as file:
        json.dump({"step": step, "weights": weights}, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(file.name, path)


def load():
    path = os.environ.get("UGRO_RESUME_FROM")
    if not path:
        return 0, [0.0, 0.0]
    with open(path) as file:
        state = json.load(file)
    print(f"rank={RANK} resumed from step {state['step']}", flush=True)
    return state["step"], state["weights"]


def gradient(step, weights):
    """Squared error on this rank's own samples of this step; the same on every run."""
    source = random.Random(step * WORLD + RANK)
    slope = offset = loss = 0.0
    for _ in range(32):
        x = source.uniform(-1, 1)
        error = weights[0] * x + weights[1] - (3 * x + 2)
        slope, offset, loss = slope + error * x / 16, offset + error / 16, loss + error * error / 32
    return [slope, offset, loss, float(stopping)]


def main():
    def stop(_signal, _frame):
        global stopping
        stopping = True

    signal.signal(signal.SIGTERM, stop)
    peers = connect()
    step, weights = load()
    while step < STEPS:
        # The last number agrees on stopping: one rank's signal stops all after the same step.
        slope, offset, loss, stops = all_reduce(peers, gradient(step, weights))
        weights = [weights[0] - 0.1 * slope / WORLD, weights[1] - 0.1 * offset / WORLD]
        step += 1
        if RANK == 0:
            print(f"step={step} loss={loss / WORLD:.6f}", flush=True)
        if stops or step % SAVE_EVERY == 0 or step == STEPS:
            save(step, weights)
        if stops:
            print(f"rank={RANK} saved step {step} and stops", flush=True)
            sys.exit(143)
        time.sleep(STEP_SECONDS)
    print(f"rank={RANK} done: y = {weights[0]:.3f}x + {weights[1]:.3f}", flush=True)


if __name__ == "__main__":
    main()
