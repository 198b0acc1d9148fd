# SPDX-License-Identifier: GPL-2.0-or-later
"""The volumes of the campaign: what writes to them, and what is asked of a copy.

    Blocks      torture_blocks on the bare device; every sector is judged
    Files       a filesystem with torture_files in it; checked by its own fsck,
                and each file that was said to be safe is looked for

Both are started on the primary for a session, and stopped or lost with it.
"""

import os
import subprocess
import threading

from copies import Copy
from guests import LabError, Program
from history import Session, Violation, Volume
from sequence import Sequence

GUEST = "/blkcast/.build/selftests/guest"
BLOCK = 4096
MIB = 1 << 20
DISK, SLOW = "keep=40,flush=15", "keep=40,flush=150"


class Replicated:
    """What the two have in common. The disks are numbered as the guest's are."""

    def __init__(self, name, ack, mib, meta_mib=0, region="64K", backlog="64M",
                 grain=512):
        self.name, self.ack, self.bytes = name, ack, mib * MIB
        self.region, self.backlog = region, backlog
        self.region_bytes = int(region[:-1]) * 1024
        # Internal metadata: super area and some map blocks. Those on a disk of
        # their own are written slowly, so that cuts fall into that.
        self.disks = ([f"{mib}M,{DISK}", f"{meta_mib}M,{SLOW}"] if meta_mib else
                      [f"{mib + 2}M,{DISK},grain={grain}"])
        self.device = f"/dev/blkcast/{name}"
        self.program = None
        self.plain = False      # its links are without TLS

    def place(self, first):
        """Its disks are the guests' from number @first on."""
        self.data, self.meta = first, first + len(self.disks) - 1
        self.backing, self.backing_meta = (
            f"/dev/vd{'abcdefghijkl'[i]}" for i in (self.data, self.meta))

    def create_options(self):
        where = f"--device {self.backing}"
        if self.meta != self.data:
            where += f" --meta {self.backing_meta}"
        return (f"{where} --ack {self.ack} --uuid {self.uuid} --size {self.bytes}"
                f" --region-size {self.region} --backlog {self.backlog}")

    def configuration(self):
        lines = (f"uuid = {self.uuid}\nbacking = {self.backing}\n"
                 f"ack = {self.ack}\nbacklog = {self.backlog}\n")
        if self.meta != self.data:
            lines += f"meta = {self.backing_meta}\n"
        return lines

    def copy(self, lab, guest):
        """What its disks hold; to be closed."""
        data = lab.disk(guest, self.data)
        meta = data if self.meta == self.data else lab.disk(guest, self.meta)
        return Copy(data, meta)

    def tell_to_end(self):
        if self.program:
            self.program.tell_to_end()

    def stop(self):
        if self.program:
            self.program.stop()
        self.program = None

    def lost(self):
        """The guest where it ran is gone."""
        if self.program:
            self.program.lost()
        self.program = None


class Blocks(Replicated):
    def __init__(self, pattern, *shape, **more):
        super().__init__(*shape, **more)
        self.pattern = pattern
        self.lock = threading.Lock()
        self.session = None

    def prepare(self, seed, number):
        self.seed, self.number = seed, number
        self.volume = Volume(seed, number, self.pattern, self.bytes // 512)

    def start(self, lab, guest, number, watch):
        """@watch(volume, what, operation) is called for each line of its log."""
        self.session = Session(self.volume, Sequence(
            self.seed, self.number, number, self.pattern, self.bytes // 512))

        def take(line):
            with self.lock:
                self.session.feed(line)
            what, operation = line.split()
            watch(self, what, int(operation))

        arguments = [self.seed, self.number, number, *self.pattern]
        self.program = Program(lab, guest, f"{GUEST}/torture_blocks {self.device} "
                               + " ".join(map(str, arguments)), take)

    def stop(self):
        super().stop()
        if self.session and not self.session.ended:
            raise LabError(f"{self.name}: the writer has not come to its end")

    def judge(self, content, must=None, barriers=None, marks=None):
        """@must: DURABLE, DONE or None. Returns sector -> version."""
        with self.lock:
            required = self.session.required(must, marks) if must else {}
            return self.session.judge(content, required, barriers)

    def settle(self, found):
        """This is what the volume holds from now on, durable everywhere."""
        self.volume.base = found
        self.session = None

    def written_regions(self, region_bytes):
        """Regions that the session has written to, by its log."""
        regions = set()
        with self.lock:
            for n in range(self.session.issued if self.session else 0):
                op = self.session.sequence[n]
                if op.sectors:
                    regions.update(range(op.sector * 512 // region_bytes,
                                         (op.sector + op.sectors - 1) * 512
                                         // region_bytes + 1))
        return regions


class Files(Replicated):
    MKFS = {"ext4": "mkfs.ext4 -q -b 4096 -J size=4"
                    " -E lazy_itable_init=0,lazy_journal_init=0,nodiscard",
            "xfs": "mkfs.xfs -q -K --unsupported -l size=8m"}

    def __init__(self, *shape, **more):
        super().__init__(*shape, **more)
        self.folder = f"/mnt/{self.name}"
        self.safe = None        # session, and its last file that is on disk
        self.dirty = False      # there is a log to be replayed
        self.check = "true"     # what is looked for when it is mounted next

    def make(self, lab, guest):
        lab.execute(guest, f"{self.MKFS[self.name]} {self.device}")

    def start(self, lab, guest, number, _watch):
        """Mounts it; unmounts it when told to end."""
        self.safe = [number, -1]

        def take(line):
            self.safe[1] = int(line)

        self.program = Program(lab, guest, " && ".join([
            f"mkdir -p {self.folder}", f"mount {self.device} {self.folder}",
            self.check, f"rm -rf {self.folder}/{number - 2}",
            f"{GUEST}/torture_files write {self.folder} {number}",
            f"umount {self.folder}"]), take)
        self.check, self.dirty = "true", True

    def stop(self):
        if self.program:
            super().stop()
            self.dirty = False

    def crashed(self, all_there):
        """@all_there: nothing that was safe may be gone."""
        self.check = "true"
        if all_there and self.safe:
            self.check = (f"{GUEST}/torture_files check {self.folder}"
                          f" {self.safe[0]} {self.safe[1]}")

    def fsck(self, content, folder):
        """Raises Violation unless the filesystem is sound, or will be once its log
        has been replayed. xfs_repair cannot replay one."""
        steps = [["e2fsck", "-fn"]] if self.name == "ext4" else [["xfs_repair", "-nf"]]
        if self.dirty and self.name == "xfs":
            return
        if self.dirty:
            steps.insert(0, ["e2fsck", "-yE", "journal_only"])
        path = os.path.join(folder, f"{self.name}.fsck")
        with open(path, "wb") as image:
            write_sparse(image, content)
        for step in steps:
            done = subprocess.run([*step, path], stdin=subprocess.DEVNULL, text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            if done.returncode:
                raise Violation(f"{' '.join(step)}: status {done.returncode}\n"
                                + done.stdout[-1500:])
        os.unlink(path)


def write_sparse(image, content):
    for at in range(0, len(content), 1 << 16):
        piece = content[at:at + (1 << 16)]
        if piece.count(0) != len(piece):
            image.seek(at)
            image.write(piece)
    image.truncate(len(content))


def differing_blocks(one, other, region, region_bytes):
    start = region * region_bytes
    a, b = one[start:start + region_bytes], other[start:start + region_bytes]
    if a == b:
        return 0
    return sum(a[at:at + BLOCK] != b[at:at + BLOCK] for at in range(0, len(a), BLOCK))
