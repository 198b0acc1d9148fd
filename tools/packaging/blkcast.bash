# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Completion for blkcast. Commands and options are asked of the program itself.

_blkcast_volumes() {
	local dir=${BLKCAST_CONFIG_DIR:-/etc/blkcast}/volumes.d file
	for file in "$dir"/*.conf; do
		[ -e "$file" ] || continue
		file=${file##*/}
		echo "${file%.conf}"
	done
}

_blkcast_peers() {	# VOLUME
	sed -n 's/^\[link \(.*\)\]$/\1/p' \
		"${BLKCAST_CONFIG_DIR:-/etc/blkcast}/volumes.d/$1.conf" 2> /dev/null
}

_blkcast_views() {	# VOLUME
	blkcast view list "$1" --json 2> /dev/null |
		sed -n 's/^ *"name": *"\(.*\)",*$/\1/p'
}

_blkcast() {
	local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
	local command=${COMP_WORDS[1]} words=
	COMPREPLY=()
	if [ "$COMP_CWORD" -eq 1 ]; then
		words=$(blkcast --help | sed -n 's/^  \([a-z]*\)  .*/\1/p')
		mapfile -t COMPREPLY < <(compgen -W "$words --help --version" -- "$current")
		return
	fi
	case $previous in
	--device | --meta | --store | --since)
		mapfile -t COMPREPLY < <(compgen -f -- "${current:-/dev/}")
		return
		;;
	--peer | --to)
		words=$(_blkcast_peers "${COMP_WORDS[2]}")
		;;
	--ack)
		words="local memory disk"
		;;
	--on-loss)
		words="suspend error"
		;;
	--on-io-error)
		words="pass detach"
		;;
	--membership)
		words="auto managed"
		;;
	--policy)
		words="consistent balanced available"
		;;
	*)
		case $current in
		-*)
			[[ $command == @(meta|view) ]] && command="$command ${COMP_WORDS[2]}"
			# shellcheck disable=SC2086 # two words
			words=$(blkcast $command --help 2> /dev/null |
				sed -nE 's/^ +(-., )?(--[a-z-]+).*/\2/p')
			;;
		*)
			words=$(_blkcast_volumes)
			[ "$command" = member ] && [ "$COMP_CWORD" -eq 3 ] &&
				words=$(_blkcast_peers "${COMP_WORDS[2]}")
			[ "$command" = member ] && [ "$COMP_CWORD" -eq 4 ] &&
				words="in out"
			[ "$command" = meta ] && [ "$COMP_CWORD" -eq 2 ] &&
				words="dump check"
			[ "$command" = view ] && [ "$COMP_CWORD" -eq 2 ] &&
				words="create refresh list remove"
			[ "$command" = view ] && [ "$COMP_CWORD" -eq 4 ] &&
				words=$(_blkcast_views "${COMP_WORDS[3]}")
			;;
		esac
		;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
	case $command in
	snapshot | restore | info | check | diff | prune)
		local file
		while read -r file; do
			COMPREPLY+=("$file")
		done < <(compgen -f -- "$current")
		;;
	esac
}

complete -o filenames -F _blkcast blkcast
