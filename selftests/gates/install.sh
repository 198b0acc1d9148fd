#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# `make install` puts all programs and manual pages where they belong, none of them with
# its owner's rights for everybody, and systemd understands its units. The daemon runs no
# shell.
. "$(dirname "$0")/../lib/ktap.sh"
. "$(dirname "$0")/../lib/sources.sh"

dest=$(mktemp -d)
trap 'rm -rf "$dest"' EXIT

install_all() {
	local part
	for part in tools bpf; do
		make -s -C "$part" O="$PWD/.build/$part" DESTDIR="$dest" install || return
	done
}

check "installed below another root" install_all
is "manual pages" "$(cd "$dest/usr/share/man" && printf '%s\n' man*/* | sort)" \
	"$(sources 'tools/man/*' | sed 's,.*/\(.*\.\)\([0-9]\)$,man\2/\1\2,' | sort)"
for file in usr/sbin/blkcast usr/sbin/blkcastd usr/libexec/blkcast/blkcast-lag \
	usr/sbin/blkcast-exporter usr/share/blkcast/blkcast.rules.yml \
	usr/share/blkcast/blkcast-grafana.json lib/systemd/system/blkcast-exporter.service \
	lib/systemd/system/blkcastd.service lib/udev/rules.d/60-blkcast.rules \
	lib/udev/rules.d/65-blkcast-md.rules \
	usr/libexec/blkcast/backup lib/systemd/system/blkcast-backup@.service \
	lib/systemd/system/blkcast-backup@.timer \
	usr/share/bash-completion/completions/blkcast; do
	check "$file" test -s "$dest/$file"
done

is "nothing is setuid or setgid" "$(find "$dest" -perm /6000)" ""

# What is linked into it.
no_shell() {
	! sources 'tools/daemon/*.[ch]' 'tools/lib/*.[ch]' |
		xargs grep -nE '\<(system|popen|wordexp|execlp|execvpe?) *\(|/bin/(ba|da)?sh\>'
}
no_shell_called() {
	! nm -uD "$dest/usr/sbin/blkcastd" |
		grep -E ' (system|popen|wordexp|execlp|execvpe?|posix_spawnp)(@|$)'
}
check "the daemon's sources name no shell" no_shell
check "nor does the daemon call anything that runs one" no_shell_called

# As if it had been installed into the root.
verify_units() {
	mkdir "$dest/units"
	cp "$dest"/lib/systemd/system/* "$dest/units"
	sed -i "s,^\(Exec[A-Za-z]*=[-+]*\)/usr/,\1$dest/usr/," "$dest"/units/*
	systemd-analyze verify --man=no --recursive-errors=no "$dest"/units/*
}
check "units" verify_units
ktap_done
