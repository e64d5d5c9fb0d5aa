"""Asks runner.py what it makes of error files and logs that a job may have left.

Reads cases from stdin, one JSON object a line: {"files": {PATH: KIND:CONTENT}, "failed": bool};
prints for each what `find_error` gave, or what it threw. Usage: error_files.py RUNNER
"""
import base64
import importlib.util
import json
import os
import shutil
import signal
import sys
import tempfile
import time

PATIENCE_S = 10


def load(path):
    spec = importlib.util.spec_from_file_location("runner", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def lay_out(folder, files):
    for name, content in files.items():
        path = os.path.join(os.fsencode(folder), os.fsencode(name))
        kind, _, rest = content.partition(":")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if kind == "fifo":
            os.mkfifo(path)
        elif kind == "link":
            os.symlink(rest, path)
        elif kind == "folder":
            os.makedirs(path, exist_ok=True)
        elif kind == "sparse":
            with open(path, "wb") as file:
                file.truncate(int(rest))
        else:
            with open(path, "wb") as file:
                file.write(base64.b64decode(rest))


def give_up(*_):
    raise TimeoutError(f"more than {PATIENCE_S} s")


def main():
    runner = load(sys.argv[1])
    signal.signal(signal.SIGALRM, give_up)
    hide = [runner.Hide({})] if hasattr(runner, "Hide") else []
    for line in sys.stdin:
        case = json.loads(line)
        folder = tempfile.mkdtemp(prefix="ugro-fuzz-")
        began = time.process_time()
        try:
            lay_out(folder, case["files"])
            signal.alarm(PATIENCE_S)
            launch = {"rank": 1, "spec": {"gpusPerNode": 2}}
            error = runner.find_error(folder, launch, case["failed"], None, *hide)
            told = {"error": error, "kept": error is None or bool(runner.ERROR(error, "error"))}
        except BaseException as fault:
            told = {"threw": f"{type(fault).__name__}: {fault}"[:300]}
        finally:
            signal.alarm(0)
            shutil.rmtree(folder)
        told["ms"] = (time.process_time() - began) * 1000
        print(json.dumps(told))


main()
