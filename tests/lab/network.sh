#!/bin/sh
# Wires a lab: a bridge in a network namespace of its own (so that no firewall of the machine sees
# its frames), one cable to the controller and one to each host.
# Usage: network.sh LAB_ID PREFIX SWITCH_PID HOST_PID...       (PREFIX: the first three bytes)
set -eu
id=$1
prefix=$2
switch=$3
shift 3

ip link add "${id}c" type veth peer name up0 netns "$switch"
ip address add "$prefix.254/24" dev "${id}c"
ip link set "${id}c" up
nsenter -t "$switch" -n sh -ec 'ip link set lo up; ip link add br0 type bridge; ip link set br0 up
  ip link set up0 master br0; ip link set up0 up'
k=0
for host in "$@"; do
  k=$((k + 1))
  nsenter -t "$switch" -n sh -ec "ip link add h$k type veth peer name eth0 netns $host
    ip link set h$k master br0; ip link set h$k up"
  nsenter -t "$host" -n sh -ec "ip link set lo up; ip address add $prefix.$k/24 dev eth0
    ip link set eth0 up"
done
