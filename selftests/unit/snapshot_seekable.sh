#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The seek table of a snapshot, read by the reference reader of zstd's seekable format
# (selftests/deps brings its source, which Debian does not build).
#
# shellcheck source=selftests/lib/ktap.sh
. "$(dirname "$0")/../lib/ktap.sh"

here=$(readlink -f "$(dirname "$0")")
blkcast=$here/../../.build/tools/blkcast
zstd=${BLKCAST_CACHE:-/var/cache/blkcast}/zstd
[ -e "$zstd/complete" ] || skip_all "zstd's source is not there: make deps"

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1

check "the reference reader is built" cc -O1 -w -I "$zstd/lib" -I "$zstd/lib/common" \
	-I "$zstd/contrib/seekable_format" -o reader "$here/seekable/reader.c" \
	"$zstd/contrib/seekable_format/zstdseek_decompress.c" "$zstd/lib/common/xxhash.c" -lzstd

truncate -s 20000256 image
seq 400000 | dd of=image bs=64k seek=7 conv=notrunc status=none
openssl enc -aes-128-ctr -nosalt -K 0123 -iv 00 -in /dev/zero 2> /dev/null |
	head -c 5000000 | dd of=image bs=64k seek=180 conv=notrunc status=none
"$blkcast" snapshot --quiet ./image image.snap
check "it finds all of the image" ./reader image.snap image
cp image other
printf x | dd of=other bs=1 seek=15000000 conv=notrunc status=none
refuses "and would see a byte that differs" 'not what the image holds' ./reader image.snap other
cp image.snap bad.snap
printf '\xff\xff' | dd of=bad.snap bs=1 seek=$(($(stat -c %s bad.snap) - 40)) conv=notrunc status=none
check "a damaged table it does not take" eval '! ./reader bad.snap image > out 2>&1'
ktap_done
