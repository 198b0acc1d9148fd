# SPDX-License-Identifier: GPL-2.0-or-later
"""What guest/torture_blocks.c writes, and in which order: a function of the seed.

A volume's life is a row of sessions, one between two quiet moments. Operation N
of a session and what it leaves in a sector are computed here as the writer does
it, so that a sector found on a disk can be judged without asking the guest.
"""

import struct
import zlib
from collections import namedtuple

SECTOR = 512
SECTORS_MAX = 256
MAGIC = 0x54524f54
GOLDEN = 0x9e3779b97f4a7c15
WORD = (1 << 64) - 1
HEAD = struct.Struct("<IIQIIII")

FLUSH, ZERO, DISCARD, FUA, WRITE = "flush", "zero", "discard", "fua", "write"

Op = namedtuple("Op", "kind sector sectors")

# Who wrote a sector. NEVER stands for zeros, wherever they come from.
Version = namedtuple("Version", "session op")
NEVER = Version(0, -1)


class Pattern(namedtuple("Pattern", "windows window dwell flushes rate")):
    """Where a volume is written to: the arguments of torture_blocks."""

    def places(self, sectors):
        """The sectors that may ever be written, as ranges."""
        stride = self.stride(sectors)
        return [range(i * stride, i * stride + self.window)
                for i in range(self.windows)]

    def stride(self, sectors):
        return sectors // self.windows // 8 * 8


def mix(z):
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9 & WORD
    z = (z ^ z >> 27) * 0x94d049bb133111eb & WORD
    return z ^ z >> 31


class Sequence:
    """The operations of one session of one volume."""

    def __init__(self, seed, volume, session, pattern, sectors):
        self.seed, self.volume, self.session = seed, volume, session
        self.pattern, self.sectors = pattern, sectors
        self.stride = pattern.stride(sectors)
        key = mix(mix(seed) + volume & WORD)
        self.key = mix(key + session & WORD)
        self.ops = []

    def draw(self, n, what):
        return mix(self.key + (8 * n + what) * GOLDEN & WORD)

    def kind(self, n):
        lot = self.draw(n, 0) % 100 - self.pattern.flushes
        if lot < 0:
            return FLUSH
        return ZERO if lot < 1 else DISCARD if lot < 2 else FUA if lot < 6 else WRITE

    def make(self, n):
        kind = self.kind(n)
        if kind == FLUSH:
            return Op(kind, 0, 0)
        lot, size = self.draw(n, 1) % 100, self.draw(n, 2)
        sectors = (1 + size % SECTORS_MAX if lot >= 95 else 32 if lot >= 75
                   else 1 + size % 16 if lot >= 50 else 8)
        sector = self.draw(n, 3) % (self.pattern.window - sectors + 1)
        if lot < 50:
            sector -= sector % 8
        window = self.draw(n // self.pattern.dwell, 4) % self.pattern.windows
        return Op(kind, sector + window * self.stride, sectors)

    def __getitem__(self, n):
        while len(self.ops) <= n:
            self.ops.append(self.make(len(self.ops)))
        return self.ops[n]

    def fill(self, n, sector):
        """What operation N leaves in a sector."""
        if self[n].kind in (ZERO, DISCARD):
            return bytes(SECTOR)
        word = mix(self.key ^ (n << 32 | sector))
        words = []
        for _ in range((SECTOR - HEAD.size) // 8):
            word = word + GOLDEN & WORD
            words.append(word)
        fields = (self.seed, self.volume, self.session, n, sector)
        filler = struct.pack(f"<{len(words)}Q", *words)
        crc = zlib.crc32(HEAD.pack(MAGIC, 0, *fields) + filler)
        return HEAD.pack(MAGIC, crc, *fields) + filler


ZEROES = bytes(SECTOR)


def version_of(data, seed, volume, sector):
    """Who wrote these 512 bytes; None: nobody, or not here, or not whole."""
    if data == ZEROES:
        return NEVER
    magic, crc, *identity, session, op, place = HEAD.unpack_from(data)
    if magic != MAGIC or identity != [seed, volume] or place != sector:
        return None
    if zlib.crc32(data[8:], zlib.crc32(b"\0\0\0\0", zlib.crc32(data[:4]))) != crc:
        return None
    return Version(session, op)
