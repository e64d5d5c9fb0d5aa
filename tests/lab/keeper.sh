#!/bin/sh
# Ends a lab once its owner is gone: waits for the end of its stdin (the owner closed it, was
# interrupted or killed), then kills every process of the lab. Namespaces, the bridge and all mounts
# exist only as long as those processes do, so nothing else can be left.
# Usage: keeper.sh LAB_ID
trap '' INT TERM HUP
id=$1
cat >/dev/null

# Pids of processes that carry the lab's mark, of jobs (whose environment is made anew, but names
# folders of their host), and of sshd (which overwrites its environment).
marked() {
  {
    grep -lzE "^[A-Z_]+=.*/$id/h[0-9]+/" /proc/[0-9]*/environ 2>/dev/null
    grep -lzx "UGRO_LAB_ID=$id" /proc/[0-9]*/environ 2>/dev/null
    grep -laE "^(sshd: )?/usr/sbin/sshd.*/$id/h[0-9]+/sshd_config" /proc/[0-9]*/cmdline 2>/dev/null
  } | cut -d/ -f3 | sort -u
}

round=0
while pids=$(marked) && [ -n "$pids" ] && [ "$round" -lt 200 ]; do
  # shellcheck disable=SC2086 # a list of numbers
  kill -9 $pids 2>/dev/null
  sleep 0.05
  round=$((round + 1))
done
[ -z "$pids" ] || { echo "lab $id: processes left: $pids" >&2; exit 1; }

# The controller's end of the cable goes with the lab's switch; do not wait for the kernel.
if [ -e "/sys/class/net/${id}c" ]; then ip link del "${id}c" 2>/dev/null; fi
exit 0
