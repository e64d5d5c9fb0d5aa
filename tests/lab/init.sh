#!/bin/sh
# Process 1 of a lab host: gives it its own name, files and boot id, then runs its sshd.
# Usage: init.sh HOST_DIR NAME [FOLDER_BELOW_/tmp_TO_KEEP_VISIBLE ...]
set -eu
dir=$1
name=$2
shift 2
exec >>"$dir/console.log" 2>&1

echo "$name" >/proc/sys/kernel/hostname
mount --bind "$dir/etc/passwd" /etc/passwd
mount --bind "$dir/etc/shadow" /etc/shadow
mount --bind "$dir/etc/hosts" /etc/hosts
mount --bind "$dir/boot_id" /proc/sys/kernel/random/boot_id
mount -t tmpfs -o mode=1777 ugro-lab-shm /dev/shm
mount -t tmpfs -o mode=755 ugro-lab-run /run
mkdir -p /run/sshd

# A /tmp of its own, in which the lab's own folders (often below /tmp) can still be seen.
mount -t tmpfs -o mode=1777 ugro-lab-tmp "$dir/tmp"
for folder in "$@"; do
  mkdir -p "$dir/tmp/${folder#/tmp/}"
  mount --bind "$folder" "$dir/tmp/${folder#/tmp/}"
done
mount --rbind "$dir/tmp" /tmp

cd /
/usr/sbin/sshd -D -e -f "$dir/sshd_config" >"$dir/sshd.log" 2>&1 </dev/null &
wait $!
