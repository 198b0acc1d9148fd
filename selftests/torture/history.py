# SPDX-License-Identifier: GPL-2.0-or-later
"""What the writer of a volume was told, and what a copy must therefore hold.

The log comes line by line from the guest while it lives; the power cut takes at
most its last lines. What it does not say is taken as not acknowledged.

Rules, for each sector of 512 bytes:
 1. It holds what the session before has left, or what an operation of this
    session has written there, whole; nothing older, nothing foreign.
 2. It is not older than the newest operation there that the copy has to have:
    all that was acknowledged and then flushed (DURABLE), all that was
    acknowledged (DONE: a copy that did not lose power).
 3. Barriers: whoever holds an operation that was issued after a flush had been
    acknowledged holds all that this flush has covered. On a replica a FUA write
    binds like a flush; on the disk that was written to it is safe itself.
"""

from collections import namedtuple

from sequence import DISCARD, FLUSH, FUA, NEVER, SECTOR, ZERO, version_of

DURABLE, DONE = "durable", "done"
ON_DISK, IN_STREAM = "on disk", "in the stream"
REPORT = 8      # violations that are told
UNLOGGED = 100  # operations that the log may have missed at a power cut


class Violation(Exception):
    """A copy does not hold what it must, or holds what it must not."""


Marks = namedtuple("Marks", "done flushed barrier fuas")


class Volume:
    """Which version each sector had at the last quiet moment."""

    def __init__(self, seed, number, pattern, sectors):
        self.seed, self.number = seed, number
        self.pattern, self.sectors = pattern, sectors
        self.base = {}      # sector -> Version, NEVER where absent

    def versions(self, content):
        """Who wrote each sector; a list of what is wrong."""
        found, wrong, at = {}, [], 0
        for place in self.pattern.places(self.sectors):
            if not all_zeros(content[at * SECTOR:place.start * SECTOR]):
                wrong.append(f"sectors {at} to {place.start}, where nobody writes,"
                             " are not zeros")
            for sector in place:
                data = content[sector * SECTOR:(sector + 1) * SECTOR]
                version = version_of(data, self.seed, self.number, sector)
                if version is None:
                    wrong.append(f"sector {sector} is torn or foreign: "
                                 + data[:40].hex())
                else:
                    found[sector] = version
            at = place.stop
        if not all_zeros(content[at * SECTOR:]):
            wrong.append(f"sectors from {at} on, where nobody writes, are not zeros")
        return found, wrong


class Session:
    """One run of the writer: its log, and judgement by it."""

    def __init__(self, volume, sequence):
        self.volume, self.sequence = volume, sequence
        self.order = []         # operations in the order of acknowledgement
        self.after = []         # operation -> marks() when it was issued
        self.covers = {}        # flush or FUA under way -> len(order) at its issue
        self.flushed = 0        # order[:flushed] is covered by a flush
        self.barrier = 0        # order[:barrier] by a flush or a FUA write
        self.fuas = []          # FUA writes that were acknowledged
        self.ended = False

    @property
    def issued(self):
        return len(self.after)

    def feed(self, line):
        what, number = line.split()
        n = int(number)
        if what == "i":
            self.issue(n)
        elif what == "a":
            self.acknowledge(n)
        elif what == "e":
            self.flushed = self.barrier = len(self.order)
            self.ended = True
        else:
            raise ValueError(f"no line of the writer's: {line!r}")

    def issue(self, n):
        if n != len(self.after):
            raise ValueError(f"operation {n} issued, {len(self.after)} expected")
        self.after.append(self.marks())
        if self.sequence[n].kind in (FLUSH, FUA):
            self.covers[n] = len(self.order)

    def acknowledge(self, n):
        kind = self.sequence[n].kind
        self.order.append(n)
        if kind == FLUSH:
            self.flushed = max(self.flushed, self.covers[n])
        if kind == FUA:
            self.fuas.append(n)
        if kind in (FLUSH, FUA):
            self.barrier = max(self.barrier, self.covers.pop(n))

    def marks(self):
        """How far the log has come, for a judgement at a later moment."""
        return Marks(len(self.order), self.flushed, self.barrier, len(self.fuas))

    def required(self, kind, marks=None):
        """Sector -> the newest operation that must be there."""
        marks = marks or self.marks()
        if kind == DONE:
            return self.newest(self.order[:marks.done])
        return self.newest(self.order[:marks.flushed] + self.fuas[:marks.fuas])

    def newest(self, ops):
        newest = {}
        for n in sorted(ops):
            op = self.sequence[n]
            newest.update(dict.fromkeys(range(op.sector, op.sector + op.sectors), n))
        return newest

    # ---- judgement ----

    def judge(self, content, required, barriers=None):
        """Raises Violation, or returns sector -> Version."""
        found, wrong = self.volume.versions(content)
        last = self.issued + (0 if self.ended else UNLOGGED)
        self.zeroes = self.newest(n for n in range(last)
                                  if self.sequence[n].kind in (ZERO, DISCARD))
        for sector, version in found.items():
            error = self.wrong_version(sector, version, required.get(sector, -1))
            if error:
                wrong.append(f"sector {sector}: {error}")
        if barriers and not wrong:
            wrong = self.broken_barriers(found, barriers)
        if wrong:
            rest = len(wrong) - REPORT
            raise Violation("\n".join(wrong[:REPORT] +
                                      ([f"and {rest} more"] if rest > 0 else [])))
        return found

    def wrong_version(self, sector, version, must):
        base = self.volume.base.get(sector, NEVER)
        if version == NEVER:
            if (must < 0 and base == NEVER
                    or self.zeroes.get(sector, -1) >= max(must, 0)):
                return None
            return f"zeros, not even operation {must}"
        if version == base:
            if must < 0:
                return None
            return f"still {describe(base)}, not operation {must}"
        if version.session != self.sequence.session:
            return f"{describe(version)}, older than {describe(base)}"
        op = self.sequence[version.op]
        if sector not in range(op.sector, op.sector + op.sectors):
            return f"operation {version.op}, which did not write here"
        if version.op < must:
            return f"operation {version.op}, older than {must}"
        return None

    def broken_barriers(self, found, kind):
        """Rule 3, for what the found operations were issued after."""
        held = {version.op for version in found.values()
                if version.session == self.sequence.session}
        # What the log does not show was issued after all that it does.
        after = [self.after[n] if n < self.issued else self.marks() for n in held]
        covered = max((a.barrier if kind == IN_STREAM else a.flushed for a in after),
                      default=0)
        fuas = max((a.fuas for a in after), default=0)
        need = self.newest(self.order[:covered] + self.fuas[:fuas])
        return [f"sector {sector}: {error}, though a later write is here that was"
                " issued after the flush"
                for sector, version in found.items()
                if (error := self.wrong_version(sector, version,
                                                need.get(sector, -1)))]


def all_zeros(data):
    return data.count(0) == len(data)


def describe(version):
    if version == NEVER:
        return "zeros"
    return f"operation {version.op} of session {version.session}"
