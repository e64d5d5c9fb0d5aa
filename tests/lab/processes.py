"""Prints every live process that this user may look at, as JSON. (Deno itself may not read another
process's environment unless it has all permissions.)"""

import json
import os


def read(pid, name):
    with open(f"/proc/{pid}/{name}", "rb") as file:
        return file.read().decode(errors="replace")


found = []
for pid in filter(str.isdigit, os.listdir("/proc")):
    try:
        argv = read(pid, "cmdline").split("\0")[:-1]
        if not argv:
            continue  # a zombie or a kernel thread
        status = dict(
            line.split(":", 1) for line in read(pid, "status").splitlines() if ":" in line
        )
        found.append(
            {
                "pid": int(pid),
                "innerPid": int(status.get("NSpid", pid).split()[-1]),
                "parent": int(status["PPid"]),
                "command": status["Name"].strip(),
                "argv": argv,
                "environ": [e for e in read(pid, "environ").split("\0") if "=" in e],
                "pidNamespace": os.readlink(f"/proc/{pid}/ns/pid"),
                "netNamespace": os.readlink(f"/proc/{pid}/ns/net"),
            }
        )
    except (OSError, KeyError):
        continue  # it ended meanwhile, or is somebody else's
print(json.dumps(found))
