#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Links by certificates: the right ones are let in, all others are refused, which is
# said and logged and changes nothing; a renewed one is put to use under a writer, for
# whom no write fails or is not yet on both copies.
#
#	authority ---- g1 (primary) ---- LAN ---- g2
#
# kernels: both
# shellcheck disable=SC2016 # for the guest's shell
# shellcheck source=selftests/lib/ktap.sh
. "$(dirname "$0")/../lib/ktap.sh"
# shellcheck source=selftests/qemu/lab.sh
. "$(dirname "$0")/../qemu/lab.sh"
# shellcheck source=selftests/lib/hosts.sh
. "$(dirname "$0")/../lib/hosts.sh"
# shellcheck source=selftests/lib/certs.sh
. "$(dirname "$0")/../lib/certs.sh"

# Where it writes first.
content() {
	vm_exec "$1" 'dd if=/dev/blkcast/data bs=1M count=24 iflag=direct status=none | md5sum'
}
reload() { vm_exec "$1" 'kill -HUP $(cat /run/blkcast/blkcastd.pid)'; }
connect() { vm_exec g1 "blkcast connect data --peer g2 --address g2 $*"; }
disconnect() { vm_exec g1 'blkcast disconnect data --peer g2'; }
in_sync() { field_is g1 "link['g2']['state'], link['g2']['lag_writes']" 'in-sync 0'; }
written() { vm_exec g1 'wc -l < /tmp/log'; }
goes_on() { [ "$(written)" -gt "$1" ]; }
logged() { vm_exec g2 'cat /run/blkcastd.log'; }
warnings() { vm_exec "$1" 'blkcast status' | grep warning; }
# By whom asks for metrics, who may ask nobody else.
expiry() {	# GUEST LABELS
	vm_exec "$1" 'install -m 755 "$(command -v blkcast-exporter)" /run/exporter &&
		setpriv --reuid 65534 --clear-groups /run/exporter --once --no-bpf' |
		sed -n "s/^blkcast_certificate_expiry_timestamp_seconds{$2} //p"
}

# refused NAME REGEX [OPTION]: nor is anything linked, or other than it was
refused() {
	refuses "$1" "$2" connect "${3:-}"
	is "... and has no link" "$(field g2 "v['links']")" '[]'
}

lab_start
# More than the writer writes.
vm_add g1 -d 1G
vm_add g2 -d 1G
vm_start g1 g2
authority ca 70 || exit 1
authority other || exit 1
certificate g1 g1 50 ca || exit 1
certificate g2 g2 60 ca || exit 1
certificate renewed g1 20 ca || exit 1
certificate expired g1 -1 ca || exit 1
certificate unknown g1 9 other || exit 1
certificate stolen g3 9 ca || exit 1
hosts_key
for host in g1 g2; do
	vm_load $host
	vm_exec $host 'mkdir -p /etc/blkcast'
	use $host $host
	daemon_start $host
	volume_create $host
done
vm_exec g1 'blkcast primary data'

check "connects, without a key anywhere" connect
check "in sync" wait_until 60 in_sync
is "encrypted by the kernel" "$(field g1 "link['g2']['tls']") $(field g2 "link['g1']['tls']")" \
	'True True'
vm_exec g1 'dd if=/dev/urandom of=/dev/blkcast/data bs=64k count=64 oflag=direct status=none'
check "and again" wait_until 60 in_sync
is "equal" "$(content g1)" "$(content g2)"

# ---- until when ----

is "each knows when its own ends" "$(expiry g1 'role="own"') $(expiry g2 'role="own"')" \
	"$(ends g1) $(ends g2)"
is "... its authority's" "$(expiry g1 'role="ca"') $(expiry g2 'role="ca"')" \
	"$(ends ca) $(ends ca)"
is "... the other's" "$(expiry g1 'role="peer",peer="g2"') $(expiry g2 'role="peer",peer="g1"')" \
	"$(ends g2) $(ends g1)"
is "... status tells programs the same" "$(vm_exec g1 'blkcast status --json' | python3 -Ic '
import json, sys
o = json.load(sys.stdin)
print(o["certificate_ends"], o["certificate_authority_ends"],
      o["volumes"][0]["links"][0]["certificate_ends"])')" "$(ends g1) $(ends ca) $(ends g2)"
is "... and people nothing, for there is time" "$(warnings g1; warnings g2)" ""
daemon_stop g2
daemon_start g2
is "a daemon that is started anew knows it still" "$(expiry g2 'role="peer",peer="g1"')" \
	"$(ends g1)"

# ---- renewed while a writer writes ----

io=/blkcast/selftests/guest/managed_io.py
id=$(field g1 "link['g2']['id']")
vm_exec g1 'blkcast set data --ack disk --on-loss error'
check "a replica that writes wait for, while it is there" wait_until 60 \
	field_is g1 "v['in_sync_copies']" 2
vm_exec g1 "blkcast events data > /tmp/events 2>&1 & disown
	python3 -I $io write /dev/blkcast/data /tmp/log 0 260000 > /tmp/writer 2>&1 & disown
	until [ -s /tmp/log ]; do sleep 0.1; done"
use g1 renewed
check "by a new connection" vm_exec g1 'blkcast reconnect data'
check "... it is another one" [ "$(field g1 "link['g2']['id']")" != "$id" ]
is "... in sync, with the policy as before" "$(field g1 \
	"link['g2']['state'], v['min_isr'], v['on_loss']")" 'in-sync 1 error'
check "... the writer goes on" wait_until 60 goes_on "$(written)"
vm_exec g1 'pkill -f managed_io.py; while pgrep -f managed_io.py > /dev/null; do sleep 0.1; done
	pkill -x blkcast; blkcast set data --ack local'
is "... when it ends is known here, and there" \
	"$(expiry g1 'role="own"') $(expiry g2 'role="peer",peer="g1"')" \
	"$(ends renewed) $(ends renewed)"
like "... that is soon: the host itself warns" "$(warnings g1)" \
	'^warning: .*host.crt expires on 20.*renew it'
like "... and the other" "$(warnings g2)" 'warning: the certificate of g1 expires on 20'
is "... nobody has left the in-sync set" "$(vm_exec g1 'grep -c in-sync-set /tmp/events')" 0
check "... events were heard" vm_exec g1 'grep -q link-in-sync /tmp/events'
check "... no write has failed" vm_exec g1 '! grep -v " ok$" /tmp/log'
check "... all are there" vm_exec g1 "python3 -I $io has /dev/blkcast/data /tmp/log"

# ---- those that are not let in ----

use g1 expired
reload g1
check "the host itself says that its own has expired" wait_until 60 \
	vm_exec g1 'grep -q "host.crt has expired on" /run/blkcastd.log'
like "... and so does status" "$(vm_exec g1 'blkcast status')" 'warning: .*host.crt has expired on'
is "the link that is up stays" "$(field g1 "link['g2']['state']")" in-sync
disconnect
before=$(content g2)
vm_exec g1 'dd if=/dev/urandom of=/dev/blkcast/data bs=64k count=8 oflag=direct status=none'
refused "an expired one" 'g2 refuses: the certificate of g1 has expired on 20.*renew it'
use g1 unknown
refused "one by an unknown authority" 'the certificate of g1 is not by an authority that is known'
use g1 stolen
refused "that of another host" 'the certificate of g1 is for g3, not for this node'
refused "in the clear" 'a plain link needs the key' --plain
vm_exec g1 'rm /etc/blkcast/blkcast.conf; install -m 600 /lab/key /etc/blkcast/key'
refused "the key" 'wrong key: .* takes certificates only'
refused "in the clear, with the key" 'g2 takes links by TLS only' --plain
log=$(logged)
like "each is in the log of who refuses" "$log" \
	'link from \(not said\) at [0-9a-f.:]+: the certificate of g1 has expired on 20'
like "... the second" "$log" 'not by an authority that is known here'
like "... the third" "$log" 'is for g3, not for this node'
like "... the key" "$log" 'the peer comes with the key, this host takes certificates'
is "the volume is as it was" "$(content g2)" "$before"

# Whoever comes often is not logged as often.
vm_exec g1 'for _ in $(seq 60); do
		printf "\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00" > /dev/tcp/g2/7790
	done'
check "a flood is a few lines" vm_exec g2 '[ "$(grep -c "link from (not said)" \
	/run/blkcastd.log)" -lt 30 ]'

# ---- renewed ----

use g1 renewed
check "a renewed one is let in, with nothing restarted" connect
check "in sync again" wait_until 60 in_sync
is "equal again" "$(content g1)" "$(content g2)"
vm_exec g2 'echo "allow = g4 g5" > /tmp/allow; sed -i "/^\[volume\]/r /tmp/allow" \
	/etc/blkcast/volumes.d/data.conf'
reload g2
disconnect
refused "but not to a volume that is for others" 'volume data on g2 is not for g1'
ktap_done
