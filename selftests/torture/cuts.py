# SPDX-License-Identifier: GPL-2.0-or-later
"""What a power cut has left on the disks, and what may be asked of it.

A cut is made, then judged volume by volume: from the image of the disk where the
power is gone, through its nbdkit where the machine still runs but is quiet (its
primary is gone, and what came from there is applied).
"""

from copies import DOUBT, false_equalities
from history import DONE, DURABLE, IN_STREAM, ON_DISK, Violation
from volumes import Blocks, differing_blocks


def read_copy(lab, volume, guest):
    """The copy's metadata, and what a reader of the volume would see."""
    copy = volume.copy(lab, guest)
    try:
        return copy, copy.content()
    finally:
        copy.close()


def read_super(lab, volume, guest):
    copy = volume.copy(lab, guest)
    copy.close()
    return copy.super


class Cut:
    """The power is gone in @victims; @volumes were being written to."""

    def __init__(self, cluster, victims):
        self.cluster, self.lab, self.victims = cluster, cluster.lab, victims
        self.primary, self.replica = cluster.primary, cluster.replica
        self.lab.cut(victims)
        if self.primary in victims:
            for v in cluster.volumes:
                v.lost()
        # In this order: whoever is in the set on disk after the log was taken
        # was waited for by all that the log says.
        self.marks = {v: v.session.marks() for v in cluster.volumes
                      if isinstance(v, Blocks) and v.session}
        self.member = {v: self.is_member(v) for v in cluster.volumes}
        self.taken = {(v, guest): read_copy(self.lab, v, guest)
                      for v in cluster.volumes for guest in victims}
        self.in_map_write = any(self.lab.unflushed(guest, v.meta)
                                for guest in victims for v in cluster.volumes
                                if v.meta != v.data)

    def is_member(self, volume):
        node = read_super(self.lab, volume, self.replica).node
        return (volume.ack == "disk" and
                node in read_super(self.lab, volume, self.primary).members)

    def copy(self, volume, guest):
        """As it was when it was first asked for."""
        if (volume, guest) not in self.taken:
            self.taken[volume, guest] = read_copy(self.lab, volume, guest)
        return self.taken[volume, guest]

    # ---- judgement ----

    def judge(self, volume, guest):
        """Raises Violation, or returns what Blocks found: sector -> version.

        A guest that has kept its power has to be parted from its primary, so that
        nothing changes its copy.
        """
        try:
            return self.judge_copy(volume, guest)
        except Violation as violation:
            raise Violation(f"{volume.name} on {guest}, {self.role(volume, guest)}:"
                            f"\n{violation}") from None
    def role(self, volume, guest):
        power = "lost" if guest in self.victims else "kept"
        if guest == self.primary:
            return f"the primary, which {power} its power"
        member = "in" if self.member[volume] else "not in"
        return f"the replica, which {power} its power, {member} the in-sync set"

    def judge_copy(self, volume, guest):
        copy, content = self.copy(volume, guest)
        sound = guest == self.primary or not copy.super.inconsistent
        if not isinstance(volume, Blocks):
            if sound:
                volume.fsck(content, self.lab.folder)
            return None
        if not volume.session:
            return None
        must, barriers = DURABLE, ON_DISK
        if guest == self.replica:
            barriers = IN_STREAM if sound else None
            must = DONE if guest not in self.victims else DURABLE
            if not self.member[volume]:
                must = None
        return volume.judge(content, must, barriers, self.marks[volume])

    def judge_maps(self, volume):
        """The one idea: equal stamps, equal content."""
        one, content_one = self.copy(volume, self.primary)
        other, content_other = self.copy(volume, self.replica)
        wrong = false_equalities(one, other, content_one, content_other)
        if wrong:
            raise Violation(f"{volume.name}: the maps of both copies have regions"
                            f" {wrong[:8]} with the same stamps, and they differ")

    # ---- how much may travel ----

    def bound(self, volume, target, content, written, busy):
        """Bytes of regions that may be copied to make @target equal to a primary
        that holds @content now and whose writers have touched the regions
        @written in this session, @busy: and while they were copied.

        A region that is in doubt on either side is compared, and only 4 KiB blocks
        that differ travel; any other whose stamps differ travels whole. Nothing
        else travels.
        """
        copy, before = self.copy(volume, target)
        source = self.cluster.primary
        doubts = [self.copy(volume, guest)[0].regions
                  for guest in {source, target} & set(self.victims)]
        total = 0
        for r, region in enumerate(copy.regions):
            blocks = differing_blocks(content, before, r, copy.region_bytes)
            compared = region.touched and any(d[r].stamp == DOUBT for d in doubts)
            if compared and not (busy and r in written):
                total += 4096 * blocks
            elif blocks or r in written:
                total += copy.region_bytes
        return total
