#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The truth table: a delay or a stall is injected at each stage in turn, and what
# blkcast lag says is compared with it (lag_truth.py has the rows and the rules).
#
#	p (primary) ---- netns near: netem ---- near (replica)
#	            ---- netns far:  netem ---- far (replica on dm-delay)
#
# A host that is too busy to wake anybody in time spoils it: hence not in every run.
# ROWS="slow_flush idle": these rows alone.
#
# kernels: both
# set: all
# shellcheck disable=SC2016 # for the guest's shell
# shellcheck source=selftests/lib/ktap.sh
. "$(dirname "$0")/../lib/ktap.sh"
# shellcheck source=selftests/qemu/lab.sh
. "$(dirname "$0")/../qemu/lab.sh"
# shellcheck source=selftests/lib/local.sh
. "$(dirname "$0")/../lib/local.sh"

local_start -d 33M 2 32

on 'modprobe dm-delay && modprobe sch_netem &&
	dmsetup create far --table "0 65536 delay /dev/vda 0 0" &&
	dmsetup create probe --table "0 2048 delay /dev/vda 65536 0" &&
	dmsetup mknodes' || exit 1
local_create p /dev/ram0
on 'blkcast primary p'
local_create near /dev/ram1
local_create far /dev/mapper/far
on 'for name in near far; do
	ip netns add $name && ip -n $name link set lo up &&
		ip netns exec $name pair -t 24000 p $name || exit
done'
# Names of peers that are without a link come from the configuration.
on 'for peer in near far never; do
	printf "\n[link %s]\naddress = %s\nread-capacity = 30\n" $peer $peer \
		>> /etc/blkcast/volumes.d/p.conf
done'
check "both in sync" wait_until 60 in_sync p near far

said=$(on 'python3 -I /blkcast/selftests/guest/lag_truth.py '"${ROWS:-}" 2>&1)
while IFS=$'\t' read -r truth claim; do
	case $truth in
	True | False) is "$claim" "$truth" True ;;
	*) echo "# $truth $claim" ;;
	esac
done <<< "$said"
[ -n "${ROWS:-}" ] || check "the table is whole" grep -q '^| a peer never seen' <<< "$said"
ktap_done
