# SPDX-License-Identifier: GPL-2.0-or-later
"""One copy of the volume: its disk, its map, its superblock, and what its memory
holds while it is up."""

from dataclasses import dataclass, field

import detach
import history
from device import Device
from regionmap import RegionMap
from world import (DOUBT, NB, NEVER, R, blocks_of, group, region, regions_of,
                   until)

WALK = 2                                # regions under one hold of the lock


@dataclass
class Super:
    """Written whole, twice: never torn."""
    id: int
    size: int
    term: int = 0
    history: tuple = ()
    inconsistent: bool = False
    incomplete: bool = False            # a restore did not finish
    primary: bool = False               # reigns, and has not laid it down
    own: bool = False                   # the newest reign of the history was its own
    discard: bool = False               # the operator gives its own writes up
    position: tuple = NEVER
    last: tuple = NEVER                 # newest LSN of a reign laid down
    members: tuple = field(default=())


class Op:
    """A write under way on a primary; it has an LSN once it is in the stream.  One that
    discards @whole region has all of its range, even if the volume grows meanwhile."""

    def __init__(self, blocks, whole=None):
        self.blocks, self.regions, self.lsn = blocks, regions_of(blocks), None
        self.range = set(blocks if whole is None else blocks_of(whole))


class Node:
    def __init__(self, sim, i, size):
        self.sim, self.i = sim, i
        self.device = Device(sim.rng, [-(i * 100 + b) - 1 for b in range(NB)])
        self.sup = Super(i, size)
        self.life = 0                   # processes of an earlier one are dead
        self.damaged = False            # has lost a map block, else it is good
        self.map = RegionMap(self)
        self.boot()

    def __str__(self):
        return f'N{self.i}'

    def rule(self, name):
        return name in self.sim.rules

    def spawn(self, process):
        self.sim.spawn(self, process)

    # ---- life

    def boot(self):
        self.up = True
        self.device.broken = False
        self.life += 1
        self.map.load()
        self.role = None                # replica; else starting, primary, stopping, leaving
        self.restoring = False
        self.growing = 0                # to what size
        self.lsn = max(self.map.newest(), self.sup.last)
        self.position = self.sup.position
        self.flushing = []              # flushes not over, or failed and not dealt with
        self.losses, self.told = 0, 0   # failed flushes; those that writers know of
        # as a primary
        self.reign, self.links, self.view = None, [], None
        self.inflight, self.locked = [], set()
        self.backlog, self.first = [], 0        # entries; number of the oldest
        self.floor = NEVER              # all above is in the backlog
        self.written = NEVER            # the newest LSN that is no flush's
        self.hold, self.member_changes = False, 0   # the set has to be written
        self.recording = False
        self.members, self.outs = (), set()     # the set on disk; who is being put out
        self.detaching, self.detached = None, False     # detach.py
        self.failing = 0                # operations that nobody holds, not dealt with
        self.raised = False             # only replicas count, and on disk
        # as a replica
        self.link = None
        self.applying, self.receiving = 0, 0
        if self.map.lost and self.rule('lostblock'):
            self.sup.inconsistent = True

    def power_cut(self):
        self.device.power_cut()
        self.map.power_cut()
        self.up, self.role, self.reign = False, None, None
        self.life += 1

    def write_super(self, **fields):
        yield None
        for name, value in fields.items():
            setattr(self.sup, name, value)

    # ---- content

    @property
    def size(self):
        return self.sup.size

    def read(self, block):
        """What a reader sees."""
        if block >= self.size or not self.map.touched[region(block)]:
            return 0
        return self.device.read(block)

    def content(self):
        return [self.read(b) for b in range(NB)]

    def rotten(self, shown=False):
        """Has a block of it rotted; @shown: and would be read?"""
        return any(self.map.touched[region(b)] and not (shown and self.device.cache[b])
                   for b in self.device.rotten)

    def idle(self):
        """Nothing of an earlier session is under way."""
        return not (self.applying or self.receiving or self.inflight or self.restoring)

    # ---- as a primary

    def next_lsn(self):
        self.lsn = (self.lsn[0], self.lsn[1] + 1)
        return self.lsn

    def restamp(self, r, lsn):
        """The region holds nobody knows what: every replica gets it anew."""
        self.map.set(r, lsn)
        self.written = max(self.written, lsn)
        if self.rule('replayfloor'):
            self.floor = max(self.floor, lsn)
        for link in self.links:
            link.drop(r)
        view = self.view
        if view and r not in view.saved and r not in view.passed:
            self.view = None

    def busy(self, blocks):
        """Does anything under way overlap?"""
        return (any(not op.range.isdisjoint(blocks) for op in self.inflight) or
                bool(self.locked & set(regions_of(blocks))))

    def writing(self, r, upto=None, but=None):
        """Is a write (of an LSN up to that) under way in the region?"""
        return any(r in op.regions and op is not but and
                   (upto is None or op.lsn is not None and op.lsn <= upto)
                   for op in self.inflight)

    def lock(self, r):
        yield from until(lambda: not (self.writing(r) or r in self.locked))
        self.locked.add(r)

    def unlock(self, r):
        self.locked.discard(r)

    # ---- flushes, and what a failed one takes

    def flush(self, losses=None):
        """Flush the disk; @losses: as they were before what is flushed was written.
        Return success."""
        if self.detached:
            return False
        mine = object()
        losses = self.losses if losses is None else losses
        self.flushing.append(mine)
        done = yield from self.device.flush(self.sim.chance('flushfail') or self.device.fails())
        if not done:
            self.sim.trace(f'{self} flush FAILED, disk {self.device.disk}')
            if not (yield from detach.hold(self)):
                self.losses += 1
                if self.rule('flushdoubt'):
                    yield from self._doubt_active()
                self.failing -= 1
        self.flushing.remove(mine)
        if not self.rule('flushrace'):
            return done
        beside = list(self.flushing)
        yield from until(lambda: not any(f in self.flushing for f in beside))
        return done and self.losses == losses and not self.detached

    def _doubt_active(self):
        """Nobody knows what the active groups hold.  New writes come in between."""
        primary = self.reign is not None
        if not primary and self.link:
            self.link.failed = True
        lsn = DOUBT
        for r in range(R):
            if r % WALK == 0:
                yield None
                if primary and (r == 0 or self.rule('walkfresh')):
                    lsn = self.next_lsn()
                    if self.rule('replayfloor'):
                        self.floor = max(self.floor, lsn)
            if not self.map.active[group(r)] or not self.map.touched[r]:
                continue
            if primary:
                self.restamp(r, lsn)
            else:
                self.map.set(r, DOUBT)

    # ---- roles

    def promote(self, why, force=False):
        """Begin a reign, if that is still possible once the old link is drained."""
        if self.rule('drain'):
            yield from until(self.idle)
        if self.sup.incomplete or self.sup.inconsistent and not force:
            self.role = None
            return
        if self.rule('startflush') and not (yield from self.flush()):
            self.role = None
            return
        yield from self._begin_reign()
        self.role = 'primary'
        self.floor = self.written = self.lsn
        self.reign = self.sim.oracle.begin(self, why, force)
        # What is in doubt keeps its content.
        for r in range(R):
            if self.map.stamp[r] == DOUBT:
                self.map.set(r, self.lsn if self.map.touched[r] else NEVER)

    def _begin_reign(self):
        sup = self.sup
        unsure = self.rule('inherit') and self.map.in_doubt()
        inherited = NEVER if unsure else self.lsn
        term = max(sup.term, self.lsn[0]) + 1
        record = history.Record(term, self.sim.rng.randrange(1 << 30), inherited, sup.own)
        yield from self.write_super(
            term=term, history=history.begin(sup.history, record, self.sim.reigns_kept),
            inconsistent=False, primary=True, own=True, discard=False, position=NEVER, members=())
        self.lsn, self.position = (term, 1), NEVER
        self.members, self.outs = (), set()

    def demote(self):
        """An orderly end of the reign."""
        self.sim.trace(f'{self} stops being primary')
        yield from until(lambda: not (self.inflight or self.recording or self.detaching))
        self.sim.oracle.end(self)
        for link in list(self.links):
            self.sim.cut(link)
        self.links, self.view = [], None
        done = not self.detached
        if done and self.rule('layexact'):
            done = yield from self.map.clean_all()
        done = done and (yield from self.flush())
        if done:
            last = self.written if self.rule('laylast') else NEVER
            yield from self.write_super(primary=False, last=last)
        self.lsn = max(self.map.newest(), self.sup.last)
        self.role = self.reign = None

    def down(self):
        """Go down in order, as a replica."""
        self.sim.trace(f'{self} goes down')
        if self.link:
            self.sim.cut(self.link)
        yield from until(self.idle)
        done = yield from self.map.clean_all()
        if done and not self.sup.inconsistent and not self.map.in_doubt():
            yield from self.write_super(position=self.position)
        self.sim.trace(f'{self} is down, position {self.sup.position}')
        self.power_cut()

    def state(self):
        return (str(self), self.up, self.role, self.sup, self.lsn, self.map.stamp,
                self.applying, self.receiving, self.inflight, self.locked, self.flushing,
                [link.state() for link in self.links])
