# SPDX-License-Identifier: GPL-2.0-or-later
"""KTAP for a test in Python: claim things by check(), end by done()."""

import sys

count = failed = 0
print("KTAP version 1")


def check(name, good):
    global count, failed
    count += 1
    failed += not good
    print(f"{'ok' if good else 'not ok'} {count} {name}")


def done():
    """Plan, totals, exit status."""
    print(f"1..{count}")
    print(f"# Totals: pass:{count - failed} fail:{failed}")
    sys.exit(failed > 0)
