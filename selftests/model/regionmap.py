# SPDX-License-Identifier: GPL-2.0-or-later
"""The stamp map of one copy, in memory and on disk, and the pen that writes it.

Regions of a group share a map block, which stands in two slots; the one of the higher
generation counts.  A slot may lose its stamps, torn or rotten, or its head.  One at a
time holds the pen: who sets an active bit
or a touched mark, cleans a group, forgets a region, grows the volume."""

from dataclasses import dataclass, replace

import detach
from world import B, DOUBT, GROUP, NEVER, NG, R, blocks_of, group, until


@dataclass(frozen=True)
class Block:
    generation: int
    active: bool
    stamps: tuple
    touched: tuple
    whole: bool = True              # the stamps fit the head


LOST = object()                     # a slot without a head; None: never written


def members(g):
    return range(g * GROUP, g * GROUP + GROUP)


class RegionMap:
    def __init__(self, node):
        self.node, self.sim = node, node.sim
        fresh = Block(1, False, (NEVER,) * GROUP, (False,) * GROUP)
        self.slots = [[fresh, None] for _ in range(NG)]
        self.flying = None                      # (group, slot, block) being written
        self.load()

    def rule(self, name):
        return name in self.sim.rules

    # ---- what a crash leaves, what is found

    def _write_lands(self, g, slot, block):
        """It is there, torn, or has not begun.  The head lies in one sector."""
        old = self.slots[g][slot]
        torn = [replace(b, whole=False) if isinstance(b, Block) else b
                for b in (old, block)]
        self.slots[g][slot] = self.sim.rng.choice([old, block] + torn)

    def damage(self, g, what):
        """Rot while the copy is down.  Return what was lost."""
        slots = self.slots[g]
        newer = max((b.generation, i) for i, b in enumerate(slots) if isinstance(b, Block))[1]
        if what == 'stamps':
            slots[newer] = replace(slots[newer], whole=False)
        else:
            slots[newer] = LOST
        if what == 'both':
            slots[1 - newer] = LOST
        return what

    def power_cut(self):
        if self.flying:
            self._write_lands(*self.flying)
        self.flying = None

    def load(self):
        self.stamp, self.touched = [NEVER] * R, [False] * R
        self.known = [NEVER] * R                # the last stamp that was no doubt
        self.active = [False] * NG              # the bit is on stable storage
        self.pending = [0] * NG                 # writes in it or on the way
        self.entered = [0] * NG                 # counts writes and changes
        self.penned = False                     # the pen is held
        self.zeroing = set()
        self.unsure = set()                     # is the touched mark on disk?
        self.generation, self.slot = [0] * NG, [0] * NG
        self.lost = []
        self.both = set()                       # both slots have to be written
        for g in range(NG):
            self._load_group(g)

    def _pick(self, g):
        """Generation and number of the slot that counts; None: the newest may be lost."""
        slots = self.slots[g]
        heads = [(b.generation, i) for i, b in enumerate(slots) if isinstance(b, Block)
                 and (b.whole or self.rule('headdoubt'))]
        if not heads:
            return None
        generation, i = max(heads)
        if self.rule('lostnewer') and (slots[1 - i] is LOST or
                                       slots[1 - i] is None and generation > 1):
            return None
        return generation, i

    def _load_group(self, g):
        pick = self._pick(g)
        if pick:
            self.generation[g], self.slot[g] = pick
            block = self.slots[g][self.slot[g]]
        else:
            self.lost.append(g)
            self.both.add(g)
            self.generation[g] = 1 + max(b.generation if isinstance(b, Block) else 0
                                         for b in self.slots[g])
            known = self.rule('lostdoubt')
            block = Block(0, known, (NEVER,) * GROUP, (known,) * GROUP)
        block = replace(block, active=block.active or not block.whole)
        self.active[g] = block.active
        for i, r in enumerate(members(g)):
            self.touched[r] = block.touched[i] and r * B < self.node.size
            if self.touched[r]:
                self.known[r] = block.stamps[i]
                self.stamp[r] = DOUBT if block.active else block.stamps[i]
        if self.in_doubt(g) and self.rule('doubtkeeps'):
            self.active[g] = True

    # ---- in memory

    def in_doubt(self, g=None):
        return any(self.stamp[r] == DOUBT
                   for r in (range(R) if g is None else members(g)))

    def newest(self):
        return max(s for s in self.stamp + [NEVER] if s != DOUBT)

    def set(self, r, stamp):
        self.stamp[r] = stamp
        if stamp != DOUBT:
            self.known[r] = stamp
        self.entered[group(r)] += 1

    def begin(self, regions):
        for r in regions:
            self.pending[group(r)] += 1
            self.entered[group(r)] += 1

    def end(self, regions):
        for r in regions:
            self.pending[group(r)] -= 1
            self.entered[group(r)] += 1

    def open(self, r):
        return self.active[group(r)] and self.touched[r] and r not in self.unsure

    # ---- the pen

    def take_pen(self):
        yield from until(lambda: not self.penned)
        self.penned = True

    def drop_pen(self):
        self.penned = False

    def fill(self, g, active, touched=()):
        """A block with what memory holds, and these regions touched as well."""
        stamps = self.stamp if self.rule('doubtkeeps') else self.known
        return Block(self.generation[g] + 1, active,
                     tuple(stamps[r] for r in members(g)),
                     tuple(self.touched[r] or r in touched for r in members(g)))

    def write(self, g, block):
        """Write a block beside the current one.  Holds the pen.  Return success."""
        if detach.frozen(self.node):
            self.unsure -= set(members(g))
            return True
        done = yield from self._write_once(g, block)
        if done and g in self.both:
            done = yield from self._write_once(
                g, replace(block, generation=block.generation + 1))
            if done:
                self.both.discard(g)
        return done

    def _write_once(self, g, block):
        slot = 1 - self.slot[g] if self.rule('twoslots') else self.slot[g]
        self.flying = (g, slot, block)
        yield None
        if not self.rule('mapcopy'):
            block = self.fill(g, block.active, [r for r in members(g) if r in self.zeroing])
        self.flying = None
        if self.sim.chance('metafail') or self.node.device.fails():
            self.sim.trace(f'{self.node} map block {g} cannot be written')
            self._write_lands(g, slot, block)
            return False
        self.slots[g][slot] = block
        self.generation[g], self.slot[g] = block.generation, slot
        self.unsure -= set(members(g))
        return True

    def enter(self, r):
        """Make the region one that may be written to.  Return success."""
        if not self.rule('zeroserial') and r in self.zeroing:
            return True
        while not self.open(r):
            yield from self.take_pen()
            done = self.open(r) or (yield from self._open(r))
            self.drop_pen()
            if not done and (yield from detach.hold(self.node)):
                continue
            self.node.failing -= not done
            if not done and self.rule('penerror'):
                return False
            if not done:
                break
        return True

    def _open(self, r):
        g, first = group(r), not self.touched[r]
        if first:
            self.zeroing.add(r)
            zeroed = yield from self._zero(r)
            if not zeroed:
                self.zeroing.discard(r)
                return False
        if not self.rule('penfirst'):
            self.active[g] = self.touched[r] = True
            self.zeroing.discard(r)
            self.node.spawn(self.write(g, self.fill(g, True)))
            return True
        marks = {r} if self.rule('touched') else members(g)
        done = yield from self.write(g, self.fill(g, True, marks))
        if done:
            self.active[g] = self.touched[r] = True
        self.zeroing.discard(r)
        return done

    def _zero(self, r):
        node, losses = self.node, self.node.losses
        if node.detached:
            return True
        yield from node.device.write({b: 0 for b in blocks_of(r) if b < node.size})
        if not self.rule('touched'):
            return True
        return (yield from node.flush(losses))

    def activate(self, g):
        """Set the bit of a group whose doubts have to survive.  Return success."""
        yield from self.take_pen()
        done = self.active[g] or (yield from self.write(g, self.fill(g, True)))
        self.active[g] = self.active[g] or done
        self.drop_pen()
        return done

    def forget(self, r):
        """Make it a region that was never written, durably.  Return success."""
        g, before = group(r), self.touched[r]
        yield from self.take_pen()
        self.vanish(r)
        done = True
        if self.rule('zeropersist'):
            done = yield from self.write(g, self.fill(g, self.active[g]))
        if not done:
            self._not_forgotten(r, before)
        self.drop_pen()
        return done

    def vanish(self, r):
        """In memory alone."""
        self.set(r, NEVER)
        self.touched[r] = False

    def _not_forgotten(self, r, touched):
        """Nobody knows which of the two the disk says."""
        if self.rule('forgetfail'):
            self.touched[r] = touched
            self.unsure.add(r)
        else:
            self.touched[r], self.active[group(r)] = True, False
        if self.touched[r]:
            self.set(r, DOUBT)

    # ---- cleaning

    def _idle(self, g):
        return (self.active[g] and not self.pending[g] and
                not (self.rule('doubtkeeps') and self.in_doubt(g)))

    def clean(self, g):
        """Write exact stamps of an idle group.  Return success."""
        yield from self.take_pen()
        done = True
        if self.rule('doubtfirst'):
            done = yield from self._keep_doubts()
        if done and self._idle(g):
            done = yield from self._clean(g)
        self.drop_pen()
        return done

    def _keep_doubts(self):
        """What is in doubt since the bit could not be set."""
        for g in range(NG):
            if self.in_doubt(g) and not self.active[g]:
                self.active[g] = yield from self.write(g, self.fill(g, True))
                if not self.active[g]:
                    return False
        return True

    def _clean(self, g):
        block, seen = self.fill(g, False), self.entered[g]
        if not (yield from self.node.flush()) and not self.node.detached:
            return False
        if self.rule('cleanrace'):
            if self.entered[g] != seen or not self._idle(g):
                return True
            self.active[g] = False
        yield None
        done = yield from self.write(g, block)
        if done:
            self.active[g] = False
            self.sim.trace(f'{self.node} group {g} cleaned, stamps {block.stamps}')
        return done

    def clean_all(self):
        """Exact stamps on disk, of all but groups in doubt.  Return success."""
        done = True
        for g in range(NG):
            done = (yield from self.clean(g)) and done
        return done

    def describe(self):
        current = [self.slots[g][self.slot[g]] for g in range(NG)]
        return ' '.join(f'{"active" if b.active else ""}{list(b.stamps)}'
                        if isinstance(b, Block) else 'lost' for b in current)
