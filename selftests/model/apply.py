# SPDX-License-Identifier: GPL-2.0-or-later
"""What a replica has received and not yet applied."""

from world import regions_of


class Apply:
    def __init__(self, blocks, lsn=None, whole=None, stamped=()):
        self.blocks, self.lsn, self.done = blocks, lsn, False
        self.regions = regions_of(blocks) if whole is None else [whole]
        self.whole = whole is not None          # holds all of its region
        self.stamped = stamped

    def overlaps(self, other):
        if self.whole or other.whole:
            return bool(set(self.regions) & set(other.regions))
        return bool(set(self.blocks) & set(other.blocks))
