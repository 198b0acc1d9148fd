#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# blkcast meta on images: what a dump says is what was put there by other means,
# each kind of damage is found and nothing else, and nothing is ever written.
#
# shellcheck source=selftests/lib/ktap.sh
. "$(dirname "$0")/../lib/ktap.sh"

here=$(readlink -f "$(dirname "$0")/..")
blkcast=$here/../.build/tools/blkcast
image=$here/lib/meta-image
dir=$(mktemp -d)
trap 'cd /; rm -rf "$dir"' EXIT
cd "$dir" || exit 1

SIZE=$((64 << 20))		# 1008 regions in 3 map blocks
SUPER0=$((SIZE - (1 << 20)))
SUPER1=$((SIZE - 4096))
MAP=66035712			# the volume's bytes, too

dump() { "$blkcast" meta dump --device img "$@"; }
json() { dump --json "${@:2}" | python3 -Ic "import json, sys; j = json.load(sys.stdin); print($1)"; }

"$image" create whole $SIZE

# fresh [COMMAND ARG...]: a whole image, then one change
fresh() {
	cp --sparse=always whole img
	[ $# -eq 0 ] || "$image" "$1" img "${@:2}"
}

# found NAME LEVEL KIND OFFSET REGEX: the one finding there is
found() {
	local status=0 text
	text=$("$blkcast" meta check --device img) || status=$?
	is "$1: exit code" $status 1
	like "$1" "$(sed '$d' <<< "$text")" "^$2: byte $4: .*$5"
	like "$1: the only one" "$(tail -n 1 <<< "$text")" ": 1 found: "
	is "$1: its kind" "$("$blkcast" meta check --device img --json |
		python3 -Ic 'import json, sys
print(*((f["level"], f["kind"], f["offset"]) for f in json.load(sys.stdin)["findings"]))')" \
		"('$2', '$3', $4)"
}

# ---- dump ----

fresh map 1 1 generation=2 stamp.480=3.7 stamp.481-483=5.9 touched.484=1 bad.485=1
"$image" map img 2 1 generation=2 flags=1 touched.1000=1
"$image" super img 0 generation=8 flags=7 term=6
before=$(sha256sum < img)
text=$(dump --regions)
like "superblocks" "$text" "superblock 0 valid, at byte $SUPER0, generation 8 \(this one counts\)"
like "the older one" "$text" "superblock 1 older, at byte $SUPER1, generation 7$"
like "which differs" "$text" '^the other +term 5, 2 reigns, flags 0x4'
like "uuid" "$text" '^volume +00010203-0405-0607-0809-0a0b0c0d0e0f'
like "size" "$text" "^data +$MAP bytes"
like "flags in words" "$text" 'state +inconsistent.*'
like "a restore that did not finish" "$text" 'state +incomplete.*'
like "history" "$text" 'term 5, reign id 0000000000005678, inherited up to 3\.100'
like "groups" "$text" '^groups +3: 1 active$'
like "regions" "$text" '^of regions +4 written, 1002 never written, 1 in doubt, 1 bad$'
like "newest stamp" "$text" '^newest stamp 5\.9$'
is "runs" "$(sed -n '/FIRST/,$p' <<< "$text" | awk 'NR > 1 { print $1, $2, $4, $5 }')" \
	"0 479 never-written 0.0
480 480 written 3.7
481 483 written 5.9
484 484 never-written 0.0
485 485 bad 0.0
486 999 never-written 0.0
1000 1000 in-doubt -
1001 1007 never-written 0.0"
is "a range" "$(dump --range 482-486 | sed -n '/FIRST/,$p' | awk 'NR > 1 { print $1, $2 }' | xargs)" \
	"482 483 484 484 485 485 486 486"
is "json: superblocks" "$(json '[(s["state"], s["counts"], s["generation"], s["term"]) for s in j["superblocks"]]')" \
	"[('valid', True, 8, 6), ('older', False, 7, 5)]"
is "json: map" "$(json '[j["map"][k] for k in ("active_groups", "damaged_slots", "written_regions", "touched_regions", "newest_text")]')" \
	"[1, 0, 4, 6, '5.9']"
is "json: runs" "$(json '[(r["first"], r["last"], r["state"], r.get("stamp_text")) for r in j["runs"]]' --range 483-484)" \
	"[(483, 483, 'written', '5.9'), (484, 484, 'never-written', '0.0')]"
is "nothing was written" "$(sha256sum < img)" "$before"

# ---- check ----

fresh
check "a whole image" "$blkcast" meta check --device img
fresh flip $((SUPER1 + 700))
found "a damaged superblock" warning super-damaged $SUPER1 'superblock 0, generation 7, counts'
"$image" flip img $((SUPER0 + 700))
found "two of them" fatal super-unusable $SUPER0 'both copies'
refuses "which cannot be dumped" 'both copies' dump
like "but are shown" "$(dump 2> /dev/null)" "superblock 1 damaged, at byte $SUPER1"
fresh super 1 generation=6
found "a superblock of the past" warning super-older $SUPER1 'power failed between'
fresh super 1 generation=9
found "lost superblock writes" error super-lost-write $SUPER0 'failed or were lost'
fresh super '*' version=99
found "a format of the future" fatal super-unusable $SUPER0 'version 99'
fresh super '*' region_shift=17
found "sizes that contradict each other" fatal super-unusable $SUPER0 'contradict'
fresh super '*' flags=0
found "metadata of another device" fatal not-internal $SUPER0 'elsewhere'
fresh reign 1 2 9 0.0
found "a history out of order" error history $SUPER0 'term 2 comes after term 3'
fresh flip $((MAP + 8192 + 50))
found "a block without a head" error block-lost $((MAP + 8192)) \
	'map block 1, regions 480 to 959: .*in doubt'
fresh flip $((MAP + 8192 + 300))
found "rotten stamps" warning stamps-lost $((MAP + 8192)) \
	'map block 1, regions 480 to 959: .*in doubt'
fresh map 1 1 generation=2
"$image" flip img $((MAP + 8192 + 300))
found "a torn slot" warning slot-torn $((MAP + 8192)) 'the other slot is newer and counts'
fresh map 1 1 generation=4
found "a lost map write" error slots-apart $((MAP + 12288)) 'write between them was lost'
fresh map 0 0 stamp.7-9=6.1
found "stamps of the future" error stamp-future $((MAP + 256 + 7 * 8)) \
	'regions 7 to 9: stamps of term 6'
fresh map 0 0 stamp.7=4.1
found "a stamp of no reign" error stamp-unknown $((MAP + 256 + 7 * 8)) \
	'region 7: stamps of term 4'
fresh map 0 0 stamp.7=5.1 touched.7=0
found "a lost touched mark" error stamp-untouched $((MAP + 256 + 7 * 8)) 'zeros'
fresh map 0 0 flags=1 stamp.7=6.1
check "stamps in an active group mean nothing" "$blkcast" meta check --device img
fresh
truncate -s $((SIZE - (4 << 20))) img
refuses "a device that has shrunk" 'no blkcast metadata' "$blkcast" meta check --device img

# ---- refusals ----

fresh
refuses "what is in use" 'in use' flock img "$blkcast" meta dump --device img
refuses "what is not there" 'cannot open .*nowhere' "$blkcast" meta check --device nowhere
refuses "no such volume" 'not configured' env BLKCAST_CONFIG_DIR="$dir" "$blkcast" meta dump data
refuses "a range beyond the end" 'regions are 0 to 1007' dump --range 1-1008
for wrong in "" "dump" "check" "dump --device img data" "check data --meta img" \
	"dump --device img --range 5-4" "dump --device img --range x" "repair data"; do
	# shellcheck disable=SC2086 # words
	"$blkcast" meta $wrong > /dev/null 2>&1
	is "wrong usage: meta $wrong" $? 2
done
check "help" "$blkcast" meta --help

# By name, with the metadata in a file of their own, and 64 TiB of data.
mkdir volumes.d
"$image" huge meta
if truncate -s 64T /dev/shm/blkcast-meta.$$ 2> /dev/null; then
	printf '[volume]\nbacking = /dev/shm/blkcast-meta.%s\nmeta = %s/meta\n' $$ "$dir" \
		> volumes.d/big.conf
	text=$(ulimit -v 150000; BLKCAST_CONFIG_DIR=$dir "$blkcast" meta check big)
	like "64 TiB in little memory" "$text" \
		'error: byte 0: map blocks 0 to 34952, regions 0 to 16777215: slot 0 is empty'
	rm /dev/shm/blkcast-meta.$$
else
	ktap_comment "no sparse files of 64 TiB here"
fi
ktap_done
