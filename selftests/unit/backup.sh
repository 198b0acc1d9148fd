#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The nightly backup: full snapshots and deltas in their turn, a full one where no
# delta can be made, old ones deleted only behind a good new one. A volume cannot be
# had here: blkcast is a stand-in that writes down how it is called.
#
# shellcheck source=selftests/lib/ktap.sh
. "$(dirname "$0")/../lib/ktap.sh"

backup=$(readlink -f "$(dirname "$0")/../../tools/packaging/blkcast-backup")
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir "$dir/bin"
cat > "$dir/bin/blkcast" <<'EOT'
#!/bin/bash
echo "$*" | sed 's/[0-9]\{8\}T[0-9]\{6\}Z/TIME/g' >> "$DIR/calls"
case "$*" in
*"$FAIL"*) [ -z "$FAIL" ] || exit 1 ;;
esac
case $1 in
snapshot) : > "$3" ;;
info) echo '{ "name": "data", "volume": "11111111-2222-3333-4444-555555555555" }' ;;
esac
EOT
cat > "$dir/bin/date" <<'EOT'
#!/bin/bash
# A day later each time.
day=$(($(cat "$DIR/day" 2> /dev/null || echo 0) + 1))
echo $day > "$DIR/day"
/bin/date -d "2026-11-01 02:00 UTC + $day days" "$@"
EOT
chmod +x "$dir/bin"/*
export DIR=$dir FAIL='' PATH=$dir/bin:$PATH FOLDER=$dir/snaps

# run [VAR=VALUE...]: one backup.
run() {
	: > "$dir/calls"
	env "$@" "$backup" data > "$dir/words" 2>&1
}

# What was asked of blkcast.
calls() { sed "s,$dir/snaps/,,g; s,$dir/snaps,FOLDER,g" "$dir/calls"; }

mkdir "$dir/snaps"
touch "$dir/snaps/data-b-20270101T000000Z-full.snap" "$dir/snaps/data-old.snap"
check "the first" run
is "is full, checked, and the rules are applied" "$(calls)" \
"snapshot data data-TIME-full.snap --quiet
check data-TIME-full.snap --quiet
info data-TIME-full.snap --json
prune FOLDER --volume 11111111-2222-3333-4444-555555555555 --keep-daily 7 --keep-weekly 4 --keep-monthly 12"
check "the second" run
is "is a delta to it" "$(calls | head -n 2)" \
"snapshot data data-TIME-delta.snap --quiet --since data-TIME-full.snap
check data-TIME-delta.snap --quiet"
for _ in 3 4 5 6 7; do
	run || echo "# failed"
done
like "the seventh is a delta to the sixth" "$(calls)" '-delta.snap --quiet --since data-TIME-delta'
run
is "the eighth is full" "$(calls | head -n 1)" "snapshot data data-TIME-full.snap --quiet"
run
like "the ninth builds on it" "$(calls)" "--since data-TIME-full.snap"
run FULL_EVERY=1
is "as often as wanted" "$(calls | head -n 1)" "snapshot data data-TIME-full.snap --quiet"
run KEEP= SNAPSHOT_OPTIONS="--rate 5M --level 9"
is "options are passed on, nothing is deleted where nobody said what" "$(calls)" \
"snapshot data data-TIME-delta.snap --quiet --rate 5M --level 9 --since data-TIME-full.snap
check data-TIME-delta.snap --quiet"
check "where no delta can be made" run FAIL=--since
is "it is a full one" "$(calls | grep ^snapshot)" \
"snapshot data data-TIME-delta.snap --quiet --since data-TIME-delta.snap
snapshot data data-TIME-full.snap --quiet"
refuses "a damaged one fails" "" run FAIL="check"
is "and deletes nothing" "$(calls | grep -c prune)" 0
refuses "so does one that cannot be made" "" run FAIL="snapshot"
is "nothing is deleted then" "$(calls | grep -c prune)" 0
unset FOLDER
refuses "it wants to know where to" "" run
like "and says so" "$(cat "$dir/words")" "FOLDER: is not set"
ktap_done
