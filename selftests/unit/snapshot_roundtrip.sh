#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Plain images on this machine: what goes into a snapshot comes out of it, with
# blkcast and with plain zstd, from files and through pipes; and nothing half
# done is ever left.
#
# shellcheck source=selftests/lib/ktap.sh
. "$(dirname "$0")/../lib/ktap.sh"

blkcast=$(readlink -f "$(dirname "$0")/../../.build/tools/blkcast")
dir=$(mktemp -d)
loop=
cleanup() {
	cd /
	umount "$dir/mnt" 2> /dev/null
	[ -z "$loop" ] || losetup -d "$loop"
	rm -rf "$dir"
}
trap cleanup EXIT
cd "$dir" || exit 1

# image NAME SIZE KIND: data of a kind, repeatable.
image() {
	case $3 in
	random) openssl enc -aes-128-ctr -nosalt -K 0123 -iv 00 -in /dev/zero 2> /dev/null |
		head -c "$2" > "$1" ;;
	text) yes "$1 is not random at all" | head -c "$2" > "$1" ;;
	holes)
		truncate -s "$2" "$1"
		seq 20000 | dd of="$1" bs=64k seek=7 conv=notrunc status=none
		seq 20000 | dd of="$1" bs=64k seek=37 conv=notrunc status=none
		truncate -s "$2" "$1"
		;;
	esac
}

both_ways() {
	"$blkcast" snapshot --quiet "./$1" "$1.snap" &&
		zstd -tq "$1.snap" && zstd -dc "$1.snap" | cmp - "$1" &&
		"$blkcast" restore --quiet --verify "$1.snap" "./$1.out" && cmp "$1" "$1.out" &&
		"$blkcast" check --quiet "$1.snap" &&
		rm "$1.snap" "$1.out"
}

n=0
for size in 0 1 511 512 4096 65536 1048575 1048576 1048577 9437184 20000001; do
	for kind in random text holes; do
		image "i$n" $size $kind
		check "$size bytes, $kind" both_ways "i$n"
		rm "i$n"
		n=$((n + 1))
	done
done

image base 12345678 random
through_pipes() {
	"$blkcast" snapshot --quiet --threads 1 --level 1 ./base - |
		"$blkcast" restore --quiet - ./piped && cmp base piped
}
check "through a pipe, one thread" through_pipes
"$blkcast" snapshot --quiet ./base base.snap

# ---- refusals ----

refuses "no snapshot over a file that exists" "base.snap exists; --force" \
	"$blkcast" snapshot --quiet ./base base.snap
refuses "no image over a file that exists" "piped exists; --force" \
	"$blkcast" restore --quiet base.snap ./piped
check "unless forced" "$blkcast" restore --quiet --force base.snap ./piped
refuses "what is no snapshot" "byte 0: not a blkcast snapshot" "$blkcast" restore base ./new
head -c 6000000 base.snap > cut.snap
refuses "what was cut short" "cut.snap is truncated" "$blkcast" restore cut.snap ./new
is "and none of them made a target" "$(ls new 2>&1)" \
	"ls: cannot access 'new': No such file or directory"
refuses "from a pipe it shows later, and says what is left" \
	"new holds partial content now and is marked incomplete: standard input is truncated: it ends at byte 6000000" \
	"$blkcast" restore - ./new < cut.snap
refuses "a folder that is not there" "cannot create" "$blkcast" snapshot ./base no/where.snap
refuses "no such volume" "no-such-volume" "$blkcast" snapshot no-such-volume x.snap
refuses "an image without stamps is nothing for a volume" "carries no stamps" \
	"$blkcast" restore base.snap no-such-volume
"$blkcast" snapshot > usage 2>&1
is "wrong usage is told from failure" $? 2
flip() {
	cp base.snap bad.snap
	printf '\x5a\xa5\x5a\xa5' | dd of=bad.snap bs=1 seek="$1" conv=notrunc status=none
}
flip 7000000
refuses "a damaged chunk is named" "bad.snap: byte [0-9]*: chunk [0-9]* .*damaged" \
	"$blkcast" check bad.snap
flip 100
refuses "damaged metadata, too" "bad.snap: byte 0: .*checksum" "$blkcast" info bad.snap
is "info counts" "$("$blkcast" info --json base.snap | grep -E '"(bytes|chunks)"' | tr -d ' \n')" \
	'"bytes":12345678,"chunks":12,'

# ---- interrupted ----

mkfifo slow
"$blkcast" restore --quiet - ./interrupted < slow 2> words &
restorer=$!
exec 3> slow
head -c 3000000 base.snap >&3
for _ in $(seq 100); do
	[ -e interrupted ] && break
	sleep 0.1
done
kill -TERM $restorer
wait $restorer
is "a restore that is interrupted ends by the signal" $? 143
like "and says what is left" "$(cat words)" "interrupted: the target holds partial content and is marked incomplete"
exec 3>&-
refuses "nobody takes it for whole" "interrupted is incomplete: a restore to it was interrupted" \
	"$blkcast" snapshot --quiet ./interrupted half.snap
is "nor finds a filesystem in it" "$(blkid -p interrupted)" ""
# As the kernel still has it open for a moment after a program that used io_uring.
mkfifo held
flock interrupted sh -c 'echo > held; exec sleep 0.3' &
read -r < held
check "the same again goes on" "$blkcast" restore --quiet base.snap ./interrupted
check "and makes it whole" cmp base interrupted

flock --no-fork interrupted sh -c 'echo > held; exec sleep 30' &
holder=$!
read -r < held
refuses "not while another has it" "interrupted is in use" \
	"$blkcast" restore --quiet --force base.snap ./interrupted
kill $holder

# At 64 KiB a second it takes minutes: it is caught at it.  (A shell starts what is in the
# background with SIGINT ignored.)
for signal in INT TERM; do
	env --default-signal=INT "$blkcast" snapshot --quiet --rate 64K ./base killed.snap &
	writer=$!
	for _ in $(seq 600); do
		compgen -G 'killed.snap*.part' > /dev/null && break
		sleep 0.1
	done
	check "$signal: it is at work" compgen -G 'killed.snap*.part'
	kill -$signal $writer
	wait $writer 2> /dev/null
	is "a snapshot that is interrupted ends by the signal" $? $((128 + $(kill -l $signal)))
	is "and leaves nothing" "$(compgen -G 'killed*')" ""
done

# ---- watched ----

start=$EPOCHREALTIME
script -qec "$blkcast snapshot --rate 5M ./base watched.snap" /dev/null > words < /dev/null
took=$(awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN { print int((b - a) * 10) }')
check "11.8 MiB at 5 MiB a second take 2 seconds or more" [ "$took" -ge 20 ]
like "on a terminal it says how far it is, how fast, and how long it will be" "$(tr '\r' '\n' < words)" \
	'^snapshot \[#*\.*\] +[0-9]+%  [0-9.]+ MiB, [0-9.]+ [KM]iB/s, [0-9.]+ m?s left'
"$blkcast" snapshot --rate 5M ./base unwatched.snap 2> words
is "elsewhere just what came of it" "$(tr '\r' '\n' < words | wc -l)" 1

# ---- block devices ----

truncate -s 32M disk
if loop=$(losetup --find --show disk 2> /dev/null); then
	check "onto a block device" "$blkcast" restore --quiet --verify base.snap "$loop"
	check "it holds the image" cmp -n 12345678 base "$loop"
	check "and back" "$blkcast" snapshot --quiet "$loop" disk.snap
	check "as it is" eval "zstd -dc disk.snap | cmp - $loop"
	truncate -s 64M large
	"$blkcast" snapshot --quiet ./large large.snap
	refuses "one that is too small" "too small: it has 33554432 bytes, the image has 67108864" \
		"$blkcast" restore large.snap "$loop"
	mkfs.ext4 -q "$loop"
	mkdir mnt
	if mount "$loop" mnt 2> /dev/null; then
		refuses "one that is mounted" "mounted on $dir/mnt" \
			"$blkcast" restore --force base.snap "$loop"
		"$blkcast" snapshot --quiet "$loop" live.snap
		umount mnt
		refuses "an image of no one moment" "not of one moment.*--force" \
			"$blkcast" restore live.snap ./live
		check "unless forced" "$blkcast" restore --quiet --force live.snap ./live
	fi
else
	loop=
	ktap_comment "no loop device here: block devices are tested in guests alone"
fi
ktap_done
