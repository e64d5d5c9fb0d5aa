"""What UGRO does on a node: starts runs, watches them, stops them, and says what it sees.

The controller streams this file over one long-lived session and speaks JSON lines with it. The
contract (frames, folders, rules) is docs/runner.md. The same file is three programs:

    serve                 the session: requests on stdin, answers and events on stdout
    supervise RUNDIR      a detached process that owns one run; it outlives the session
    reap RUNDIR           a detached process that ends a run whose supervisor is gone

Python 3.10+, standard library only, Linux. Modules that only one of the three needs are imported
where they are used: a supervisor must start in a few milliseconds.
"""
from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import select
import signal
import sys
import time

PROTOCOL = 1
MAX_FRAME = 8 << 20
MAX_TAIL = 1 << 20
MAX_CODE_BYTES = 2 << 30
MAX_CODE_MEMBERS = 100_000
MAX_ERROR_CHARS = 2000
LOG_LIMIT_BYTES = 64 << 20
MAX_SECRETS = 64
MIN_SECRET_CHARS = 6
MAX_SECRET_LINES = 200
STARTING_MS = 10_000
LEFTOVER_GRACE_S = 5.0
PEER_GRACE_S = 30.0
KEPT_CODE_S = 30 * 86_400
SMI_DEADLINE_S = 30.0
SMI_FRESH_S = 0.5
SMI_PATIENCE_S = 0.4
SMI_FIRST_S = 2.0
SMI_STALE_S = 20.0
CHECKPOINTS_PATIENCE_S = 1.0
POLL_S = 0.2
RESCAN_S = 2.0
NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
SIOCGIFADDR = 0x8915
F_SETPIPE_SZ = 1031
PR_SET_CHILD_SUBREAPER = 36


class Refusal(Exception):
    """An answer that is not ok; `code` is one of the protocol's error codes."""

    def __init__(self, code: str, message: str):
        super().__init__(message)
        self.code = code


class CannotStart(Exception):
    """The agent cannot be started, and starting it again would fail in the same way."""


# ── small things ────────────────────────────────────────────────────────────────────────────


def now_ms() -> int:
    return int(time.time() * 1000)


def open_at_once(path: str, flags: int) -> int:
    """Opens what should be a file; a named pipe that a job put in its place holds up nobody."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)


def exists(path: str) -> bool:
    """Unlike os.path.exists, does not call absent what cannot be looked at."""
    try:
        os.stat(path)
        return True
    except (FileNotFoundError, NotADirectoryError):
        return False


def read_bytes(path: str, limit: int = 1 << 22) -> bytes:
    with open(path, "rb", buffering=0, opener=open_at_once) as file:
        parts = []
        while limit > 0:
            part = file.read(min(limit, 1 << 20))
            if not part:
                break
            parts.append(part)
            limit -= len(part)
        return b"".join(parts)


def read_json(path: str):
    """The object in a file of ours, or None when there is none (or no whole one)."""
    try:
        value = json.loads(read_bytes(path, MAX_FRAME * 2))
    except (OSError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def read_checked(path: str, check):
    """The same, when `check` finds it to be what it should be: a job can write there too."""
    try:
        return check(read_json(path), path)
    except Refusal:
        return None


def write_file(path: str, data: bytes, sync: bool = True) -> None:
    """Puts a file in place whole or not at all, also across a crash of the machine."""
    temporary = f"{path}.{os.getpid()}.tmp"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view):]
            if sync:
                os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(temporary, path)
    except OSError:
        try:
            os.unlink(temporary)
        except OSError:
            pass
        raise


def write_json(path: str, value, sync: bool = True) -> None:
    write_file(path, json.dumps(value).encode(), sync)


def tail_bytes(path: str, count: int) -> bytes:
    try:
        with open(path, "rb", opener=open_at_once) as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - count))
            return file.read(count)
    except OSError:
        return b""


def home() -> str:
    return os.path.expanduser("~")


def expand(path: str) -> str:
    """`~/…` is the node user's; `~somebody` is not expanded on purpose."""
    if path == "~":
        return home()
    return os.path.join(home(), path[2:]) if path.startswith("~/") else path


def clean_environment() -> dict[str, str]:
    """Our environment without markers: a supervisor must not look like a part of a run."""
    return {k: v for k, v in os.environ.items() if not k.startswith("UGRO_")}


def log_exception(hide=str) -> None:
    import traceback
    sys.stderr.write(hide(traceback.format_exc())[-4000:])
    sys.stderr.flush()


# ── processes ───────────────────────────────────────────────────────────────────────────────
# (boot id, pid, start time) identifies a process. A pid alone is never trusted.

RUN_DIR = re.compile(rb"(?:^|\0)UGRO_RUN_DIR=([^\0]+)")


_boot_id = ""


def boot_id() -> str:
    global _boot_id  # it cannot change while we live
    _boot_id = _boot_id or read_bytes("/proc/sys/kernel/random/boot_id", 64).decode().strip()
    return _boot_id


def process_stat(pid: int):
    """(state, parent pid, start time), or None. The name may hold `) `, so split after the last."""
    try:
        raw = read_bytes(f"/proc/{pid}/stat", 4096)
        fields = raw[raw.rindex(b")") + 2:].split()
        return fields[0], int(fields[1]), int(fields[19])
    except (OSError, ValueError, IndexError):
        return None


def is_alive(stat) -> bool:
    return stat is not None and stat[0] not in (b"Z", b"X")


def identity(pid: int) -> dict:
    stat = process_stat(pid)
    return {"pid": pid, "startTime": stat[2] if stat else 0, "bootId": boot_id()}


def is_same_process(who) -> bool:
    """Whether the process that `identity` described still lives."""
    if not isinstance(who, dict) or who.get("bootId") != boot_id():
        return False
    stat = process_stat(who["pid"]) if type(who.get("pid")) is int else None
    return is_alive(stat) and stat[2] == who.get("startTime")


def send_signal(pid: int, start: int, number: int) -> None:
    """Signals exactly that process: a pidfd cannot be reused between the look and the signal."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    except (AttributeError, OSError):
        fd = -1
    try:
        stat = process_stat(pid)
        if stat is None or stat[2] != start:
            return
        if fd >= 0:
            signal.pidfd_send_signal(fd, number)
        else:
            os.kill(pid, number)
    except OSError:
        pass
    finally:
        if fd >= 0:
            os.close(fd)


def all_pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def run_dir_of(pid: int) -> str | None:
    """The run folder that a process carries in its environment.

    A program that rewrites its title (setproctitle) overwrites its environment in /proc; its
    output still goes to the run's log pipes, so those count as a marker too.
    """
    try:
        found = RUN_DIR.search(read_bytes(f"/proc/{pid}/environ"))
        if found:
            return os.fsdecode(found.group(1))
        for fd in ("1", "2"):
            target = os.readlink(f"/proc/{pid}/fd/{fd}").removesuffix(" (deleted)")
            if target.endswith(".pipe") and os.path.basename(os.path.dirname(target)) == "logs":
                return os.path.dirname(os.path.dirname(target))
    except OSError:
        pass
    return None


def marked_processes() -> dict[str, list[tuple[int, int]]]:
    """Live (pid, start time) by run folder, in one pass over /proc."""
    found: dict[str, list[tuple[int, int]]] = {}
    own = os.getpid()
    for pid in all_pids():
        folder = run_dir_of(pid) if pid != own else None
        if folder is not None:
            stat = process_stat(pid)
            if is_alive(stat):
                found.setdefault(folder, []).append((pid, stat[2]))
    return found


def descendants(*roots: int) -> list[tuple[int, int]]:
    """Live (pid, start time) of everything below some processes, through zombies too."""
    children: dict[int, list[int]] = {}
    stats = {}
    for pid in all_pids():
        stat = process_stat(pid)
        if stat is not None:
            stats[pid] = stat
            children.setdefault(stat[1], []).append(pid)
    found, queue = [], [pid for root in roots for pid in children.get(root, ())]
    while queue:
        pid = queue.pop()
        queue.extend(children.get(pid, ()))
        if is_alive(stats[pid]):
            found.append((pid, stats[pid][2]))
    return found


def become_subreaper() -> bool:
    """Orphans of the run become our children. Without ctypes the marker scan must do alone."""
    try:
        import ctypes
        return ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
    except Exception:
        return False


# ── what may come in ────────────────────────────────────────────────────────────────────────
# A check takes (value, name) and gives the value back or refuses; they combine into SPEC.


def refuse(name: str, want: str):
    raise Refusal("invalid", f"{name} must be {want}")


def integer(low: int, high: int):
    def check(value, name):
        if type(value) is not int or not low <= value <= high:
            refuse(name, f"a whole number from {low} to {high}")
        return value
    return check


def text(pattern: str = r"[^\0]*", limit: int = 4096):
    compiled = re.compile(pattern, re.DOTALL)

    def check(value, name):
        if not isinstance(value, str) or len(value) > limit or not compiled.fullmatch(value):
            refuse(name, f"text of at most {limit} characters that matches {pattern}")
        try:
            value.encode()
        except UnicodeEncodeError:
            refuse(name, "text that can be encoded in UTF-8")
        return value
    return check


def one_of(*words: str):
    def check(value, name):
        if not isinstance(value, str) or value not in words:
            refuse(name, " or ".join(words))
        return value
    return check


def nullable(inner):
    return lambda value, name: None if value is None else inner(value, name)


def list_of(inner, least: int = 0, most: int = 10_000):
    def check(value, name):
        if not isinstance(value, list) or not least <= len(value) <= most:
            refuse(name, f"a list of {least} to {most}")
        return [inner(item, f"{name}[{i}]") for i, item in enumerate(value)]
    return check


def fields(required: dict, optional: dict | None = None):
    """An object with known fields; unknown ones are dropped, so that a newer controller can ask."""
    def check(value, name):
        if not isinstance(value, dict):
            refuse(name, "an object")
        result = {}
        for key, inner in required.items():
            if key not in value:
                refuse(f"{name}.{key}", "present")
            result[key] = inner(value[key], f"{name}.{key}")
        for key, inner in (optional or {}).items():
            if value.get(key) is not None:
                result[key] = inner(value[key], f"{name}.{key}")
        return result
    return check


def anything(value, name):
    return value if isinstance(value, dict) else refuse(name, "an object")


def environment(value, name):
    anything(value, name)
    names = text(r"[A-Za-z_][A-Za-z0-9_]*", 256)
    values = text(limit=128 << 10)
    return {names(k, f"{name} key"): values(v, f"{name}.{k}") for k, v in value.items()}


def secret_values(value, name):
    """Like an environment, but no bigger than a job's can be. Refusals never quote a value."""
    if len(anything(value, name)) > MAX_SECRETS:
        refuse(name, f"an object of at most {MAX_SECRETS}")
    return environment(value, name)


def variants(key: str, choices: dict):
    """A union told apart by `key`."""
    def check(value, name):
        anything(value, name)
        kind = one_of(*choices)(value.get(key), f"{name}.{key}")
        return {key: kind, **fields(*choices[kind])(value, name)}
    return check


PATH = text(r"[^\0]+")
# A first word that begins with `-` would be an option of the shell's exec.
WORD = text(r"[^\0-][^\0]*")
DIGEST = text(r"[0-9a-f]{40,64}", 64)
JOB = text(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", 63)
NAMES = list_of(text(limit=256))
EPOCH = integer(0, 2**53)
RUN = {"job": JOB, "attempt": integer(1, 10**9), "rank": integer(0, 9999)}


def command_words(value, name):
    words = list_of(text(limit=128 << 10), 1)(value, name)
    WORD(words[0], f"{name}[0]")
    return words


SPEC = fields({
    "nodes": integer(1, 10_000),
    "gpusPerNode": integer(0, 1024),
    "gpus": NAMES,
    "master": fields({"address": WORD, "port": integer(0, 65535)}),
    "localAddress": WORD,
    "rendezvousId": text(r"[^\0]+", 200),
    "launcher": one_of("torchrun", "processes"),
    "program": variants("kind", {
        "script": ({"path": PATH},),
        "module": ({"module": text(r"[A-Za-z_][A-Za-z0-9_.]*", 256)},),
        "command": ({"argv": command_words},),
    }),
    "args": list_of(text(limit=128 << 10)),
    "code": nullable(DIGEST),
    "workdir": nullable(PATH),
    "project": nullable(PATH),
    "env": environment,
    "python": WORD,
    "activation": nullable(variants("kind", {
        "venv": ({"path": PATH},),
        "conda": ({"env": WORD}, {"root": PATH}),
        "pixi": ({"project": WORD}, {"env": WORD}),
        "shell": ({"line": PATH},),
    })),
    "checkpointDir": PATH,
    "resumeFrom": nullable(PATH),
    "config": anything,
    "graceMs": integer(0, 10**9),
    "meta": fields({
        "commit": text(limit=256),
        "specDigest": text(limit=256),
        "nodes": NAMES,
        "gpus": list_of(NAMES),
    }),
}, {
    "resumeStep": integer(0, 2**53),
    "resumeArgs": list_of(text(limit=128 << 10)),
    "secretNames": list_of(text(r"[A-Za-z_][A-Za-z0-9_]*", 256), most=MAX_SECRETS),
    "interface": text(r"[A-Za-z0-9_.:@-]{1,64}", 64),
    "logLimitBytes": integer(1024, 2**40),
})

# What may stand in a run's records. The controller refuses a whole observation for one odd record.
CLEAN = text(r"[^\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]+", 256)
NUMBER = integer(0, 2**53 - 1)
STOP = fields({"reason": text(), "requestedAtMs": NUMBER, "graceMs": integer(0, 10**9)})
EXIT = fields({
    "code": nullable(integer(-2**31, 2**31)), "signal": nullable(integer(0, 1000)),
    "reason": one_of("exited", "stopped", "killed", "lost", "start-failed"), "endedAtMs": NUMBER,
}, {"message": text(r".*", 1 << 20)})
ERROR = fields({"rank": nullable(NUMBER), "message": text(r".*"), "timestampMs": nullable(NUMBER),
                "source": one_of("error-file", "log")})
AGENT = fields({"startedAtMs": NUMBER})
SUPERVISOR = fields({"bootId": text(limit=256)})
LAUNCHED = fields({
    "epoch": NUMBER, "createdAtMs": NUMBER, "bootId": text(limit=256),
    "spec": fields({
        "meta": fields({"commit": text(limit=256), "specDigest": text(limit=256),
                        "nodes": list_of(CLEAN, most=4096),
                        "gpus": list_of(list_of(CLEAN, most=256), most=4096)}),
        "gpus": list_of(CLEAN, most=256), "master": fields({"port": integer(0, 65535)})}),
})

CHECKPOINTS = list_of(fields({"job": JOB, "dir": PATH, "pattern": PATH}, {"marker": PATH}))


# ── runs on disk ────────────────────────────────────────────────────────────────────────────


def run_dir(workdir: str, job: str, attempt: int, rank: int) -> str:
    return f"{workdir}/runs/{job}/{attempt}/{rank}"


def run_name(folder: str) -> tuple[str, int, int] | None:
    """(job, attempt, rank) of a run folder; None when the path is not one that we make."""
    job, attempt, rank = folder.rsplit("/", 3)[-3:]
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", job):
        return None
    if not re.fullmatch(r"[1-9][0-9]{0,9} (0|[1-9][0-9]{0,3})", f"{attempt} {rank}"):
        return None
    return job, int(attempt), int(rank)


def list_runs(workdir: str, job: str | None = None) -> list[str]:
    """All run folders. A folder that cannot be read is an error: it must not look empty."""
    def entries(path):
        try:
            return sorted(os.listdir(path))
        except (FileNotFoundError, NotADirectoryError):
            return []
    root = f"{workdir}/runs"
    found = []
    for name in [job] if job else [n for n in entries(root) if not n.startswith(".")]:
        for attempt in entries(f"{root}/{name}"):
            for rank in entries(f"{root}/{name}/{attempt}"):
                folder = f"{root}/{name}/{attempt}/{rank}"
                if run_name(folder) and os.path.isdir(folder):
                    found.append(folder)
    return found


def take_possession(workdir: str, repository: str) -> None:
    """A work directory belongs to one state repository: another one's controller would take the
    runs in it for orphans and end them."""
    path = f"{workdir}/owner.json"
    if not exists(path):
        mine = f"{path}.{os.getpid()}.new"
        write_json(mine, {"repository": repository})
        try:
            os.link(mine, path)  # a rename would take it from whoever was faster
        except FileExistsError:
            pass
        finally:
            os.unlink(mine)
    owner = (read_json(path) or {}).get("repository")
    if owner != repository:
        raise Refusal("conflict", f"{workdir} belongs to another state repository ({owner}); give "
                      f"this node another workdir: in cluster.yaml, or remove {path} if that one "
                      "is no longer used")


def is_locked(folder: str) -> bool:
    """Whether a supervisor holds the run. A shared probe never keeps another prober out, and a
    supervisor that meets one tries again."""
    try:
        fd = open_at_once(f"{folder}/lock", os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except OSError:
        return True
    finally:
        os.close(fd)


def live_supervisor(folder: str) -> dict | None:
    """Who holds the run. A job can write supervisor.json, too: only its command line shows that a
    process is a supervisor of this run, and may be signalled."""
    who = read_json(f"{folder}/supervisor.json")
    if not is_same_process(who):
        return None
    try:
        words = read_bytes(f"/proc/{who['pid']}/cmdline")
    except OSError:
        return None
    return who if words.endswith(b"\0supervise\0" + os.fsencode(folder) + b"\0") else None


def run_state(folder: str) -> str:
    """One of the words of RunState. Reads only."""
    def has(name):
        return exists(f"{folder}/{name}")
    if has("exit.json"):
        return "exited"
    held = is_locked(folder)
    young = not held and not has("agent.json") and not has("supervisor.json")
    if held or (not young and is_locked(folder)):  # it may have come up between the two looks
        return "stopping" if has("stop.json") else "running" if has("agent.json") else "starting"
    if has("exit.json"):
        return "exited"  # it ended while we were looking
    if young:
        spec = read_checked(f"{folder}/spec.json", LAUNCHED) or {}
        age = now_ms() - spec.get("createdAtMs", 0)
        if spec.get("bootId") == boot_id() and -STARTING_MS < age < STARTING_MS:
            return "stopping" if has("stop.json") else "starting"
    return "lost"


def run_record(folder: str, processes: int) -> dict:
    """RunRecord of jobs/run.ts. A damaged spec.json still gives a record: never look absent."""
    state = run_state(folder)
    job, attempt, rank = run_name(folder)
    launch = read_checked(f"{folder}/spec.json", LAUNCHED) or {}
    spec = launch.get("spec") or {}
    supervisor = read_checked(f"{folder}/supervisor.json", SUPERVISOR) or {}
    agent = read_checked(f"{folder}/agent.json", AGENT) or {}
    empty = {"commit": "", "specDigest": "", "nodes": [], "gpus": []}
    end = read_checked(f"{folder}/exit.json", EXIT)
    if state == "exited" and end is None:
        end = {"code": None, "signal": None, "reason": "lost", "message": "exit.json is damaged",
               "endedAtMs": mtime_ms(f"{folder}/exit.json") or 0}
    return {
        "job": job, "attempt": attempt, "rank": rank,
        "state": state,
        "epoch": launch.get("epoch", 0),
        "meta": spec.get("meta", empty),
        "gpus": spec.get("gpus", []),
        "masterPort": spec.get("master", {}).get("port") or None,
        "createdAtMs": launch.get("createdAtMs", 0),
        "startedAtMs": agent.get("startedAtMs"),
        "bootId": supervisor.get("bootId") or launch.get("bootId", ""),
        "processes": 0 if state == "exited" else processes,
        "stop": read_checked(f"{folder}/stop.json", STOP),
        "exit": end,
        "error": read_checked(f"{folder}/error.json", ERROR),
    }


class Records:
    """Records of all runs. Those of ended runs never change, so they are read once."""

    def __init__(self, workdir: str):
        self.workdir = workdir
        self.ended: dict[str, tuple[tuple, dict]] = {}

    def one(self, folder: str, marked: dict | None) -> dict | None:
        key = self.exit_key(folder)
        kept = self.ended.get(folder)
        if key and kept and kept[0] == key:
            return kept[1]
        if marked is None:
            marked = marked_processes()
        record = run_record(folder, len(marked.get(folder, ())))
        if not os.path.isdir(folder):
            return None  # cleaned while we read it
        if key:
            self.ended[folder] = (key, record)
        return record

    def all(self) -> list[dict]:
        folders = list_runs(self.workdir)
        for gone in self.ended.keys() - set(folders):
            self.ended.pop(gone, None)
        open_runs = [f for f in folders if self.exit_key(f) is None]
        marked = marked_processes() if open_runs else {}
        return [record for f in folders if (record := self.one(f, marked)) is not None]

    @staticmethod
    def exit_key(folder: str) -> tuple | None:
        try:
            stat = os.stat(f"{folder}/exit.json")
            return stat.st_mtime_ns, stat.st_ino
        except OSError:
            return None


# ── what the node has ───────────────────────────────────────────────────────────────────────

GPU_QUERY = ("--query-gpu=uuid,index,name,memory.total,memory.used,utilization.gpu,"
             "temperature.gpu,power.draw,ecc.errors.uncorrected.volatile.total")
APP_QUERY = "--query-compute-apps=gpu_uuid,pid,process_name,used_gpu_memory"


def memory_mib() -> tuple[int, int]:
    found = dict(re.findall(r"^(\w+):\s+(\d+) kB", read_bytes("/proc/meminfo").decode(), re.M))
    return int(found["MemTotal"]) // 1024, int(found.get("MemAvailable", 0)) // 1024


class NvidiaSmi:
    """Asks nvidia-smi under a deadline. One that hangs in the kernel cannot even be killed, so no
    second one is started beside it."""

    def __init__(self):
        self.stuck, self.running = [], []

    def ask(self) -> tuple[dict, dict]:
        import shutil
        import subprocess
        self.stuck = [p for p in self.stuck if p.poll() is None]
        program = shutil.which("nvidia-smi") or shutil.which("nvidia-smi", path="/usr/lib/wsl/lib")
        if program is None:
            return {"absent": True}, {"absent": True}
        if self.stuck:
            error = {"error": f"nvidia-smi (pid {self.stuck[0].pid}) still hangs and cannot be "
                              "killed; the GPU driver is stuck: look at dmesg, reboot the node"}
            return error, error
        deadline = time.monotonic() + SMI_DEADLINE_S
        started = []
        for query in (GPU_QUERY, APP_QUERY):
            try:
                started.append(subprocess.Popen(
                    [program, query, "--format=csv,noheader,nounits"], stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True))
                self.running.append(started[-1])
            except OSError as error:
                started.append(error)
        gpus, apps = (self.outcome(process, deadline) for process in started)
        self.running = []
        return gpus, apps

    def kill(self) -> None:
        for process in self.running:
            if process.poll() is None:  # else its number may be somebody else's by now
                try:
                    os.killpg(process.pid, signal.SIGKILL)
                except OSError:
                    pass

    def outcome(self, process, deadline: float) -> dict:
        import subprocess
        if isinstance(process, OSError):
            return {"error": f"cannot start nvidia-smi: {process}"}
        try:
            output, _ = process.communicate(timeout=max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.abandon(process)
            return {"error": f"nvidia-smi did not answer within {SMI_DEADLINE_S:g} s; the GPU "
                             "driver may be stuck: look at dmesg"}
        answer = output[:1 << 20].decode("utf-8", "replace")
        if process.returncode != 0:
            said = " ".join(answer.split())[:500]
            return {"error": f"nvidia-smi exited {process.returncode}: {said}"}
        return {"csv": answer}

    def abandon(self, process) -> None:
        import subprocess
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except OSError:
            pass
        process.stdout.close()
        try:
            process.wait(0.5)
        except subprocess.TimeoutExpired:
            self.stuck.append(process)


class GpuReadings:
    """The last answer of nvidia-smi. It takes 20 ms where the driver stays loaded, and seconds
    where it does not: an observation waits a moment for a new answer, else it gets the last one,
    and `changed` is called when the new one, once it is there, tells something else."""

    def __init__(self, smi: NvidiaSmi, changed):
        import threading
        self.smi, self.changed = smi, changed
        self.lock = threading.Lock()
        self.done = threading.Event()
        self.asking_since = 0.0
        self.asking = False
        self.last = None
        self.last_at = float("-inf")

    def ask_anew(self):
        """Starts a query unless one is under way; gives the event of its end."""
        import threading
        with self.lock:
            if not self.asking:
                self.asking, self.asking_since = True, time.monotonic()
                self.done = threading.Event()
                threading.Thread(target=self.query, args=(self.done,), daemon=True).start()
            return self.done

    def query(self, done) -> None:
        began = self.asking_since
        try:
            answer = self.smi.ask()
        except Exception as error:
            log_exception()
            answer = ({"error": f"cannot ask nvidia-smi: {error}"},) * 2
        with self.lock:
            before, self.last, self.last_at = self.last, answer, began
            self.asking = False
        done.set()
        if before is not None and signature(before) != signature(answer):
            self.changed()

    def read(self) -> tuple[dict, dict]:
        """The newest reading that can be had soon; an error when there is none."""
        young = time.monotonic() - self.last_at < SMI_FRESH_S
        if young and not any("error" in part for part in self.last) and not self.has_dead():
            return self.last
        done = self.ask_anew()
        old = time.monotonic() - self.last_at > SMI_STALE_S
        if done.wait(SMI_FIRST_S if old else SMI_PATIENCE_S) or not old:
            return self.last
        error = {"error": f"nvidia-smi has not answered for {time.monotonic() - self.asking_since:.0f}"
                          " s; the GPU driver is slow or stuck (dmesg tells)"}
        return error, error

    def has_dead(self) -> bool:
        """Whether a process of the last reading has ended since."""
        return any(not os.path.exists(f"/proc/{pid}") for pid in app_pids(self.last[1].get("csv", "")))


def signature(answer: tuple[dict, dict]):
    """What makes an observation decide differently: which GPUs, with which errors, used by whom."""
    gpus, apps = answer
    rows = [line.split(",") for line in gpus.get("csv", "").splitlines()]
    used = [line.split(",")[:2] for line in apps.get("csv", "").splitlines()]
    return gpus.get("error"), apps.get("error"), [(row[0], row[-1]) for row in rows], sorted(used)


def app_pids(csv: str) -> list[int]:
    columns = [line.split(",") for line in csv.splitlines()]
    return sorted({int(c[1]) for c in columns if len(c) > 1 and c[1].strip().isdigit()})


class Owners:
    """Which of our runs a process belongs to: by its own marker or that of an ancestor, or by
    descending from a run's supervisor. A marker counts only when its run is on this disk."""

    def __init__(self, workdir: str):
        self.workdir = workdir
        self.supervisors: dict[int, list] = {}
        for folder in list_runs(workdir):
            if not os.path.exists(f"{folder}/exit.json"):
                who = live_supervisor(folder)
                if who:
                    self.supervisors[who["pid"]] = list(run_name(folder))

    def of(self, pid: int) -> dict:
        stat = process_stat(pid)
        alive = is_alive(stat)
        for _ in range(100):
            if stat is None or pid <= 1:
                break
            run = self.supervisors.get(pid) or self.by_marker(pid)
            if run:
                return {"alive": alive, "run": run}
            pid = stat[1]
            stat = process_stat(pid)
        return {"alive": alive, "run": None}

    def by_marker(self, pid: int) -> list | None:
        folder = run_dir_of(pid)
        if not folder or not folder.startswith(f"{self.workdir}/runs/"):
            return None
        name = run_name(folder)
        ours = name and folder == run_dir(self.workdir, *name) and os.path.isdir(folder)
        return list(name) if ours else None


# ── checkpoints ─────────────────────────────────────────────────────────────────────────────

UNFINISHED = (".tmp", ".partial", ".incomplete")


def resolve_dir(workdir: str, path: str) -> str:
    return os.path.join(workdir, expand(path))


class Checkpoints:
    """Finds checkpoints and says which of them are whole. Whether one file is whole is kept for as
    long as its inode, size and times stay the same."""

    def __init__(self, workdir: str):
        self.workdir = workdir
        self.whole: dict[tuple, bool] = {}
        self.looking, self.answers = {}, {}

    def find_all(self, queries: list[dict]) -> tuple[dict, dict]:
        """Checkpoints by job, and why those of a job cannot be told: they are unknown, not none.
        A dead network disk holds up whoever looks, so each folder has a thread of its own; one
        that hangs is waited for again the next time, not started again."""
        import threading
        found, errors, end = {}, {}, time.monotonic() + CHECKPOINTS_PATIENCE_S
        asked = {json.dumps(query): query for query in queries}
        self.looking = {k: t for k, t in self.looking.items() if k in asked or t.is_alive()}
        for key, query in asked.items():
            if key not in self.looking:
                look = threading.Thread(target=self.look, args=(query, key), daemon=True)
                self.looking[key] = look
                look.start()
        for key, query in asked.items():
            self.looking[key].join(max(0.0, end - time.monotonic()))
            if self.looking[key].is_alive():
                errors[query["job"]] = ("the checkpoint folder has not answered yet: a slow or a "
                                        "dead disk?")
                continue
            del self.looking[key]
            answer = self.answers.pop(key)
            (found if isinstance(answer, list) else errors)[query["job"]] = answer
        return found, {job: str(error) for job, error in errors.items()}

    def look(self, query: dict, key: str) -> None:
        try:
            self.answers[key] = self.find(query)
        except Exception as error:
            self.answers[key] = error

    def find(self, query: dict) -> list[dict]:
        if query["pattern"].count("*") != 1 or "/" in query["pattern"]:
            raise Refusal("invalid", "a checkpoint pattern is a name with one *, such as step-*")
        before, after = query["pattern"].split("*")
        name = re.compile(f"{re.escape(before)}([0-9]{{1,15}}){re.escape(after)}")
        folder = resolve_dir(self.workdir, query["dir"])
        try:
            names = os.listdir(folder)
        except FileNotFoundError:
            return []
        matches = [(int(m.group(1)), m.string) for m in map(name.fullmatch, names) if m]
        found = []
        for step, match in sorted(matches, reverse=True)[:20]:
            described = self.describe(f"{folder}/{match}", query.get("marker"))
            if described is not None:
                found.append({"path": f"{folder}/{match}", "step": step, **described})
        return found

    def describe(self, path: str, marker: str | None) -> dict | None:
        try:
            stat = os.stat(path)
            if not os.path.isdir(path):
                return {"complete": self.is_whole(path, stat), "bytes": stat.st_size,
                        "modifiedAtMs": stat.st_mtime_ns // 10**6}
            complete, size, newest, count = True, 0, stat.st_mtime_ns, 0
            for file in self.files(path, 3):
                inside = os.stat(file)
                count, size = count + 1, size + inside.st_size
                newest = max(newest, inside.st_mtime_ns)
                complete = complete and (marker is not None or self.is_whole(file, inside))
                if count >= 1000:
                    break
        except FileNotFoundError:
            if not os.path.exists(path):
                return None  # removed by the job while we looked
            complete = False  # a link to nowhere
        if marker is not None:
            complete = os.path.exists(os.path.join(path, marker))
        return {"complete": complete and count > 0, "bytes": size, "modifiedAtMs": newest // 10**6}

    def files(self, path: str, depth: int):
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    if depth > 1:
                        yield from self.files(entry.path, depth - 1)
                else:
                    yield entry.path

    def is_whole(self, path: str, stat) -> bool:
        if stat.st_size == 0 or path.endswith(UNFINISHED):
            return False
        key = (path, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
        whole = self.whole.get(key)
        if whole is None:
            if len(self.whole) > 20_000:
                self.whole.clear()
            whole = self.whole[key] = has_whole_content(path, stat.st_size)
        return whole


def has_whole_content(path: str, size: int) -> bool:
    """torch.save writes a zip, whose directory comes last; safetensors says its length first."""
    if os.path.isdir(path):
        return True  # a link to a folder: what lies behind it is not this checkpoint's
    with open(path, "rb", opener=open_at_once) as file:
        if path.endswith(".safetensors"):
            return has_whole_tensors(file, size)
        if file.read(2) != b"PK":
            return True
        file.seek(max(0, size - 65_557))
        return b"PK\x05\x06" in file.read(65_557)


def has_whole_tensors(file, size: int) -> bool:
    head = int.from_bytes(file.read(8), "little")
    if size < 8 or 8 + head > size:
        return False
    if head > 16 << 20:
        return size > 8 + head
    try:
        tensors = json.loads(file.read(head))
        ends = [v["data_offsets"][1] for k, v in tensors.items() if k != "__metadata__"]
        return size == 8 + head + max(ends, default=0)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return False


# ── shipped code ────────────────────────────────────────────────────────────────────────────


def member_path(name: str) -> str | None:
    """The checked relative path of a tar member; None is the root itself."""
    if name.startswith("/") or "\0" in name:
        raise Refusal("invalid", f"the archive holds an absolute path: {name[:200]!r}")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise Refusal("invalid", f"the archive holds a path with ..: {name[:200]!r}")
    return "/".join(parts) or None


def unpack(archive: str, target: str) -> None:
    """Unpacks regular files, folders and links that stay inside, and nothing else.

    Links are made last, so that no file is ever written through one; then each must resolve to a
    place inside, however they lead into each other.
    """
    import shutil
    import tarfile
    os.mkdir(target, 0o700)
    members, total, links = 0, 0, []
    try:
        with tarfile.open(archive, "r:") as tar:
            for member in tar:
                members, total = members + 1, total + max(0, member.size)
                if members > MAX_CODE_MEMBERS or total > MAX_CODE_BYTES:
                    raise Refusal("invalid", "the archive is too large: at most "
                                  f"{MAX_CODE_MEMBERS} members and {MAX_CODE_BYTES >> 30} GiB")
                path = member_path(member.name)
                if path is None:
                    continue
                full = f"{target}/{path}"
                parent = os.path.dirname(full)
                if member.isdir():
                    make_folders(full)
                elif member.issym():
                    links.append((full, path, member.linkname))
                elif member.isreg() and not member.issparse():
                    make_folders(parent)
                    with open(full, "xb") as out:
                        shutil.copyfileobj(tar.extractfile(member), out, 1 << 20)
                    os.chmod(full, 0o555 if member.mode & 0o100 else 0o444)
                else:
                    raise Refusal("invalid", f"the archive holds {path[:200]!r}, which is neither "
                                  "a file, a folder nor a symbolic link")
        make_links(target, links)
    except (tarfile.TarError, FileExistsError, NotADirectoryError, EOFError) as error:
        raise Refusal("invalid", f"the archive cannot be unpacked: {error}") from error

def make_folders(path: str) -> None:
    """Folders stay writable: many scripts write beside themselves; what was shipped they cannot
    change."""
    os.makedirs(path, 0o700, exist_ok=True)


def make_links(target: str, links: list[tuple]) -> None:
    root = os.path.realpath(target)
    for full, path, leads_to in links:
        inside = os.path.normpath(os.path.join(os.path.dirname(path), leads_to))
        if not leads_to or leads_to.startswith("/") or inside.split("/")[0] == "..":
            raise Refusal("invalid", f"the link {path[:200]!r} leads out of the archive")
        make_folders(os.path.dirname(full))
        os.symlink(leads_to, full)
    for full, path, _ in links:
        if not f"{os.path.realpath(full)}/".startswith(f"{root}/"):
            raise Refusal("invalid", f"the link {path[:200]!r} leads out of the archive")


def remove_tree(path: str) -> None:
    """Removes a folder, read-only ones inside included."""
    import shutil
    for folder, _, _ in os.walk(path):
        try:
            os.chmod(folder, 0o700)
        except OSError:
            pass  # a container's root has written here: what can be removed is
    shutil.rmtree(path, ignore_errors=True)


class CodeStore:
    """WORKDIR/code. Every session has incoming names of its own, so transfers do not mix."""

    def __init__(self, workdir: str):
        self.folder = f"{workdir}/code"
        self.session = f"{os.getpid()}-{os.urandom(4).hex()}"
        self.received: dict[str, int] = {}

    def has(self, digest: str) -> bool:
        """Whether it is here; asking counts as use."""
        try:
            os.utime(f"{self.folder}/{digest}")
            return True
        except OSError:
            return os.path.isdir(f"{self.folder}/{digest}")

    def forget_unused(self, in_use: set) -> None:
        """Removes code that nobody asked for in a month, unless a run still stands on it."""
        for digest in os.listdir(self.folder):
            path = f"{self.folder}/{digest}"
            try:
                if digest in in_use or time.time() - os.lstat(path).st_mtime < KEPT_CODE_S:
                    continue
                trash = f"{self.folder}/.trash-{digest}-{self.session}"
                os.rename(path, trash)
                remove_tree(trash)
            except OSError:
                pass  # another session was faster

    def incoming(self, digest: str) -> str:
        return f"{self.folder}/.incoming-{digest}-{self.session}"

    def put(self, digest: str, offset: int, data: bytes) -> int:
        have = self.received.get(digest, 0)
        if offset > have:
            raise Refusal("invalid", f"the chunk at {offset} does not follow: {have} bytes came")
        if offset + len(data) > MAX_CODE_BYTES:
            raise Refusal("invalid", f"code may have at most {MAX_CODE_BYTES >> 30} GiB")
        fd = os.open(self.incoming(digest), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            view, at = memoryview(data), offset
            while view:
                wrote = os.pwrite(fd, view, at)
                view, at = view[wrote:], at + wrote
        finally:
            os.close(fd)
        self.received[digest] = max(have, offset + len(data))
        return self.received[digest]

    def drop(self, digest: str) -> None:
        """Another session was faster: what came of it here is of no use."""
        if self.received.pop(digest, None) is not None:
            try:
                os.unlink(self.incoming(digest))
            except FileNotFoundError:
                pass

    def finish(self, digest: str, size: int, sha256: str) -> int:
        import hashlib
        incoming = self.incoming(digest)
        unpacked = f"{self.folder}/.unpack-{digest}-{self.session}"
        self.received.pop(digest, None)
        try:
            if not self.has(digest):
                os.truncate(incoming, size)
                with open(incoming, "rb") as file:
                    actual = hashlib.sha256()
                    while part := file.read(1 << 20):
                        actual.update(part)
                if actual.hexdigest() != sha256:
                    raise Refusal("invalid", "the code arrived damaged: its sha256 is "
                                  f"{actual.hexdigest()}")
                unpack(incoming, unpacked)
                try:
                    os.rename(unpacked, f"{self.folder}/{digest}")
                except OSError:
                    if not self.has(digest):
                        raise
            return size
        finally:
            if os.path.exists(incoming):
                os.unlink(incoming)
            if os.path.exists(unpacked):
                remove_tree(unpacked)


def code_in_use(workdir: str) -> set:
    """Digests of the code of runs that have not ended."""
    found = set()
    for folder in list_runs(workdir):
        if not os.path.exists(f"{folder}/exit.json"):
            launch = read_json(f"{folder}/spec.json")
            spec = launch.get("spec") if isinstance(launch, dict) else None
            found.add(spec.get("code") if isinstance(spec, dict) else None)
    return found


def forget_old(folder: str) -> None:
    """Removes what dead sessions left half made or half removed, after a day."""
    for name in os.listdir(folder):
        path = f"{folder}/{name}"
        try:
            if name.startswith(".") and time.time() - os.lstat(path).st_mtime > 86_400:
                os.unlink(path) if os.path.isfile(path) else remove_tree(path)
        except OSError:
            pass  # another session was faster


# ── from a spec to a command ────────────────────────────────────────────────────────────────
# The shell sees only words of ours; what a job wrote comes as "$@". The output of each rank goes
# to pipes of the supervisor. The agent stands in an empty folder and only the ranks enter the
# working directory: `python -m` puts the current folder first on its path, so a `queue.py` beside
# the training script would otherwise break torchrun itself.

WORKER = ('cd "$1" && shift && exec "$@" '
          '>"$UGRO_LOG_DIR/$LOCAL_RANK.out.pipe" 2>"$UGRO_LOG_DIR/$LOCAL_RANK.err.pipe"')
CONDA = ('source "$1/etc/profile.d/conda.sh" && conda activate "$2" && shift 2 && exec "$@"')


def find_conda(root: str | None) -> str:
    tried = [root] if root else ["~/miniconda3", "~/anaconda3", "~/miniforge3", "/opt/conda"]
    if not root and os.environ.get("CONDA_EXE"):
        tried.insert(0, os.path.dirname(os.path.dirname(os.environ["CONDA_EXE"])))
    for path in map(expand, tried):
        if os.path.isfile(f"{path}/etc/profile.d/conda.sh"):
            return path
    raise CannotStart(f"no conda found (looked for etc/profile.d/conda.sh in {', '.join(tried)}); "
                      "set root: of the environment in cluster.yaml")


def find_interface(address: str) -> str | None:
    """The network interface that has this address, or None."""
    import _socket as socket  # the module that `socket` wraps: 10 ms less before the agent starts
    try:
        wanted = {info[4][0] for info in socket.getaddrinfo(address, None, socket.AF_INET)}
        probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for _, name in socket.if_nameindex():
            try:
                answer = fcntl.ioctl(probe.fileno(), SIOCGIFADDR, name.encode().ljust(256, b"\0"))
            except OSError:
                continue
            if socket.inet_ntoa(answer[20:24]) in wanted:
                return name
    except (OSError, UnicodeError):
        pass
    return None


class Command:
    """What a supervisor starts for a launch: words, environment, working directory."""

    def __init__(self, workdir: str, folder: str, launch: dict, secrets: dict[str, str]):
        self.workdir, self.folder, self.launch = workdir, folder, launch
        self.secrets = secrets
        self.spec = launch["spec"]
        self.ranks = max(1, self.spec["gpusPerNode"])
        names = self.spec["meta"]["nodes"]
        known = launch["rank"] < len(names)
        self.node = names[launch["rank"]] if known else os.uname().nodename
        self.code = f"{workdir}/code/{self.spec['code']}" if self.spec["code"] else None
        self.base = self.code or expand(self.spec["project"] or "~")
        resume = self.spec["resumeFrom"]
        self.resume_from = resolve_dir(workdir, resume) if resume else ""
        self.cwd = self.find_cwd()
        self.prefix, self.python, self.activated = self.activate()
        self.program = self.find_program()

    def find_cwd(self) -> str:
        path = os.path.join(self.base, expand(self.spec["workdir"] or "."))
        if not os.path.isdir(path):
            raise CannotStart(f"working directory {path} does not exist on {self.node}")
        return os.path.normpath(path)

    def activate(self) -> tuple[list[str], str, dict[str, str]]:
        how = self.spec["activation"]
        if how is None:
            return [], expand(self.spec["python"]), {}
        if how["kind"] == "venv":
            path = expand(how["path"])
            for name in ("python3", "python"):
                if os.access(f"{path}/bin/{name}", os.X_OK):
                    search = f"{path}/bin:{os.environ.get('PATH', os.defpath)}"
                    return [], f"{path}/bin/{name}", {"PATH": search, "VIRTUAL_ENV": path}
            raise CannotStart(f"there is no Python in {path}/bin on {self.node}")
        if how["kind"] == "conda":
            root = find_conda(how.get("root"))
            return ["bash", "-c", CONDA, "bash", root, how["env"]], "python3", {}
        if how["kind"] == "pixi":
            chosen = ["-e", how["env"]] if "env" in how else []
            manifest = ["--manifest-path", expand(how["project"])]
            return ["pixi", "run", *manifest, *chosen], "python3", {}
        return ["bash", "-c", how["line"] + '\nexec "$@"', "bash"], "python3", {}

    def find_program(self) -> list[str]:
        program = self.spec["program"]
        args = self.spec["args"] + self.resume_args()
        if program["kind"] == "command":
            return [*program["argv"], *args]
        if program["kind"] == "module":
            return [self.python, "-u", "-m", program["module"], *args]
        path = os.path.join(self.base, expand(program["path"]))
        if not os.path.exists(path):
            raise CannotStart(f"script {path} does not exist on {self.node}; look at script:, "
                              "workdir: and project:")
        return [self.python, "-u", path, *args]

    def resume_args(self) -> list[str]:
        if not self.resume_from:
            return []
        values = {"{path}": self.resume_from, "{step}": str(self.spec.get("resumeStep", ""))}
        return [re.sub(r"\{(path|step)\}", lambda m: values[m.group()], word)
                for word in self.spec.get("resumeArgs", [])]

    def environment(self) -> dict[str, str]:
        spec, launch = self.spec, self.launch
        name = f"{launch['job']}/{launch['attempt']}/{launch['rank']}"
        gpus = [g for g in spec["gpus"] if not g.startswith("cpu:")]
        env = clean_environment() | self.activated
        env |= {"CUDA_VISIBLE_DEVICES": ",".join(gpus), "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
        # torchrun kills its workers 30 s after SIGTERM unless told otherwise (from 2.13 on; older
        # ones do not read this): a longer grace period would be cut short.
        env["TORCH_ELASTIC_SHUTDOWN_TIMEOUT"] = str(max(1, -(-spec["graceMs"] // 1000)))
        if self.code:
            env["PYTHONDONTWRITEBYTECODE"] = "1"  # the folder is shared between runs
        interface = spec.get("interface") or find_interface(spec["localAddress"])
        if interface:
            env |= {"NCCL_SOCKET_IFNAME": f"={interface}", "GLOO_SOCKET_IFNAME": interface}
        wanted = spec["env"] | self.secrets
        # Ours are set below; the index is the manifest's.
        env |= {k: v for k, v in wanted.items()
                if not k.startswith("UGRO_") or k == "UGRO_ARRAY_INDEX"}
        return env | {
            "UGRO_RUN": name, "UGRO_RUN_DIR": self.folder, "UGRO_LOG_DIR": f"{self.folder}/logs",
            "UGRO_JOB": launch["job"], "UGRO_ATTEMPT": str(launch["attempt"]),
            "UGRO_CHECKPOINT_DIR": resolve_dir(self.workdir, spec["checkpointDir"]),
            "UGRO_RESUME_FROM": self.resume_from,
            "UGRO_CONFIG": f"{self.folder}/config.json",
        }

    def agents(self) -> list[tuple[list[str], dict[str, str]]]:
        """(words, environment) of each process that the supervisor starts itself."""
        worker = ["sh", "-c", WORKER, "sh", self.cwd, *self.program]
        env = self.environment()
        if self.spec["launcher"] == "torchrun":
            # torchrun replaces $-macros in these words; $$ gives a plain $ back.
            escaped = [word.replace("$", "$$") for word in worker]
            return [([*self.prefix, *self.torchrun(), *escaped], env)]
        size = self.spec["nodes"] * self.ranks
        first = self.launch["rank"] * self.ranks
        return [([*self.prefix, *worker], env | {
            "RANK": str(first + local), "LOCAL_RANK": str(local),
            "WORLD_SIZE": str(size), "LOCAL_WORLD_SIZE": str(self.ranks),
            "GROUP_RANK": str(self.launch["rank"]),
            "MASTER_ADDR": self.spec["master"]["address"],
            "MASTER_PORT": str(self.spec["master"]["port"]),
            "TORCHELASTIC_ERROR_FILE": f"{self.folder}/elastic/processes/{local}/error.json",
        }) for local in range(self.ranks)]

    def torchrun(self) -> list[str]:
        spec = self.spec
        return [
            self.python, "-m", "torch.distributed.run",
            f"--nnodes={spec['nodes']}", f"--nproc-per-node={self.ranks}",
            f"--node-rank={self.launch['rank']}", "--rdzv-backend=static", "--max-restarts=0",
            "--rdzv-id=" + re.sub(r"[^A-Za-z0-9._-]", "-", spec["rendezvousId"]),
            f"--master-addr={spec['master']['address']}", f"--master-port={spec['master']['port']}",
            f"--local-addr={spec['localAddress']}", f"--log-dir={self.folder}/elastic",
            "--no-python",
        ]


# ── logs ────────────────────────────────────────────────────────────────────────────────────


class Log:
    """A log that is rotated by size: NAME.0 is the first segment and kept for ever (the first
    traceback is the one that counts), NAME.1 the previous one. What a full disk does not take is
    dropped, and said so in the log as soon as it fits again."""

    def __init__(self, path: str, limit: int):
        self.path, self.limit, self.dropped = path, limit, 0
        self.fd, self.size = -1, 0

    def write(self, data: bytes) -> None:
        try:
            if self.dropped:
                note = f"\n[ugro] {self.dropped} bytes of this log were dropped: disk full?\n"
                self.append(note.encode())
                self.dropped = 0
            while data:
                if self.size >= self.limit:
                    self.rotate()
                part = data[:self.limit - self.size]
                data = data[self.append(part):]
        except OSError:
            self.dropped += len(data)

    def append(self, data: bytes) -> int:
        if self.fd < 0:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK
            self.fd = os.open(self.path, flags, 0o600)
            self.size = os.fstat(self.fd).st_size
        wrote = os.write(self.fd, data)
        self.size += wrote
        return wrote

    def rotate(self) -> None:
        os.close(self.fd)
        self.fd, self.size = -1, 0
        kept = os.path.exists(f"{self.path}.0")
        os.rename(self.path, f"{self.path}.1" if kept else f"{self.path}.0")


def log_tail(path: str, count: int) -> bytes:
    """The last bytes of a rotated log, from the segment before too where one is not enough."""
    last = tail_bytes(path, count)
    if len(last) < count:
        previous = f"{path}.1" if os.path.exists(f"{path}.1") else f"{path}.0"
        last = tail_bytes(previous, count - len(last)) + last
    return last


# ── secrets ─────────────────────────────────────────────────────────────────────────────────
# The values come with the launch, go through an anonymous file in memory to the supervisor's
# stdin, and from there to the environment of the ranks. They are never on a command line, in the
# environment of a process of ours, or on disk.


def hand_over(secrets: dict[str, str]) -> int:
    """A file that exists only in memory and for whoever inherits it. Unlike a pipe it is whole
    before anybody reads it, however this session ends."""
    fd = os.memfd_create("ugro", os.MFD_CLOEXEC)
    try:
        view = memoryview(json.dumps(secrets).encode())
        while view:
            view = view[os.write(fd, view):]
        os.lseek(fd, 0, os.SEEK_SET)
        return fd
    except OSError:
        os.close(fd)
        raise


def take_over(names: list[str]) -> dict[str, str] | None:
    """What `hand_over` gave us on stdin, which is closed; None when it is not all there."""
    if not names:
        return {}
    parts = []
    while part := os.read(0, 1 << 20):
        parts.append(part)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    try:
        given = secret_values(json.loads(b"".join(parts)), "secrets")
        return {name: given[name] for name in names}
    except (ValueError, KeyError, Refusal):
        return None


class Hide:
    """Takes the values of secrets out of a text of ours: as they are, as JSON and Python write them
    in quotes, in URLs, in base64, and line by line."""

    def __init__(self, secrets: dict[str, str]):
        self.secrets = secrets
        self.known: list[tuple[str, str]] | None = None

    def forms(self) -> list[tuple[str, str]]:
        """(text, name of its secret), longer ones first; made when it is first needed."""
        if self.known is None:
            names: dict[str, str] = {}
            for name, value in self.secrets.items():
                lines = [line.strip() for line in value.splitlines()][:MAX_SECRET_LINES]
                for part in (value, value.strip(), *lines):
                    if len(part) >= MIN_SECRET_CHARS:
                        names |= {form: name for form in self.forms_of(part) if form not in names}
            self.known = sorted(names.items(), key=lambda item: -len(item[0]))
        return self.known

    @staticmethod
    def forms_of(value: str) -> set[str]:
        import binascii
        from urllib.parse import quote
        found = {value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1],
                 repr(value)[1:-1], quote(value, safe=""), quote(value)}
        for shift in range(3):  # where it begins in what was encoded, `user:token` for example
            data = bytes(shift) + value.encode()
            whole = binascii.b2a_base64(data, newline=False).decode()
            part = whole[-(-shift * 8 // 6):len(data) * 8 // 6]
            found |= {part, part.replace("+", "-").replace("/", "_")}
        return found

    def __call__(self, text: str) -> str:
        for form, name in self.forms():
            text = text.replace(form, f"[secret {name}]")
        return text

    def tail(self, path: str, count: int) -> str:
        """The end of a log. It may begin in the middle of a value, which is not recognised: so it is
        shown from the first whole line or whole value on, or from where no value can reach."""
        longest = max((len(form.encode()) for form, _ in self.forms()), default=0)
        data = log_tail(path, count + longest)
        said = self(data.decode("utf-8", "replace"))
        if len(data) < count + longest:
            return said
        whole = (said.find("\n") + 1 or longest, said.find("[secret "), longest)
        return said[min(at for at in whole if at >= 0):]


# ── what went wrong ─────────────────────────────────────────────────────────────────────────


def find_error(folder: str, launch: dict, failed: bool, first: tuple | None,
               hide: Hide) -> dict | None:
    """RunError: the earliest error file of this node, or the end of what the rank printed.

    `failed` is false when no log is to blame (a success, or a stop); `first` is (local rank, text)
    of the process that ended first in failure, where the supervisor itself saw it.
    """
    ranks = max(1, launch["spec"]["gpusPerNode"])

    def error(local, message, timestamp, source):
        rank = None if local is None else launch["rank"] * ranks + local
        message = hide(message)[:MAX_ERROR_CHARS].encode("utf-8", "replace").decode()
        return {"rank": rank, "message": message,
                "timestampMs": timestamp or now_ms(), "source": source}

    reported = sorted(error_files(f"{folder}/elastic", ranks))
    if reported:
        timestamp, local, message = reported[0]
        return error(local, message, timestamp, "error-file")
    if not failed:
        return None
    logs = f"{folder}/logs"
    agent = hide.tail(f"{logs}/agent.log", 64 << 10)
    local, how = first or root_cause(agent)
    if local is not None and local >= ranks:
        local = None  # the job writes to that log, too
    if local is None:
        local = next((k for k in range(ranks) if b"Traceback (most recent" in
                      tail_bytes(f"{logs}/{k}.err", 64 << 10)), None)
    if local is None:
        return error(None, last_words(agent), mtime_ms(f"{logs}/agent.log"), "log")
    printed = f"{logs}/{local}.err"
    said = hide.tail(printed, 16 << 10) or hide.tail(f"{logs}/{local}.out", 16 << 10)
    words = last_words(said, MAX_ERROR_CHARS - len(how) - 1)
    return error(local, "\n".join(filter(None, [how, words])), mtime_ms(printed), "log")


def error_files(folder: str, ranks: int):
    """(time in ms, local rank, message) of each torchelastic file FOLDER/…/LOCAL/error.json. The job
    can write there, too: what is not the folder of one of its ranks is passed over."""
    folders = {str(local): local for local in range(ranks)}
    seen = 0
    for path, _, names in os.walk(folder):
        seen += 1
        if seen > 10_000:
            return
        local = folders.get(os.path.basename(path))
        if "error.json" not in names or local is None:
            continue
        try:
            content = json.loads(read_bytes(f"{path}/error.json", 1 << 20))
            message = content["message"]
            extra = message.get("extraInfo", {}) if isinstance(message, dict) else content
            said = message.get("message", "") if isinstance(message, dict) else message
            written = mtime_ms(f"{path}/error.json")
            told = int(float(extra.get("timestamp") or 0) * 1000)
            # The file tells whole seconds; its own time is finer where the two agree.
            finer = abs(told - written) < 2000 or not 0 < told < 2**53
            when = written if finer else told
            yield when, local, str(said)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError,
                RecursionError):
            continue


def root_cause(agent_log: str) -> tuple[int | None, str]:
    """(local rank, how it ended) from torchrun's own summary; the text only for a signal."""
    _, found, block = agent_log.rpartition("Root Cause (first observed failure)")
    rank = re.search(r"local_rank: ([0-9]{1,4})\b", block) if found else None
    if rank is None:
        return None, ""
    died = re.search(r"exitcode\s*: -\d+.*", block)
    message = re.search(r"traceback : (Signal .*)", block)
    how = " ".join(m.group(g) for m, g in ((died, 0), (message, 1)) if m) if died else ""
    return int(rank.group(1)), " ".join(how.split())


def last_words(said: str, limit: int = MAX_ERROR_CHARS) -> str:
    """The last traceback if it fits, else the last lines."""
    said = said.rstrip()
    at = said.rfind("Traceback (most recent call last)")
    if at >= 0 and len(said) - at <= limit:
        return said[at:]
    return said[-limit:]


def mtime_ms(path: str) -> int | None:
    try:
        return os.stat(path).st_mtime_ns // 10**6
    except OSError:
        return None


# ── the supervisor ──────────────────────────────────────────────────────────────────────────


def take_lock(folder: str, patience_s: float = 2.0) -> int | None:
    """Holds the run for the life of this process; None when another does. Somebody who only looks
    whether it is held may be in the way for an instant, so this tries for a while."""
    fd = os.open(f"{folder}/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    end = time.monotonic() + patience_s
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return fd
        except OSError:
            if time.monotonic() > end:
                os.close(fd)
                return None
            time.sleep(0.01)


def write_last(path: str, value: dict) -> None:
    """Writes the record that ends a run, however long the disk stays full."""
    while True:
        try:
            return write_json(path, value)
        except (FileNotFoundError, NotADirectoryError):
            return None  # somebody removed the whole run
        except OSError:
            time.sleep(1.0)


class Supervisor:
    """Owns one run from the start of its agent until no process of it is left."""

    def __init__(self, folder: str):
        self.folder = folder
        self.workdir = folder.rsplit("/", 4)[0]
        self.launch = read_json(f"{folder}/spec.json")
        self.lock: int | None = None
        self.agents: dict[int, int] = {}          # pid → local rank (0 for torchrun)
        self.statuses: dict[int, int] = {}        # local rank → wait status
        self.first_failure: tuple | None = None   # (local rank, text, wait status)
        self.pumps: dict[int, Log] = {}
        self.poll = select.poll()
        self.deadline: float | None = None        # of the stop that was asked for
        self.peer_deadline: float | None = None   # of ranks whose peer failed
        self.stop_began: float | None = None
        self.stop_seen: int | None = None         # its mtime
        self.got_term = False
        self.stopped = self.killed = False
        self.start_error = ""
        self.start_pipe = -1
        self.hide = Hide({})

    def run(self) -> None:
        # A second supervisor of the same run (a launch that was repeated) ends here, or below.
        self.lock = take_lock(self.folder)
        if self.lock is None or self.launch is None:
            return
        if any(exists(f"{self.folder}/{n}") for n in ("agent.json", "exit.json")):
            return
        secrets = take_over(self.launch["spec"].get("secretNames") or [])
        if secrets is None:
            sys.stderr.write("not started: its secrets did not come; the next launch brings them\n")
            return
        self.hide = Hide(secrets)
        become_subreaper()
        self.catch_signals()
        self.reserve()
        try:
            write_json(f"{self.folder}/supervisor.json", identity(os.getpid()), sync=False)
            # stop.json is looked for after supervisor.json is there, and `stop` does it the other
            # way round: one of the two always sees the other.
            if os.path.exists(f"{self.folder}/stop.json"):
                return self.finish("stopped", None, "stopped before it was started")
            self.start(secrets)
        except (CannotStart, OSError) as error:
            return self.finish("start-failed", None, f"Cannot start: {error}")
        while self.agents:
            self.step(1.0)
        self.sweep()
        self.conclude()

    def catch_signals(self) -> None:
        self.wake, wake_in = os.pipe()
        os.set_blocking(self.wake, False)
        os.set_blocking(wake_in, False)
        signal.set_wakeup_fd(wake_in, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, self.on_term)
        signal.signal(signal.SIGINT, self.on_term)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        self.poll.register(self.wake, select.POLLIN)

    def on_term(self, *_) -> None:
        self.got_term = True

    def reserve(self) -> None:
        """A little space of our own, so that exit.json fits on a disk that the job has filled."""
        try:
            write_file(f"{self.folder}/.reserve", b"\0" * 16384, sync=False)
        except OSError:
            pass

    # starting

    def start(self, secrets: dict[str, str]) -> None:
        command = Command(self.workdir, self.folder, self.launch, secrets)
        agents = command.agents()
        logs, elastic = f"{self.folder}/logs", f"{self.folder}/elastic"
        os.makedirs(elastic, exist_ok=True)
        for _, env in agents:
            if "TORCHELASTIC_ERROR_FILE" in env and command.spec["launcher"] == "processes":
                os.makedirs(os.path.dirname(env["TORCHELASTIC_ERROR_FILE"]), exist_ok=True)
        checkpoints = agents[0][1]["UGRO_CHECKPOINT_DIR"]
        try:
            os.makedirs(checkpoints, exist_ok=True)
        except OSError as error:
            raise CannotStart(f"checkpoint folder {checkpoints} cannot be made: {error}") from error
        for name in ["agent"] + [f"{k}.{s}" for k in range(command.ranks) for s in ("out", "err")]:
            self.open_pipe(logs, name)
        self.fork_all(agents, f"{logs}/agent.pipe", elastic)

    def open_pipe(self, logs: str, name: str) -> None:
        """A named pipe that ranks open for writing. Held for reading *and* writing, so that it is
        there before the first writer and survives the last."""
        path = f"{logs}/{name}.pipe"
        if not os.path.exists(path):
            os.mkfifo(path, 0o600)
        fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            fcntl.fcntl(fd, F_SETPIPE_SZ, 256 << 10)  # so that a burst need not wait for us
        except OSError:
            pass
        limit = self.launch["spec"].get("logLimitBytes", LOG_LIMIT_BYTES)
        self.pumps[fd] = Log(f"{logs}/{name}.log" if name == "agent" else f"{logs}/{name}", limit)
        self.poll.register(fd, select.POLLIN)

    def fork_all(self, agents: list, output: str, cwd: str) -> None:
        """Forks all, writes agent.json, and only then lets them exec: an agent that runs is always
        on record. If we die in between, they read the end of the gate and exit."""
        # A stop that comes before the child has shed our handlers must reach the agent, too.
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM,))
        gate, go = os.pipe()
        self.start_pipe, failed = os.pipe()
        os.set_blocking(self.start_pipe, False)
        for local, (words, env) in enumerate(agents):
            pid = os.fork()
            if pid == 0:
                exec_agent(words, env, cwd, output, gate, go, failed)
            self.agents[pid] = local
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM,))
        os.close(gate)
        os.close(failed)
        try:
            first = identity(next(iter(self.agents)))
            write_json(f"{self.folder}/agent.json", {**first, "startedAtMs": now_ms()})
            os.write(go, b"g" * len(agents))
        finally:
            os.close(go)
        self.poll.register(self.start_pipe, select.POLLIN)

    # the loop

    def step(self, timeout_s: float) -> None:
        """Waits for output, a signal or a deadline, and deals with all three."""
        ends = [d for d in (self.deadline, self.peer_deadline) if d is not None and self.agents]
        wait = min([timeout_s] + [max(0.0, d - time.monotonic()) for d in ends])
        for fd, event in self.poll.poll(int(wait * 1000) + 1):
            if fd == self.wake:
                os.read(fd, 4096)
            elif fd == self.start_pipe:
                self.read_start_error()
            else:
                self.pump(fd, 16)
        self.reap()
        self.look_at_stop()
        now = time.monotonic()
        if self.agents and self.deadline is not None and now >= self.deadline:
            self.killed = True
            self.kill_all()
        elif self.agents and self.peer_deadline is not None and now >= self.peer_deadline:
            self.signal_agents(signal.SIGKILL)
            self.peer_deadline = now + 1.0

    def read_start_error(self) -> None:
        try:
            said = os.read(self.start_pipe, 4096)
        except BlockingIOError:
            return
        self.start_error = self.start_error or said.decode("utf-8", "replace")
        if not said:
            self.poll.unregister(self.start_pipe)
            os.close(self.start_pipe)
            self.start_pipe = -1

    def pump(self, fd: int, rounds: int) -> None:
        for _ in range(rounds):
            try:
                data = os.read(fd, 64 << 10)
            except BlockingIOError:
                return
            if not data:
                return
            self.pumps[fd].write(data)

    def reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid in self.agents:
                local = self.agents.pop(pid)
                self.statuses[local] = status
                if status != 0 and self.first_failure is None:
                    self.note_failure(pid, local, status)

    def note_failure(self, pid: int, local: int, status: int) -> None:
        how = ""
        if os.WIFSIGNALED(status):
            number = os.WTERMSIG(status)
            how = f"exitcode : -{number} (pid: {pid}) Signal {number} ({signal_name(number)})"
        self.first_failure = (local, how, status)
        if self.agents and self.deadline is None:
            self.signal_agents(signal.SIGTERM)
            self.peer_deadline = time.monotonic() + PEER_GRACE_S

    def look_at_stop(self) -> None:
        """Takes up a stop, or a shorter one. SIGTERM without stop.json is the machine's wish (a
        shutdown): it is recorded as a stop with the grace period of the job."""
        try:
            changed = os.stat(f"{self.folder}/stop.json").st_mtime_ns
        except OSError:
            changed = None
        if changed is not None and changed != self.stop_seen:
            self.stop_seen = changed
            stop = read_checked(f"{self.folder}/stop.json", STOP)
            if stop:
                self.end_within(stop["graceMs"])
        elif self.stop_began is None and (self.got_term or not self.has_folder()):
            stop = {"reason": "supervisor got SIGTERM", "requestedAtMs": now_ms(),
                    "graceMs": self.launch["spec"]["graceMs"]}
            self.end_within(stop["graceMs"])
            try:
                write_json(f"{self.folder}/stop.json", stop)
            except OSError:
                pass

    def has_folder(self) -> bool:
        """A run whose folder was removed ends: no controller could see or stop it any more."""
        try:
            return exists(self.folder)
        except OSError:
            return True

    def end_within(self, grace_ms: int) -> None:
        """Begins the stop, or shortens it. Counted from its beginning on our own clock: that of the
        machine may be set meanwhile."""
        now = time.monotonic()
        began, self.stop_began = self.stop_began, self.stop_began or now
        deadline = self.stop_began + grace_ms / 1000
        self.deadline = deadline if self.deadline is None else min(self.deadline, deadline)
        if began is None:
            self.stopped = bool(self.agents)
            if grace_ms > 0:
                self.signal_agents(signal.SIGTERM)

    def signal_agents(self, number: int) -> None:
        for pid in self.agents:  # not reaped yet, so the pid is theirs
            try:
                os.kill(pid, number)
            except OSError:
                pass

    # the end

    def left(self) -> list[tuple[int, int]]:
        """Every live process of the run: below us, or marked, wherever it went."""
        marked = marked_processes().get(self.folder, [])
        return list(set(descendants(os.getpid())) | set(marked))

    def kill_all(self) -> None:
        """SIGKILL until nothing is left: processes fork while they are being killed."""
        pause = 0.005
        self.deadline = self.deadline and float("inf")  # from here on there is nothing to wait for
        while left := self.left():
            for pid, start in left:
                send_signal(pid, start, signal.SIGKILL)
            for fd in self.pumps:
                self.pump(fd, 16)
            time.sleep(pause)
            self.reap()
            pause = min(0.5, pause * 2)
        self.reap()

    def sweep(self) -> None:
        """Ends what the agent left behind; a stop's own deadline counts, else 5 s."""
        told: set = set()
        pause = 0.02
        end = time.monotonic() + LEFTOVER_GRACE_S if self.deadline is None else self.deadline
        while left := self.left():
            if time.monotonic() >= min(end, self.deadline or end):
                self.killed = self.killed or self.stopped
                return self.kill_all()
            for pid, start in set(left) - told:
                send_signal(pid, start, signal.SIGTERM)
                told.add((pid, start))
            self.step(min(pause, max(0.0, (self.deadline or end) - time.monotonic())))
            pause = min(0.5, pause * 1.5)  # a look costs a pass over /proc; an end wakes us

    def conclude(self) -> None:
        for fd in self.pumps:
            self.pump(fd, 1024)
        if self.start_pipe >= 0:
            self.read_start_error()
        if self.start_error:
            message = f"Cannot start: {self.start_error}"
            return self.finish("start-failed", None, message)
        status = self.first_failure[2] if self.first_failure else 0
        reason = "killed" if self.killed else "stopped" if self.stopped else "exited"
        self.finish(reason, status)

    def finish(self, reason: str, status: int | None, message: str | None = None) -> None:
        pipes = [f"{log.path.removesuffix('.log')}.pipe" for log in self.pumps.values()]
        for path in [*pipes, f"{self.folder}/.reserve"]:
            try:
                os.unlink(path)
            except OSError:
                pass  # the job was faster, or the whole run is gone
        if status is not None:
            self.write_error(status != 0 and reason == "exited")
        died = status is not None and os.WIFSIGNALED(status)
        end = {
            "code": None if status is None or died else os.WEXITSTATUS(status),
            "signal": os.WTERMSIG(status) if died else None,
            "reason": reason, "endedAtMs": now_ms(),
        }
        told = {"message": self.hide(message)} if message else {}
        write_last(f"{self.folder}/exit.json", end | told)

    def write_error(self, failed: bool) -> None:
        try:
            direct = self.launch["spec"]["launcher"] == "processes"
            first = self.first_failure[:2] if direct and self.first_failure else None
            error = find_error(self.folder, self.launch, failed, first, self.hide)
            if error:
                write_json(f"{self.folder}/error.json", error)
        except Exception:
            log_exception(self.hide)  # the run's end matters more than the reason for it

    def give_up(self) -> None:
        """After a fault of our own: leave no process behind, and say so."""
        self.kill_all()
        write_last(f"{self.folder}/exit.json", {
            "code": None, "signal": None, "reason": "lost", "endedAtMs": now_ms(),
            "message": "the supervisor failed; see supervisor.log in the run's folder"})


def exec_agent(words, env, cwd, output, gate, go, failed) -> None:
    """In the forked child: wait until we are on record, then become the agent."""
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGHUP, signal.SIGPIPE,
                       signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM,))
        os.setsid()
        os.close(go)
        if os.read(gate, 1) != b"g":
            os._exit(127)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        out = os.open(output, os.O_WRONLY)
        os.dup2(out, 1)
        os.dup2(out, 2)
        os.chdir(cwd)
        os.execvpe(words[0], words, env)
    except FileNotFoundError:
        os.write(failed, f"{words[0]} was not found (PATH is {env.get('PATH', '')})".encode())
    except BaseException as error:
        os.write(failed, f"{words[0]}: {error}".encode())
    finally:
        os._exit(127)


def signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def supervise(folder: str) -> None:
    supervisor = Supervisor(folder)
    try:
        supervisor.run()
    except Exception:
        log_exception(supervisor.hide)
        if supervisor.lock is not None:
            supervisor.give_up()


def unfinished(folder: str, known: set) -> list[tuple[int, int]]:
    """Marked processes and their descendants, those included that lost their parent since."""
    marked = marked_processes().get(folder, [])
    known |= {*marked, *descendants(*(pid for pid, _ in marked))}
    for pid, start in list(known):
        stat = process_stat(pid)
        if not is_alive(stat) or stat[2] != start:
            known.discard((pid, start))
    return list(known)


def reap(folder: str) -> None:
    """Ends a run whose supervisor is gone: SIGTERM, the stop's grace period, SIGKILL, exit.json.

    Holds the run's lock meanwhile, so that no supervisor can start it; when one already has, that
    one sees stop.json itself.
    """
    lock = take_lock(folder)
    if lock is None or os.path.exists(f"{folder}/exit.json"):
        return
    launch = read_checked(f"{folder}/spec.json", fields({"spec": SPEC, "rank": NUMBER}))
    started = exists(f"{folder}/agent.json")
    told: set = set()
    known: set = set()
    pause = 0.005
    began = time.monotonic()
    while left := unfinished(folder, known):
        stop = read_checked(f"{folder}/stop.json", STOP) or {"graceMs": 0}
        kind = time.monotonic() < began + stop["graceMs"] / 1000
        for pid, start in left:
            if not kind or (pid, start) not in told:
                send_signal(pid, start, signal.SIGTERM if kind else signal.SIGKILL)
                told.add((pid, start))
        time.sleep(pause)
        pause = min(0.5, pause * 2)
    try:
        hide = Hide({})
        error = find_error(folder, launch, False, None, hide) if launch and started else None
        if error and launch["spec"].get("secretNames"):
            error["message"] = ("not shown: the run has secrets, and who could take them out of the "
                                "message is gone; it is in elastic/ of the run's folder")
        if error:
            write_json(f"{folder}/error.json", error)
    except Exception:
        log_exception()
    message = f"the supervisor was gone; {len(told)} processes were left and were ended"
    write_last(f"{folder}/exit.json", {
        "code": None, "signal": None, "reason": "lost" if started else "stopped",
        "endedAtMs": now_ms(), "message": message if started else "stopped before it was started"})


# ── the session ─────────────────────────────────────────────────────────────────────────────


class Lane:
    """One thread for what may take long (a hanging nvidia-smi, a dead network disk, a large
    archive), so that a launch or a stop never waits behind it."""

    def __init__(self):
        self.queue = None

    def add(self, work) -> None:
        import queue
        import threading
        if self.queue is None:
            self.queue = queue.Queue(16)
            threading.Thread(target=self.loop, daemon=True).start()
        try:
            self.queue.put_nowait(work)
        except queue.Full:
            raise Refusal("failed", "earlier requests of this kind have not ended yet") from None

    def loop(self) -> None:
        while True:
            self.queue.get()()


class Later(Exception):
    """Raised by an operation whose answer comes from a lane."""

    def __init__(self, lane: Lane, work):
        super().__init__()
        self.lane, self.work = lane, work


FRAME_TOO_LONG = Refusal("invalid", f"a frame has at most {MAX_FRAME} bytes")


class Session:
    """Answers the controller. Knows nothing that it cannot read again from the disk."""

    def __init__(self, source: bytes):
        import threading
        self.source = source
        self.workdir: str | None = None
        self.write_lock = threading.Lock()
        self.observing, self.unpacking = Lane(), Lane()
        self.children = []
        self.gpus: GpuReadings | None = None
        self.states: dict[str, str] = {}
        self.rescan_at = self.eager_until = 0.0

    # frames

    def serve(self) -> None:
        """Reads requests until stdin ends. Runs go on under their supervisors."""
        os.write(1, b"\n")  # ends a line that a login script has begun
        buffer = self.take_buffered()
        skipping = False
        while True:
            *lines, buffer = buffer.split(b"\n")
            for line in lines:
                if skipping:
                    skipping = False  # the rest of a frame that was refused
                else:
                    self.handle(line)
            if len(buffer) > MAX_FRAME:
                if not skipping:
                    self.answer(None, error=FRAME_TOO_LONG)
                buffer, skipping = b"", True
            self.tick()
            data = self.read_more()
            if data == b"":
                return
            buffer = buffer + data if data and len(buffer) < 65_536 else self.join(buffer, data)

    def join(self, buffer: bytes, data: bytes | None) -> bytes:
        """Collects the rest of a long line at once: appending piece by piece would be quadratic."""
        parts = [buffer]
        size = len(buffer)
        while data:
            parts.append(data)
            size += len(data)
            if b"\n" in data or size > MAX_FRAME:
                break
            data = self.read_more()
            if data is None:
                self.tick()
        return b"".join(parts)

    def take_buffered(self) -> bytes:
        """What came in the same read as our source and already lies in Python's buffer; select()
        cannot see it. peek() would wait when there is none, hence the switch."""
        blocking = os.get_blocking(0)
        os.set_blocking(0, False)
        try:
            return sys.stdin.buffer.peek()
        finally:
            os.set_blocking(0, blocking)

    def read_more(self) -> bytes | None:
        """More input; b"" at its end, None when it is time for a tick."""
        watching = any(state != "exited" for state in self.states.values())
        eager = time.monotonic() < self.eager_until
        wait = None if self.workdir is None else 0.02 if eager else POLL_S if watching else RESCAN_S
        ready, _, _ = select.select([0], [], [], wait)
        return os.read(0, 1 << 20) if ready else None

    def send(self, frame: dict) -> None:
        data = json.dumps(frame).encode() + b"\n"
        if len(data) > MAX_FRAME:
            error = {"code": "failed", "message": "the answer is longer than a frame: clean"}
            data = json.dumps({"id": frame.get("id"), "ok": False, "error": error}).encode() + b"\n"
        with self.write_lock:
            view = memoryview(data)
            try:
                while view:
                    view = view[os.write(1, view):]
            except BrokenPipeError:
                self.leave(0)

    def leave(self, code: int) -> None:
        """Ends at once: lanes may hang for ever, and nothing of theirs needs saving."""
        if self.gpus:
            self.gpus.smi.kill()
        os._exit(code)

    def answer(self, number, result=None, error: Exception | None = None) -> None:
        if error is None:
            return self.send({"id": number, "ok": True, "result": result})
        if isinstance(error, OSError) and error.errno in NO_SPACE:
            error = Refusal("no-space", f"the disk of {self.workdir} is full")
        code = error.code if isinstance(error, Refusal) else "failed"
        message = str(error) if isinstance(error, Refusal) else f"{type(error).__name__}: {error}"
        self.send({"id": number, "ok": False, "error": {"code": code, "message": message[:4000]}})

    def handle(self, line: bytes) -> None:
        number = None
        try:
            if len(line) > MAX_FRAME:
                raise FRAME_TOO_LONG
            try:
                request = json.loads(line)
            except (ValueError, RecursionError):
                raise Refusal("invalid", "this is not JSON") from None
            if not isinstance(request, dict):
                refuse("a request", "an object")
            number = request.get("id")
            if type(number) is not int:
                number = None
                refuse("id", "a whole number")
            operation = self.OPERATIONS[one_of(*self.OPERATIONS)(request.get("op"), "op")]
            if self.workdir is None and request["op"] != "hello":
                raise Refusal("invalid", "hello comes first")
            run, required, *optional = operation
            self.answer(number, run(self, fields(required, *optional)(request, "request")))
            if request["op"] == "hello":
                import socket  # noqa: F401  launch needs both; the controller reads meanwhile
                import subprocess  # noqa: F401
        except Later as later:
            self.do_later(number, later)
        except Exception as error:
            self.report(number, error)

    def do_later(self, number, later: Later) -> None:
        def work():
            try:
                self.answer(number, later.work())
            except Exception as error:
                self.report(number, error)
        try:
            later.lane.add(work)
        except Refusal as error:
            self.answer(number, error=error)

    def report(self, number, error: Exception) -> None:
        if not isinstance(error, Refusal):
            log_exception()
        self.answer(number, error=error)

    # events

    def tick(self) -> None:
        """Says `changed` for every run that is in another state than when we last looked."""
        self.children = [child for child in self.children if child.poll() is None]
        if self.workdir is None:
            return
        try:
            if time.monotonic() >= self.rescan_at:
                self.rescan_at = time.monotonic() + RESCAN_S
                found = list_runs(self.workdir)
                self.states = {f: self.states.get(f, "") for f in found}
            for folder, before in list(self.states.items()):
                if before != "exited":
                    self.note(folder, before)
        except OSError:
            pass  # observe reports it

    def gpus_changed(self) -> None:
        self.send({"event": "changed", "what": "GPUs or who uses them"})

    def note(self, folder: str, before: str) -> None:
        state = run_state(folder)
        if state != before and os.path.isdir(folder):
            self.states[folder] = state
            job, attempt, rank = run_name(folder)
            self.send({"event": "changed", "what": f"run {job}/{attempt}/{rank} {state}"})

    # operations

    def hello(self, q: dict) -> dict:
        if sys.version_info < (3, 10):
            raise Refusal("failed", f"Python 3.10+ is needed, not {sys.version.split()[0]}; "
                          "set python: of the node in cluster.yaml")
        path = expand(q["workdir"])
        if not path.startswith("/"):
            refuse("workdir", "an absolute path or ~/…")
        if not os.path.isdir(path):
            os.makedirs(path, 0o700)
        path = os.path.realpath(path)
        if self.workdir not in (None, path):
            raise Refusal("invalid", f"this session works in {self.workdir}")
        take_possession(path, q["repository"])
        for name in ("runner", "code", "runs", "checkpoints"):
            os.makedirs(f"{path}/{name}", 0o700, exist_ok=True)
        self.program = install(path, self.source)
        self.workdir = path
        self.records, self.checkpoints = Records(path), Checkpoints(path)
        self.code = CodeStore(path)
        self.gpus = GpuReadings(NvidiaSmi(), self.gpus_changed)
        self.gpus.ask_anew()
        forget_old(f"{path}/code")
        forget_old(f"{path}/runs")
        self.code.forget_unused(code_in_use(path))
        self.states = {folder: run_state(folder) for folder in list_runs(path)}
        highest = self.with_epoch(q["epoch"], lambda highest: highest, refuse_older=False)
        return {"protocol": PROTOCOL, "bootId": boot_id(), "hostname": os.uname().nodename,
                "python": sys.version.split()[0], "pid": os.getpid(), "home": home(),
                "workdir": path, "epoch": highest}

    def with_epoch(self, epoch: int, work, refuse_older: bool = True):
        """Works under the lock on WORKDIR/epoch, unless a newer controller has been here."""
        fd = os.open(f"{self.workdir}/epoch", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            content = os.pread(fd, 32, 0).strip() or b"0"
            if not content.isdigit():
                raise Refusal("failed", f"{self.workdir}/epoch is damaged; write the number of the "
                              "highest epoch of the lease into it")
            highest = int(content)
            if epoch < highest and refuse_older:
                raise Refusal("stale-epoch", f"epoch {epoch} is older than {highest}")
            if epoch > highest:
                os.pwrite(fd, b"%d\n" % epoch, 0)
                os.fsync(fd)
            return work(max(epoch, highest))
        finally:
            os.close(fd)

    def observe(self, q: dict):
        raise Later(self.observing, lambda: self.look(q["checkpoints"]))

    def look(self, queries: list[dict]) -> dict:
        gpus, apps = self.gpus.read()
        pids = app_pids(apps.get("csv", ""))
        owners = Owners(self.workdir) if pids else None
        checkpoints, errors = self.checkpoints.find_all(queries)
        total, available = memory_mib()
        disk = os.statvfs(self.workdir)
        return {
            "bootId": boot_id(), "cpuCores": os.cpu_count() or 1,
            "memoryTotalMiB": total, "memoryAvailableMiB": available,
            "diskFreeMiB": disk.f_bavail * disk.f_frsize >> 20,
            "gpus": gpus, "apps": apps,
            "pids": {str(pid): owners.of(pid) for pid in pids},
            "runs": self.records.all(),
            "checkpoints": checkpoints, "checkpointErrors": errors,
        }

    def op_launch(self, q: dict) -> dict:
        spec = q["spec"]
        if spec["code"] and not self.code.has(spec["code"]):
            raise Refusal("not-found", f"code {spec['code']} is not on this node: send it first")
        if spec["master"]["port"] == 0 and q["rank"] != 0:
            raise Refusal("invalid", "only rank 0 can choose the port: spec.master.port is 0")
        if q["rank"] >= spec["nodes"]:
            raise Refusal("invalid", f"rank {q['rank']} of {spec['nodes']} nodes")
        missing = set(spec.get("secretNames") or ()) - set(q.get("secrets") or ())
        if missing:
            raise Refusal("invalid", f"no value came for the secret {min(missing)}")
        return self.with_epoch(q["epoch"], lambda _: self.launch(q))

    def launch(self, q: dict) -> dict:
        folder = run_dir(self.workdir, q["job"], q["attempt"], q["rank"])
        created = not os.path.isdir(folder) and self.prepare(folder, q)
        begun = ("agent.json", "exit.json", "stop.json")
        never = not any(exists(f"{folder}/{name}") for name in begun)
        if created or (never and not is_locked(folder)):
            self.spawn("supervise", folder, q.get("secrets"))
            self.eager_until = time.monotonic() + 1.0
        if not created and never:
            end = time.monotonic() + 1.0
            while run_state(folder) == "lost" and time.monotonic() < end:
                time.sleep(0.01)  # the new supervisor is about to write its name
        record = self.records.one(folder, {} if created else None)
        self.states[folder] = record["state"]
        return {"run": record, "created": created}

    def prepare(self, folder: str, q: dict) -> bool:
        """Makes the run appear by one rename; false when somebody else was first."""
        spec = q["spec"]
        if spec["master"]["port"] == 0:
            spec["master"]["port"] = free_port(spec["master"]["address"])
        fresh = f"{self.workdir}/runs/.new-{os.getpid()}-{os.urandom(4).hex()}"
        try:
            os.mkdir(fresh, 0o700)
            os.mkdir(f"{fresh}/logs", 0o700)
            write_file(f"{fresh}/lock", b"", sync=False)
            write_json(f"{fresh}/config.json", spec["config"])
            write_json(f"{fresh}/spec.json", {
                **{key: q[key] for key in ("job", "attempt", "rank", "epoch", "spec")},
                "createdAtMs": now_ms(), "bootId": boot_id()})
            os.makedirs(os.path.dirname(folder), 0o700, exist_ok=True)
            os.rename(fresh, folder)
            return True
        except OSError as error:
            if error.errno in (errno.EEXIST, errno.ENOTEMPTY):
                return False
            raise
        finally:
            if os.path.isdir(fresh):
                remove_tree(fresh)

    def spawn(self, what: str, folder: str, secrets: dict[str, str] | None = None) -> None:
        """Starts a detached process of ours: own session, no tie to this one's pipes."""
        import subprocess
        stdin = hand_over(secrets) if secrets else os.open(os.devnull, os.O_RDONLY)
        try:
            with open(f"{folder}/supervisor.log", "ab") as log:
                os.chmod(log.fileno(), 0o600)
                self.children.append(subprocess.Popen(
                    [sys.executable or "python3", "-I", "-S", "-X", "utf8", self.program, what,
                     folder], stdin=stdin, stdout=log, stderr=log, cwd="/",
                    env=clean_environment(), start_new_session=True))
        finally:
            os.close(stdin)

    def find_run(self, q: dict) -> str:
        folder = run_dir(self.workdir, q["job"], q["attempt"], q["rank"])
        if not os.path.isdir(folder):
            raise Refusal("not-found", f"there is no run {q['job']}/{q['attempt']}/{q['rank']}")
        return folder

    def op_stop(self, q: dict) -> dict:
        return self.with_epoch(q["epoch"], lambda _: self.stop(self.find_run(q), q))

    def stop(self, folder: str, q: dict) -> dict:
        if run_state(folder) == "exited":
            return {}
        path, now = f"{folder}/stop.json", now_ms()
        stop = {"reason": q["reason"], "requestedAtMs": now, "graceMs": q["graceMs"]}
        earlier = read_checked(path, STOP)
        if earlier:  # the first reason stands; of two deadlines the earlier one does
            spent = max(0, now - earlier["requestedAtMs"])
            stop = earlier | {"graceMs": min(earlier["graceMs"], spent + q["graceMs"])}
        try:
            if stop != earlier:
                write_json(path, stop)
        except OSError:
            log_exception()  # a full disk must not keep the job that fills it running
        who = live_supervisor(folder)
        if who:
            send_signal(who["pid"], who["startTime"], signal.SIGTERM)
            send_signal(who["pid"], who["startTime"], signal.SIGCONT)
        else:
            self.spawn("reap", folder)  # does nothing when a supervisor holds the run
        self.eager_until = time.monotonic() + 1.0
        return {}

    def op_clean(self, q: dict) -> dict:
        return self.with_epoch(q["epoch"], lambda _: self.clean(q["job"], q["throughAttempt"]))

    def clean(self, job: str, through: int) -> dict:
        removed = 0
        marked = None
        for folder in list_runs(self.workdir, job):
            if run_name(folder)[1] > through:
                continue
            state = run_state(folder)
            if state == "lost":
                marked = marked_processes() if marked is None else marked
            if state == "exited" or (state == "lost" and not marked.get(folder)):
                trash = f"{self.workdir}/runs/.trash-{os.getpid()}-{os.urandom(4).hex()}"
                os.rename(folder, trash)
                remove_tree(trash)
                self.states.pop(folder, None)
                removed += 1
                for parent in (os.path.dirname(folder), os.path.dirname(os.path.dirname(folder))):
                    try:
                        os.rmdir(parent)
                    except OSError:
                        break
        return {"removed": removed}

    def code_has(self, q: dict) -> dict:
        return {"has": self.code.has(q["digest"])}

    def code_put(self, q: dict) -> dict:
        import binascii
        try:
            data = binascii.a2b_base64(q["data"].encode())
        except ValueError:
            raise Refusal("invalid", "data must be base64") from None
        end = q["offset"] + len(data)
        self.with_epoch(q["epoch"], lambda _: None)
        if self.code.has(q["digest"]):
            self.code.drop(q["digest"])
            return {"received": end}
        received = self.code.put(q["digest"], q["offset"], data)
        if not q["last"]:
            return {"received": received}
        raise Later(self.unpacking, lambda: {
            "received": self.code.finish(q["digest"], end, q["sha256"])})

    def tail(self, q: dict) -> dict:
        folder = self.find_run(q)
        name = {"stdout": f"{q['local']}.out", "stderr": f"{q['local']}.err", "agent": "agent.log"}
        data = log_tail(f"{folder}/logs/{name[q['stream']]}", q["bytes"])
        return {"text": data.decode("utf-8", "replace")}

    OPERATIONS = {
        "hello": (hello, {"workdir": PATH, "epoch": EPOCH, "repository": text(limit=64)}),
        "observe": (observe, {"checkpoints": CHECKPOINTS}),
        "launch": (op_launch, {"epoch": EPOCH, **RUN, "spec": SPEC}, {"secrets": secret_values}),
        "stop": (op_stop, {"epoch": EPOCH, **RUN, "graceMs": integer(0, 10**9), "reason": text()}),
        "clean": (op_clean, {"epoch": EPOCH, "job": JOB, "throughAttempt": integer(0, 10**9)}),
        "code-has": (code_has, {"digest": DIGEST}),
        "code-put": (code_put, {
            "epoch": EPOCH, "digest": DIGEST, "sha256": text(r"[0-9a-f]{64}", 64),
            "offset": integer(0, MAX_CODE_BYTES), "data": text(limit=MAX_FRAME),
            "last": lambda v, name: v if isinstance(v, bool) else refuse(name, "true or false")}),
        "tail": (tail, {
            **RUN, "local": integer(0, 1023), "stream": one_of("stdout", "stderr", "agent"),
            "bytes": integer(1, MAX_TAIL)}),
    }


def free_port(address: str) -> int:
    """A port that nobody listens on now, on the master's address where that is ours."""
    import socket
    for host in (address, ""):
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
                probe.bind((host, 0))
                return probe.getsockname()[1]
        except OSError:
            continue
    raise Refusal("failed", "no free port")


def install(workdir: str, source: bytes) -> str:
    """Puts this file on disk for supervisors, compiled too: compiling it takes longer than all
    else that a supervisor does before it starts the agent."""
    import hashlib
    import importlib.util
    import marshal
    path = f"{workdir}/runner/{hashlib.sha256(source).hexdigest()[:16]}.py"
    compiled = f"{path[:-3]}.{sys.implementation.cache_tag}.pyc"
    magic = importlib.util.MAGIC_NUMBER
    if not os.path.exists(path):
        write_file(path, source)
    try:
        if not os.path.exists(compiled) or read_bytes(compiled, len(magic)) != magic:
            code = compile(source, path, "exec", dont_inherit=True)
            write_file(compiled, magic + b"\0" * 12 + marshal.dumps(code))
        os.utime(compiled)
        os.utime(path)
        for name in os.listdir(f"{workdir}/runner"):  # versions that nobody used for a month
            old = f"{workdir}/runner/{name}"
            if time.time() - os.stat(old).st_mtime > 30 * 86_400:
                os.unlink(old)
        return compiled
    except OSError:
        return path


def main() -> None:
    if __name__ == "__ugro_runner__":
        session = Session(globals()["UGRO_SOURCE"])
    elif len(sys.argv) == 3 and sys.argv[1] == "supervise":
        return supervise(sys.argv[2])
    elif len(sys.argv) == 3 and sys.argv[1] == "reap":
        return reap(sys.argv[2])
    else:
        session = Session(read_bytes(os.path.abspath(__file__)))
    try:
        session.serve()
    except BaseException:
        log_exception()
        session.leave(1)
    session.leave(0)


if __name__ in ("__main__", "__ugro_runner__"):
    main()
