# SPDX-License-Identifier: GPL-2.0-or-later
"""A copy of a volume as its disks hold it, read without the module's help.

    Disk    the bytes of a guest's disk: through its nbdkit while the machine has
            power (what a read there would give, the volatile cache included), from
            the image when it has not (what the power cut has left)
    Copy    superblock, map and content on such disks (kmod/uapi/blkcast_disk.h)

A region without a touched mark reads as zeros, whatever the disk holds. A region
of an active group is in doubt, as is one whose stamps do not fit their head; only
the stamps of inactive groups mean anything.
"""

import socket
import struct
from collections import namedtuple

BLOCK = 4096
SUPER_AREA = 1 << 20
SUPER = struct.Struct("<8sIIQ16s16sQQQIIIIII64s")
SUPER_MAGIC = b"blkcast\x01"
HISTORY_MAX, REIGN = 128, struct.Struct("<IIQQ")
MEMBERS_AT = SUPER.size + HISTORY_MAX * REIGN.size + 8
MAP = struct.Struct("<IIQ16sIII")
MAP_MAGIC = 0x70616d62
STAMPS = 480
HEAD_CRC_AT, TOUCHED_AT, STAMPS_AT = 40, 136, 256
INCONSISTENT = 1
ACTIVE = 1
DOUBT = (1 << 64) - 1

Region = namedtuple("Region", "touched stamp")


class NbdReader:
    """Reads from an NBD server on a Unix socket."""

    REQUEST, REPLY = struct.Struct(">IHHQQI"), struct.Struct(">IIQ")

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(path)
        if self.receive(16) != b"NBDMAGICIHAVEOPT":
            raise OSError(f"{path}: no NBD server of this age")
        self.receive(2)
        # No zeroes behind the answer; the export without a name.
        self.sock.sendall(struct.pack(">I8sII", 3, b"IHAVEOPT", 1, 0))
        self.size, _ = struct.unpack(">QH", self.receive(10))

    def receive(self, length):
        data = bytearray()
        while len(data) < length:
            piece = self.sock.recv(length - len(data))
            if not piece:
                raise OSError("NBD: the server is gone")
            data += piece
        return bytes(data)

    def read(self, offset, length):
        data = bytearray()
        while length:
            piece = min(length, 1 << 20)
            self.sock.sendall(self.REQUEST.pack(0x25609513, 0, 0, 0, offset, piece))
            magic, error, _ = self.REPLY.unpack(self.receive(self.REPLY.size))
            if magic != 0x67446698 or error:
                raise OSError(f"NBD: read of {piece} at {offset}: error {error}")
            data += self.receive(piece)
            offset += piece
            length -= piece
        return bytes(data)

    def close(self):
        self.sock.close()


class ImageReader:
    """Reads from a disk whose power is off."""

    def __init__(self, path):
        self.file = open(path, "rb")
        self.size = self.file.seek(0, 2) // BLOCK * BLOCK

    def read(self, offset, length):
        self.file.seek(offset)
        return self.file.read(length)

    def close(self):
        self.file.close()


def crc32c_table():
    table = []
    for i in range(256):
        for _ in range(8):
            i = i >> 1 ^ (0x82f63b78 if i & 1 else 0)
        table.append(i)
    return table


CRC_TABLE = crc32c_table()


def block_crc(block, at):
    """crc32c of a block whose crc field, at a byte offset, counts as zero."""
    crc = 0xffffffff
    for byte in block[:at] + b"\0\0\0\0" + block[at + 4:]:
        crc = crc >> 8 ^ CRC_TABLE[(crc ^ byte) & 0xff]
    return crc ^ 0xffffffff


def head_crc(block):
    """crc32c of a map block's head, but for its first two fields."""
    head = block[8:STAMPS_AT]
    return block_crc(head, HEAD_CRC_AT - 8)


class Super:
    """The newer valid superblock of a metadata device."""

    def __init__(self, disk):
        self.block = None
        self.generation = 0
        for place in (disk.size - SUPER_AREA, disk.size - BLOCK):
            block = disk.read(place, BLOCK)
            magic, crc, _, generation, *_ = SUPER.unpack_from(block)
            if (magic == SUPER_MAGIC and block_crc(block, 8) == crc
                    and generation > self.generation):
                self.block, self.generation = block, generation
        if not self.block:
            raise ValueError("no valid superblock")
        (_, _, _, _, self.volume, self.node, self.sectors, self.data_start,
         self.map_offset, self.regions, self.groups, self.region_shift, self.flags,
         self.term, self.reigns, _) = SUPER.unpack_from(self.block)
        history = [REIGN.unpack_from(self.block, SUPER.size + i * REIGN.size)
                   for i in range(self.reigns)]
        self.history = {term: reign for term, _, reign, _ in history}

    @property
    def inconsistent(self):
        return bool(self.flags & INCONSISTENT)

    @property
    def members(self):
        """The copies that hold all that was acknowledged."""
        count, _ = struct.unpack_from("<II", self.block, MEMBERS_AT)
        return {self.block[at:at + 16] for at in
                range(MEMBERS_AT + 8, MEMBERS_AT + 8 + 16 * count, 16)}


class Copy:
    """One copy, from its data disk and its metadata disk."""

    def __init__(self, data, meta):
        self.data, self.meta = data, meta
        self.super = Super(meta)
        self.bytes = self.super.sectors * 512
        self.region_bytes = 1 << self.super.region_shift
        blocks = self.map_blocks()
        self.regions = [region for i in range(self.super.groups)
                        for region in self.group(blocks, i)]

    def map_blocks(self):
        """The map as it is now."""
        return self.meta.read(self.super.map_offset, 2 * BLOCK * self.super.groups)

    def group(self, blocks, index):
        """The regions of one map block, by the newer of its slots."""
        both = blocks[2 * BLOCK * index:2 * BLOCK * (index + 1)]
        slots = [self.slot(block, index) for block in (both[:BLOCK], both[BLOCK:])]
        count = min(STAMPS, self.super.regions - index * STAMPS)
        older, newer = sorted(slots) if None not in slots else (None, None)
        if not newer or not older[0] and newer[0] != 1:
            return [Region(True, DOUBT)] * count
        _, active, block = newer
        stamps = struct.unpack_from(f"<{count}Q", block, STAMPS_AT)
        return [self.region(block, i, active, stamps[i]) for i in range(count)]

    def slot(self, block, index):
        """Generation, are the stamps in doubt, block; None: it is lost."""
        if not any(block[:STAMPS_AT]):
            return 0, True, block
        magic, crc, generation, volume, number, flags, head = MAP.unpack_from(block)
        whole = block_crc(block, 4) == crc
        if (magic != MAP_MAGIC or number != index or volume != self.super.volume
                or not whole and head_crc(block) != head):
            return None
        return generation, flags & ACTIVE or not whole, block

    def close(self):
        self.data.close()
        self.meta.close()

    @staticmethod
    def region(block, i, active, stamp):
        touched = bool(block[TOUCHED_AT + i // 8] & 1 << i % 8)
        return Region(touched, 0 if not touched else DOUBT if active else stamp)

    def content(self):
        """What a reader of the volume sees."""
        data = bytearray(self.data.read(self.super.data_start * 512, self.bytes))
        for i, region in enumerate(self.regions):
            if not region.touched:
                piece = slice(i * self.region_bytes,
                              min((i + 1) * self.region_bytes, self.bytes))
                data[piece] = bytes(piece.stop - piece.start)
        return bytes(data)


def false_equalities(one, other, content, content_other):
    """Regions that two maps call the same, and that are not."""
    wrong = []
    for i, (a, b) in enumerate(zip(one.regions, other.regions)):
        if DOUBT in (a.stamp, b.stamp) or a.stamp != b.stamp:
            continue
        term = a.stamp >> 40
        if one.super.history.get(term) != other.super.history.get(term):
            continue
        piece = slice(i * one.region_bytes, (i + 1) * one.region_bytes)
        if content[piece] != content_other[piece]:
            wrong.append(i)
    return wrong
