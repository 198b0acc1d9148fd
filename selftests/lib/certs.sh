# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Certificates for guests: source this after lab.sh.
#
#   authority NAME [DAYS]               $LAB/share/NAME.crt, and its key
#   certificate NAME NODE DAYS AUTHORITY
#                                       $LAB/share/NAME.crt and .pem, for that node
#   ends NAME                           when that is, in seconds since 1970
#   use GUEST NAME [AUTHORITY]          from now on that is its certificate, and whom
#                                       it trusts (ca)

new_key="-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"

# shellcheck disable=SC2154 # LAB: from lab.sh
authority() {
	# shellcheck disable=SC2086 # words
	openssl req -x509 $new_key -keyout "$LAB/$1.pem" -out "$LAB/share/$1.crt" \
		-days "${2:-9}" -subj "/CN=$1" 2> /dev/null
}

certificate() {
	# shellcheck disable=SC2086 # words
	openssl req $new_key -keyout "$LAB/share/$1.pem" -out "$LAB/$1.csr" -subj "/CN=$2" \
		-addext "subjectAltName=DNS:$2" 2> /dev/null &&
		openssl x509 -req -in "$LAB/$1.csr" -CA "$LAB/share/$4.crt" \
			-CAkey "$LAB/$4.pem" -days "$3" -copy_extensions copy \
			-out "$LAB/share/$1.crt" 2> /dev/null
}

ends() {
	date -d "$(openssl x509 -in "$LAB/share/$1.crt" -noout -enddate | cut -d= -f2)" +%s
}

use() {
	vm_exec "$1" "cd /etc/blkcast && install -m 600 /lab/$2.pem host.pem &&
		install -m 644 /lab/$2.crt host.crt && install -m 644 /lab/${3:-ca}.crt ca.crt &&
		printf '%s\n' '[daemon]' 'certificate = /etc/blkcast/host.crt' \
			'private-key = /etc/blkcast/host.pem' 'ca = /etc/blkcast/ca.crt' \
			> blkcast.conf"
}
