#!/usr/bin/python3 -BEs
# SPDX-License-Identifier: GPL-2.0-or-later
"""The power campaign's judge finds what it is there to find, and nothing else."""

import os
import struct
import sys

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path[:0] = [os.path.join(HERE, "../torture"), os.path.join(HERE, "../lib")]

import copies
import ktap
from history import DONE, DURABLE, IN_STREAM, ON_DISK, Session, Violation, Volume
from ktap import check
from sequence import FLUSH, FUA, NEVER, SECTOR, WRITE, Pattern, Sequence, Version

SEED, SECTORS, OPS = 77, 4096, 400
PATTERN = Pattern(2, 1024, 20, 8, 100)


def violates(session, content, must=None, barriers=None):
    try:
        session.judge(content, session.required(must) if must else {}, barriers)
    except Violation as violation:
        print("# " + str(violation).replace("\n", "\n# "))
        return True
    return False


class Disk:
    """A volume after two sessions, of which the log of the second is cut short."""

    def __init__(self, done=OPS, ended=False):
        self.volume = Volume(SEED, 3, PATTERN, SECTORS)
        self.content = bytearray(SECTORS * SECTOR)
        first = self.run(1, 150, True)
        self.volume.base = first.judge(bytes(self.content), first.required(DONE))
        self.session = self.run(2, done, ended)

    def run(self, number, ops, ended):
        session = Session(self.volume, Sequence(SEED, 3, number, PATTERN, SECTORS))
        for n in range(ops):
            session.feed(f"i {n}\n")
            session.feed(f"a {n}\n")
            self.write(session, n)
        if ended:
            session.feed(f"e {ops}\n")
        return session

    def write(self, session, n):
        op = session.sequence[n]
        for sector in range(op.sector, op.sector + op.sectors):
            self.put(sector, session.sequence.fill(n, sector))

    def put(self, sector, data):
        self.content[sector * SECTOR:(sector + 1) * SECTOR] = data

    def newest(self, kind, before=OPS):
        """The last operation of a kind, and a sector that still shows it."""
        found = self.session.judge(bytes(self.content), {})
        for sector, version in sorted(found.items(), key=lambda item: -item[1].op):
            if (version.session == 2 and version.op < before
                    and self.session.sequence[version.op].kind == kind):
                return version.op, sector
        raise ValueError(kind)

    def older(self, sector, before):
        """Puts back what the sector held before operation @before."""
        version = self.volume.base.get(sector, NEVER)
        for n in range(before):
            op = self.session.sequence[n]
            if sector in range(op.sector, op.sector + op.sectors):
                version = Version(2, n)
        if version == NEVER:
            self.put(sector, bytes(SECTOR))
        else:
            sequence = Sequence(SEED, 3, version.session, PATTERN, SECTORS)
            self.put(sector, sequence.fill(version.op, sector))

    def violates(self, *how):
        return violates(self.session, bytes(self.content), *how)


def last_flush(session):
    return max(n for n in range(session.issued) if session.sequence[n].kind == FLUSH)


def history_tests():
    disk = Disk(ended=True)
    for how in (DONE, IN_STREAM), (DURABLE, ON_DISK):
        check(f"a sound copy is sound: {how}", not disk.violates(*how))

    disk = Disk()
    flush = last_flush(disk.session)
    n, sector = disk.newest(WRITE)
    assert n > flush
    disk.older(sector, n)
    check("an acknowledged write is missing", disk.violates(DONE))
    check("it was not flushed: a power cut may take it", not disk.violates(DURABLE))

    disk = Disk()
    n, sector = disk.newest(WRITE, before=flush)
    disk.older(sector, n)
    check("a flushed write is missing", disk.violates(DURABLE))
    check("the writes after that flush show it", disk.violates(None, ON_DISK))
    check("without them it may be missing", not disk.violates())

    disk = Disk()
    fua = max(n for n in range(OPS) if disk.session.sequence[n].kind == FUA)
    flush = max(n for n in range(fua) if disk.session.sequence[n].kind == FLUSH)
    n, sector = disk.newest(WRITE, before=fua)
    if n > flush:
        disk.older(sector, n)
        check("a write before a FUA write is missing, later ones are there",
              disk.violates(None, IN_STREAM))
        check("on the disk itself it may be", not disk.violates(None, ON_DISK))
    n, sector = disk.newest(FUA)
    disk.older(sector, n)
    check("a FUA write is missing", disk.violates(DURABLE))

    disk = Disk()
    n, sector = disk.newest(WRITE)
    whole = bytes(disk.content[sector * SECTOR:(sector + 1) * SECTOR])
    disk.older(sector, n)
    disk.content[sector * SECTOR:sector * SECTOR + 256] = whole[:256]
    check("a torn sector", disk.violates())
    disk.put(sector, disk.session.sequence.fill(n, sector + 1))
    check("a sector that belongs elsewhere", disk.violates())
    disk.put(sector, Sequence(SEED + 1, 3, 2, PATTERN, SECTORS).fill(n, sector))
    check("a sector of another run", disk.violates())
    other = next(m for m in range(OPS) if disk.session.sequence[m].kind == WRITE
                 and sector not in range(disk.session.sequence[m].sector,
                                         sum(disk.session.sequence[m][1:])))
    disk.put(sector, disk.session.sequence.fill(other, sector))
    check("an operation that did not write here", disk.violates())

    disk = Disk(done=0, ended=True)
    sector, version = next((s, v) for s, v in disk.volume.base.items() if v != NEVER)
    disk.put(sector, bytes(SECTOR))
    check("zeros where there was something", disk.violates())
    disk = Disk(done=0)
    older = next(m for m in range(version.op)
                 if disk.session.sequence[m].kind == WRITE)
    disk.put(sector, Sequence(SEED, 3, 0, PATTERN, SECTORS).fill(older, sector))
    check("something older than the last quiet moment", disk.violates())
    disk = Disk()
    disk.content[1500 * SECTOR] = 1
    check("something where nobody writes", disk.violates())


# ---- metadata ----

class Memory:
    def __init__(self, data):
        self.data, self.size = data, len(data)

    def read(self, offset, length):
        return bytes(self.data[offset:offset + length])

    def close(self):
        pass


def with_crc(block, at):
    block[at:at + 4] = bytes(4)
    block[at:at + 4] = struct.pack("<I", copies.block_crc(bytes(block), at))
    return block


def map_block(generation, active, stamps):
    block = bytearray(copies.BLOCK)
    copies.MAP.pack_into(block, 0, copies.MAP_MAGIC, 0, generation, b"V" * 16, 0,
                         active, 0)
    for i, stamp in enumerate(stamps):
        if stamp:
            block[copies.TOUCHED_AT + i // 8] |= 1 << i % 8
        struct.pack_into("<Q", block, copies.STAMPS_AT + 8 * i, stamp)
    struct.pack_into("<I", block, copies.HEAD_CRC_AT, copies.head_crc(bytes(block)))
    return with_crc(block, 4)


def metadata(slots, generation=5):
    """Four regions of 64 KiB, one map block, on a disk of 2 MiB."""
    disk = bytearray(2 << 20)
    map_offset = (1 << 20) - 2 * copies.BLOCK
    block = bytearray(copies.BLOCK)
    copies.SUPER.pack_into(block, 0, copies.SUPER_MAGIC, 0, 2, generation, b"V" * 16,
                           b"N" * 16, 512, 0, map_offset, 4, 1, 16, 0, 1, 1, b"v")
    copies.REIGN.pack_into(block, copies.SUPER.size, 1, 0, 99, 0)
    struct.pack_into("<II16s", block, copies.MEMBERS_AT, 1, 0, b"M" * 16)
    disk[1 << 20:(1 << 20) + copies.BLOCK] = with_crc(block, 8)
    for i, slot in enumerate(slots):
        disk[map_offset + i * copies.BLOCK:map_offset + (i + 1) * copies.BLOCK] = slot
    return Memory(disk)


def copy_tests():
    stamps = [1 << 40 | 7, 1 << 40 | 8, 0, 1 << 40 | 9]
    data = Memory(bytes(range(1, 256)) * 1029)
    old, new = map_block(1, 0, stamps), map_block(2, 1, stamps)
    copy = copies.Copy(data, metadata([old, new]))
    check("members", copy.super.members == {b"M" * 16})
    check("the newer slot counts: active, in doubt, but for the untouched",
          [r.stamp for r in copy.regions] == [copies.DOUBT] * 2 + [0, copies.DOUBT])
    content = copy.content()
    check("untouched reads as zeros", not any(content[2 << 16:3 << 16])
          and content[:2 << 16] == data.data[:2 << 16])
    third = map_block(3, 0, stamps)
    torn = bytearray(old)
    torn[512:] = third[512:]
    torn[-1] ^= 1
    copy = copies.Copy(data, metadata([torn, new]))
    check("a torn slot with the old head leaves the other one",
          [r.stamp for r in copy.regions] == [copies.DOUBT] * 2 + [0, copies.DOUBT])
    torn = bytearray(third)
    torn[512] ^= 1
    copy = copies.Copy(data, metadata([torn, map_block(2, 0, stamps)]))
    check("under a new head stamps are in doubt",
          [r.stamp for r in copy.regions] == [copies.DOUBT] * 2 + [0, copies.DOUBT])
    rotten = bytearray(third)
    rotten[100] ^= 1
    for slots in [rotten, new], [bytes(copies.BLOCK), new]:
        copy = copies.Copy(data, metadata(slots))
        check("without a head it may have been the newer one",
              all(r == (True, copies.DOUBT) for r in copy.regions))

    one = copies.Copy(data, metadata([old]))
    changed = bytearray(content)
    changed[3 << 16] ^= 1
    changed[100] ^= 1
    check("equal stamps, other content", copies.false_equalities(
        one, one, content, bytes(changed)) == [0, 3])
    other = copies.Copy(data, metadata([map_block(1, 0, [5, *stamps[1:]])]))
    check("other stamps may be equal or not", copies.false_equalities(
        one, other, content, bytes(changed)) == [3])
    doubt = copies.Copy(data, metadata([new]))
    check("doubt claims nothing", copies.false_equalities(
        one, doubt, content, bytes(changed)) == [])


history_tests()
copy_tests()
ktap.done()
