#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
grow_cuts.py FOLDER SEED: cut a volume's growth at every write.

FOLDER holds `base`, what the device held at first; `log`, all that dm-log-writes
saw since; `steps`, a line "NAME OLD NEW END" for each growth (bytes of the volume
before and after, byte at which the metadata were known to end), whose entries
stand in the log between the marks begin-NAME and end-NAME; and before-NAME, the
volume's content as it was.

At each entry two disks are made: all writes before it have got through; or, of
those that no flush has covered, some by lot. Either must have the old or the new
size, no damage but a second copy that is behind, all the content, and zeros where
the new size shows something new. The first region is being written to all the time:
it has to be in doubt.
"""
import json
import os
import random
import shutil
import struct
import subprocess
import sys

SECTOR = 512
FLUSH, FUA, DISCARD, MARK = 1, 2, 4, 8
FIRST_REGION = 65536
BLKCAST = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                       "../../.build/tools/blkcast")


def read_log(path):
    """The entries: (flags, byte, data); of a mark the text."""
    with open(path, "rb") as log:
        magic, version, count, size = struct.unpack("<QQQI", log.read(28))
        assert (magic, version, size) == (0x6a736677736872, 1, SECTOR), "no log"
        at, entries = SECTOR, []
        for _ in range(count):
            log.seek(at)
            sector, sectors, flags, length = struct.unpack("<4Q", log.read(32))
            log.seek(at + SECTOR)
            at += SECTOR
            if flags & MARK:
                log.seek(at - SECTOR + 32)
                entries.append((flags, 0, log.read(length).decode()))
            elif flags & DISCARD:
                entries.append((flags, sector * SECTOR, bytes(sectors * SECTOR)))
            else:
                entries.append((flags, sector * SECTOR, log.read(sectors * SECTOR)))
                at += sectors * SECTOR
    return entries


class Disk:
    """The device: what is durable, and what was written since."""

    def __init__(self, path):
        self.file = open(path, "r+b", buffering=0)
        self.volatile = []

    def put(self, writes):
        for at, data in writes:
            self.file.seek(at)
            self.file.write(data)

    def get(self, at, length):
        self.file.seek(at)
        return self.file.read(length)

    def take(self, entry):
        """A flush covers what stands before it, not what comes with it."""
        flags, at, data = entry
        if flags & FLUSH:
            self.put(self.volatile)
            self.volatile = []
        if flags & FUA:
            self.put([(at, data)])
        elif data:
            self.volatile.append((at, data))

    def cut(self, writes, check):
        """Call check() with these writes done, then undo them."""
        saved = [(at, self.get(at, len(data))) for at, data in writes]
        self.put(writes)
        check()
        self.put(reversed(saved))


class Step:
    def __init__(self, folder, line):
        self.name, *numbers = line.split()
        self.old, self.new, self.end = map(int, numbers)
        self.before = open(f"{folder}/before-{self.name}", "rb").read()
        self.sizes = {}
        self.folder, self.config = folder, f"{folder}/config"

    def begin(self):
        """What the host has configured, and remembers of the metadata's end."""
        os.makedirs(self.config + "/volumes.d", exist_ok=True)
        with open(f"{self.config}/volumes.d/v.conf", "w") as conf:
            conf.write(f"[volume]\nbacking = {self.folder}/base\n")
        with open(f"{self.config}/volumes.d/v.end", "w") as end:
            end.write(f"{self.end}\n")

    def meta(self, *args):
        env = dict(os.environ, BLKCAST_CONFIG_DIR=self.config)
        done = subprocess.run([BLKCAST, "meta", *args, "--json"], env=env,
                              stdout=subprocess.PIPE)
        return json.loads(done.stdout)

    def check(self, disk):
        for found in self.meta("check", "v")["findings"]:
            assert found["level"] == "warning", found
        dump = self.meta("dump", "v", "--regions")
        super_ = next(s for s in dump["superblocks"] if s["counts"])
        size, region = super_["bytes"], super_["region_bytes"]
        assert size in (self.old, self.new), f"{size} bytes"
        self.sizes[size] = self.sizes.get(size, 0) + 1
        covered = 0
        for run in dump["runs"]:
            assert run["first"] * region == covered
            for r in range(run["first"], run["last"] + 1):
                self.check_region(disk, r * region, min((r + 1) * region, size),
                                  run["state"])
            covered = (run["last"] + 1) * region
        assert covered >= size

    def check_region(self, disk, start, end, state):
        want = self.before[start:end]
        want += bytes(end - start - len(want))
        if not start:
            assert state == "in-doubt", "the map claims to know what is being written"
        elif state == "never-written":
            assert not any(want), f"byte {start}: the map has lost a region"
        else:
            assert disk.get(start, end - start) == want, f"byte {start}: content"


def main():
    folder, seed = sys.argv[1], int(sys.argv[2])
    lot = random.Random(seed)
    steps = {s.name: s for s in (Step(folder, line) for line in open(folder + "/steps"))}
    disk, step, cuts = Disk(folder + "/base"), None, 0
    for number, entry in enumerate(read_log(folder + "/log")):
        if entry[0] & MARK:
            what, _, name = entry[2].partition("-")
            if what == "begin":
                step = steps[name]
                step.begin()
            elif what == "end" and step:
                print(f"# {name}: {cuts} cuts, sizes {step.sizes}")
                assert len(step.sizes) == 2, "cut before and after"
                step, cuts = None, 0
            continue
        disk.take(entry)
        if not step or (entry[2] and entry[1] < FIRST_REGION):
            continue
        some = [w for w in disk.volatile if lot.random() < 0.5]
        for writes in disk.volatile, some:
            try:
                disk.cut(writes, lambda: step.check(disk))
            except AssertionError as wrong:
                shutil.copy(folder + "/base", folder + "/wrong")
                sys.exit(f"{step.name}, entry {number}: {wrong}")
            cuts += 1


main()
