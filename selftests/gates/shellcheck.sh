#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Every shell script of the tree is clean to shellcheck.
. "$(dirname "$0")/../lib/ktap.sh"
. "$(dirname "$0")/../lib/sources.sh"

for script in $(shell_scripts); do
	check "$script" shellcheck --format=gcc "$script"
done
ktap_done
