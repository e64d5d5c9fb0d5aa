"""Stands in for nvidia-smi on a lab host.

Usage: nvidia_smi.py GPUS_JSON --query-gpu=FIELDS|--query-compute-apps=FIELDS --format=csv[,noheader][,nounits]

GPUS_JSON holds {"mode": "ok" | "fail" | "mismatch" | "hang", "gpus": [{FIELD: value}],
"processes": [{"gpu_uuid", "pid", "process_name", "used_gpu_memory"}], "processMiB": 512}. The GPUs'
users are the ranks that really run here (python, RANK or LOCAL_RANK in the environment, the uuid in
CUDA_VISIBLE_DEVICES) and the foreign ones that a test lists under "processes". null prints as [N/A].
"""

import json
import os
import sys
import time

ALIASES = {
    "gpu_uuid": "uuid",
    "gpu_name": "name",
    "gpu_bus_id": "pci.bus_id",
    "clocks_throttle_reasons.active": "clocks_event_reasons.active",
}
APP_ALIASES = {"name": "process_name", "used_memory": "used_gpu_memory"}
UNITS = {
    "memory.total": " MiB",
    "memory.used": " MiB",
    "memory.free": " MiB",
    "memory.reserved": " MiB",
    "used_gpu_memory": " MiB",
    "utilization.gpu": " %",
    "utilization.memory": " %",
    "power.draw": " W",
    "power.limit": " W",
}
DEFAULTS = {
    "timestamp": None,
    "driver_version": "570.86.15",
    "vbios_version": "96.00.74.00.01",
    "pci.bus_id": "00000000:01:00.0",
    "serial": None,
    "pstate": "P8",
    "compute_mode": "Default",
    "compute_cap": "9.0",
    "mig.mode.current": "Disabled",
    "persistence_mode": "Enabled",
    "display_active": "Disabled",
    "fan.speed": None,
    "utilization.gpu": 0,
    "utilization.memory": 0,
    "memory.reserved": 0,
    "temperature.gpu": 40,
    "temperature.memory": None,
    "power.draw": "60.00",
    "power.limit": "350.00",
    "ecc.mode.current": "Enabled",
    "ecc.errors.corrected.volatile.total": 0,
    "ecc.errors.uncorrected.volatile.total": 0,
    "ecc.errors.corrected.aggregate.total": 0,
    "ecc.errors.uncorrected.aggregate.total": 0,
    "retired_pages.pending": None,
    "remapped_rows.correctable": 0,
    "remapped_rows.uncorrectable": 0,
    "remapped_rows.pending": 0,
    "remapped_rows.failure": 0,
    "clocks_event_reasons.active": "0x0000000000000000",
    "gpu_recovery_action": "None",
}


def real_users(uuids, mib):
    """Rows for the ranks in this host's /proc that were given one of `uuids`."""
    rows = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                environ = dict(
                    item.split("=", 1)
                    for item in file.read().decode(errors="replace").split("\0")
                    if "=" in item
                )
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                program = file.read().split(b"\0")[0].decode(errors="replace")
        except OSError:
            continue  # it ended meanwhile
        if "RANK" not in environ and "LOCAL_RANK" not in environ:
            continue
        if not os.path.basename(program).startswith("python"):
            continue
        # Local rank K computes on the K-th visible GPU.
        visible = environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
        local = int(environ.get("LOCAL_RANK", "0"))
        if local < len(visible) and visible[local] in uuids:
            rows.append(
                {
                    "gpu_uuid": visible[local],
                    "pid": int(pid),
                    "process_name": program,
                    "used_gpu_memory": mib,
                }
            )
    return rows


def gpu_rows(state, users):
    rows = []
    for index, gpu in enumerate(state["gpus"]):
        row = {**DEFAULTS, "index": index, "count": len(state["gpus"]), **gpu}
        used = sum(u["used_gpu_memory"] or 0 for u in users if u["gpu_uuid"] == gpu["uuid"])
        row.setdefault("memory.used", used + 4)
        if row["memory.total"] is not None and row["memory.used"] is not None:
            row.setdefault("memory.free", row["memory.total"] - row["memory.used"])
        rows.append(row)
    return rows


def print_csv(rows, fields, aliases, known, form):
    for field in fields:
        if aliases.get(field, field) not in known:
            print(f'Field "{field}" is not a valid field to query.\n')
            sys.exit(2)
    units = {} if "nounits" in form else UNITS
    if "noheader" not in form:
        print(", ".join(fields))
    for row in rows:
        values = []
        for field in fields:
            name = aliases.get(field, field)
            value = row.get(name)
            values.append("[N/A]" if value is None else f"{value}{units.get(name, '')}")
        print(", ".join(values))


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        state = json.load(file)
    mode = state.get("mode", "ok")
    if mode == "hang":
        time.sleep(3600)
    if mode == "mismatch":
        print("Failed to initialize NVML: Driver/library version mismatch")
        print("NVML library version: 570.86")
        sys.exit(18)
    if mode != "ok":
        print(
            "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. "
            "Make sure that the latest NVIDIA driver is installed and running.\n"
        )
        sys.exit(9)
    options = dict(a.split("=", 1) for a in sys.argv[2:] if "=" in a)
    form = options.get("--format", "csv").split(",")
    uuids = {gpu["uuid"] for gpu in state["gpus"]}
    users = real_users(uuids, state.get("processMiB", 512)) + state.get("processes", [])
    if "--query-gpu" in options:
        rows = gpu_rows(state, users)
        known = {"memory.used", "memory.free", "index", "count", "uuid", "name", "memory.total"}
        known |= set(DEFAULTS)
        print_csv(rows, split(options["--query-gpu"]), ALIASES, known, form)
    elif "--query-compute-apps" in options:
        known = {"gpu_uuid", "gpu_name", "pid", "process_name", "used_gpu_memory"}
        print_csv(users, split(options["--query-compute-apps"]), APP_ALIASES, known, form)
    elif "-L" in sys.argv[2:]:
        for index, gpu in enumerate(state["gpus"]):
            print(f"GPU {index}: {gpu['name']} (UUID: {gpu['uuid']})")
    else:
        print("Invalid combination of input arguments. Please run 'nvidia-smi -h' for help.\n")
        sys.exit(2)


def split(fields):
    return [field.strip() for field in fields.split(",")]


main()
