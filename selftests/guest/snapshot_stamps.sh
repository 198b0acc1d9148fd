#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Snapshots of a volume that is being written to, again and again: restored and
# connected, the copy gets in sync and is equal to the primary. One wrong stamp
# would leave a region behind. ROUNDS tells how often.
#
#	a (primary) --snapshot--> file --restore--> b (replica of a)
#
# kernels: both
# shellcheck source=selftests/lib/ktap.sh
. "$(dirname "$0")/../lib/ktap.sh"
# shellcheck source=selftests/qemu/lab.sh
. "$(dirname "$0")/../qemu/lab.sh"
# shellcheck source=selftests/lib/local.sh
. "$(dirname "$0")/../lib/local.sh"

rounds=${ROUNDS:-1}

local_start -m 900 3 72
local_create a /dev/ram0 --size 64M
on 'blkcast primary a'

# ---- nobody writes ----

on 'dd if=/dev/urandom of=/dev/blkcast/a bs=1M seek=3 count=20 oflag=direct status=none'
check "a snapshot of an idle volume" on 'blkcast snapshot a /tmp/idle --quiet'
summary=$(on 'blkcast check --json /tmp/idle')
like "is of one moment" "$summary" '"fuzzy": *false'
like "nothing in it is in doubt" "$summary" '"in_doubt": *0,'
like "what was never written is known" "$summary" '"never_written": *704,'
is "plain zstd makes the image of it" "$(on 'zstd -dc /tmp/idle | md5sum')" \
	"$(on 'dd if=/dev/blkcast/a bs=1M iflag=direct status=none | md5sum')"

local_create b /dev/ram1 --size 64M
refuses "a volume that is up is no target" "volume b: .*in use" \
	on 'blkcast restore /tmp/idle b'
on 'blkcast down b && blkcast destroy b --force && dd if=/dev/urandom of=/dev/ram1 bs=1M count=72 status=none' || exit 1
check "a copy on a device full of rubbish" on "blkcast create b --device /dev/ram1 --size 64M \
	--uuid $local_uuid --force"
check "gets the snapshot" on 'blkcast restore --quiet --verify /tmp/idle b && blkcast up b'
check "and holds the same" same a b
field_is b "v['inconsistent']" False
is "consistent before it has met anybody" $? 0
on 'pair a b'
check "it gets in sync" wait_until 30 in_sync a b
is "by its stamps alone" "$(field a "links['b']['resync_bytes']")" 0
on 'blkcast down b'
refuses "a copy that holds content is kept" "content of its own.*--force" \
	on 'blkcast restore /tmp/idle b'

# ---- somebody writes ----

written_since() { [ "$(field a "v['writes']")" -gt "$1" ]; }

# writer SEED: until stopped; all sizes on a part of the volume.
writer() {
	local writes
	writes=$(field a "v['writes']")
	on "fio --name=w --filename=/dev/blkcast/a --rw=randwrite --ioengine=libaio --direct=1 \
		--iodepth=16 --bssplit=512/10:4k/50:32k/20:128k/20 --time_based --runtime=120 \
		--rate_iops=400 --randseed=$1 --size=$((8 + 8 * $1))m > /dev/null 2>&1 & echo \$! > /run/writer
		disown"
	wait_until 30 written_since "$writes"
}

no_views() { [ -z "$(on 'blkcast view list a')" ]; }

stop_writer() {
	# shellcheck disable=SC2016 # for the guest's shell
	on 'kill -INT $(cat /run/writer); while kill -0 $(cat /run/writer) 2> /dev/null; do sleep 0.1; done'
}

# A view is of one moment: what is restored from it can be primary at once.
writer 3
for store in memory:64M /tmp/old:64M; do
	check "a snapshot of one moment while it is written to, $store" \
		on "blkcast snapshot a /tmp/moment --force --store $store"
	like "says so" "$(on 'blkcast info --json /tmp/moment')" '"fuzzy": *false'
	check "its view is gone" wait_until 30 no_views
	check "restored" on 'blkcast restore --force --quiet --verify /tmp/moment b && blkcast up b'
	field_is b "v['inconsistent']" False
	is "consistent" $? 0
	on 'pair a b'
	check "gets in sync" wait_until 60 in_sync a b
	on 'blkcast down b'
done
refuses "a store that is too small" 'its view for this snapshot broke: its store is full.*--store' \
	on 'blkcast snapshot a /tmp/none --force --store memory:1M --threads 1 --level 19'
refuses "leaves no file" '' on 'test -e /tmp/none'
# shellcheck disable=SC2016 # for the guest's shell
check "and no view, like one that is killed" on 'blkcast snapshot a /tmp/none --level 19 --threads 1 & p=$!
	until blkcast view list a | grep -q "open$"; do kill -0 $p || exit; sleep 0.1; done; kill -9 $p'
check "in the end" wait_until 30 no_views
stop_writer
on 'blkcast up b && pair a b'
check "in sync" wait_until 60 in_sync a b
check "the copies are equal" same a b
on 'blkcast down b'

for round in $(seq "$rounds"); do
	writer "$round"
	check "round $round: a snapshot while it is written to" \
		on 'blkcast snapshot a /tmp/live --force --live'
	like "round $round: says that it is of no one moment" \
		"$(on 'blkcast info --json /tmp/live' | grep fuzzy)" true
	check "round $round: restored" on 'blkcast restore --force --quiet --verify /tmp/live b'
	on 'blkcast up b'
	field_is b "v['inconsistent']" True
	is "round $round: inconsistent until completed" $? 0
	refuses "round $round: cannot be primary" "nconsistent" on 'blkcast primary b'
	on 'pair a b'
	check "round $round: gets in sync" wait_until 60 in_sync a b
	stop_writer
	check "round $round: stays so" wait_until 30 in_sync a b
	check "round $round: is equal" same a b
	field_is b "v['inconsistent']" False
	is "round $round: and consistent now" $? 0
	on 'blkcast down b'
done

# ---- refusals ----

refuses "a plain image of no one moment" "not of one moment" on 'blkcast restore /tmp/live /tmp/image'
refuses "another volume's snapshot" "uuid .*the snapshot is of volume a" \
	on 'blkcast create other --device /dev/ram2 --size 64M --force > /dev/null; blkcast restore /tmp/live other'
on 'blkcast destroy other --force'
refuses "a copy of another size" "67108864.*--size 67108864" \
	on "blkcast create small --device /dev/ram2 --size 32M --uuid $local_uuid --force > /dev/null
	blkcast restore /tmp/live small"
# shellcheck disable=SC2016 # for the guest's shell
refuses "a damaged file" "damaged" on 'cp /tmp/live /tmp/bad
	printf "\x5a\xa5" | dd of=/tmp/bad bs=1 seek=$(($(stat -c %s /tmp/live) / 2)) conv=notrunc status=none
	blkcast restore --force /tmp/bad b'
refuses "leaves a copy that cannot come up" "ncomplete|restore" on 'blkcast up b'
check "until a restore succeeds" on 'blkcast restore --quiet /tmp/live b && blkcast up b'
on 'blkcast down b && blkcast down a'
ktap_done
