# SPDX-License-Identifier: GPL-2.0-or-later
"""The replica's end of a link: follow, receive, apply, acknowledge.

What has arrived is applied, or its region is in doubt: a write's stamp is set
when it arrives.  Writes that overlap are applied in order, others side by side."""

import detach
import history
import repair
import verify
from apply import Apply
from world import DOUBT, NEVER, R, blocks_of, group, region, regions_of, until


def session(node, link):
    """The receiver, to the end of the link."""
    node.receiving += 1
    if (yield from _follow(node, link)):
        yield from Receiver(node, link).run()
    node.sim.cut(link)
    node.receiving -= 1


# ---- following

def _follow(node, link):
    """Become a copy of what that primary has.  Return success."""
    sim = node.sim

    def ours():
        return node.link is link and not link.cut

    if node.rule('drain'):
        yield from until(lambda: not ours() or (node.receiving <= 1 and not node.applying))
    node.detached = node.raised = False
    if not ours() or node.role or history.refusal(sim.rules, link.offer, node):
        return False
    if node.rule('followflush') and not (yield from node.flush()):
        return False
    if node.rule('histadopt') and not (yield from _doubt_reigns(node, link)):
        return False
    if not ours() or node.role:
        return False
    newest = node.position[0]
    if node.rule('replayreign') and (history.rid_of(link.offer.history, newest) !=
                                     history.rid_of(node.sup.history, newest)):
        node.position = NEVER
    if node.sup.own and not node.sup.discard:
        sim.oracle.gives_up(node, link.reign)
    sim.oracle.follows(node, link.reign)
    fields = dict(term=link.offer.term, history=link.offer.history, primary=False, own=False,
                  discard=False, members=(), last=NEVER)
    if node.rule('position'):
        fields['position'] = NEVER
    if node.sup.discard:
        node.lsn = node.map.newest()
    yield from node.write_super(**fields)
    return ours()


def _doubt_reigns(node, link):
    """Stamps that the primary means something else by."""
    amap = node.map
    for r in range(R):
        stamp = amap.stamp[r]
        if history.shares(node.sim.rules, link.offer.history, node.sup.history, stamp):
            if stamp != DOUBT:
                continue
        else:
            node.sim.trace(f'{node} region {r} {stamp} of an unknown reign: in doubt')
        if not (yield from amap.activate(group(r))):
            return False
        amap.set(r, DOUBT)
    return True


# ---- receiving

class Receiver:
    def __init__(self, node, link):
        self.node, self.link, self.sim = node, link, node.sim
        self.order = link.order
        self.applied = NEVER            # highest LSN such that all up to it is applied

    def rule(self, name):
        return name in self.sim.rules

    def send(self, *message):
        if not self.link.cut:
            self.link.up.append(message)

    def drained(self):
        return not self.order

    def run(self):
        node, link = self.node, self.link
        self.send('POS', self._position())
        while True:
            yield from until(lambda: link.down or link.cut or link.failed)
            if not link.down or link.failed:
                break
            if node.link is not link and not self.rule('drain'):
                break
            kind, *what = link.down.popleft()
            if kind in ('W', 'D', 'N', 'F'):
                self._receipt(what[0])
            if (yield from getattr(self, '_' + kind.lower())(*what)) is False:
                break
            yield None
        yield from until(self.drained)

    def _receipt(self, lsn):
        if self.sim.policy == 'memory':
            self.send('R', lsn)

    def _position(self):
        node = self.node
        unknown = node.sup.inconsistent or node.map.in_doubt()
        return NEVER if unknown and self.rule('position') else node.position

    # ---- frames.  False: the link ends

    def _map(self):
        if self.rule('posmoves'):
            self.node.position = NEVER
        self.send('STAMPS', list(self.node.map.stamp))
        yield None

    def _gap(self):
        node = self.node
        yield from node.write_super(inconsistent=True)
        yield from until(self.drained)
        self.link.follows = node.damaged = False
        if self.rule('position'):
            node.position = NEVER
        self.sim.trace(f'{node} marked inconsistent')

    def _w(self, lsn, blocks):
        node, amap = self.node, self.node.map
        node.lsn = max(node.lsn, lsn)
        if any(amap.stamp[r] == DOUBT for r in regions_of(blocks)) and self.rule('partdoubt'):
            return False
        if self.rule('skipold'):
            blocks = {b: v for b, v in blocks.items() if lsn > amap.stamp[region(b)]}
        self._start(Apply(blocks, lsn), lsn)
        yield None

    def _d(self, lsn, r):
        node = self.node
        node.lsn = max(node.lsn, lsn)
        if self.rule('skipold') and lsn <= node.map.stamp[r]:
            return (yield from self._n(lsn))
        if not (yield from self._forget(r)):
            return False
        return (yield from self._n(lsn))

    def _n(self, lsn):
        self.node.lsn = max(self.node.lsn, lsn)
        self._start(Apply({}, lsn), lsn)
        yield None

    def _f(self, lsn):
        node = self.node
        node.lsn = max(node.lsn, lsn)
        yield from until(self.drained)
        if 'slow' in self.sim.has:
            for _ in range(self.sim.rng.randrange(80)):
                yield None
        if self.link.failed or not (yield from node.flush()) or self.link.failed:
            return False
        self._advance(lsn)
        self.send('F', lsn)

    def _forget(self, r):
        amap = self.node.map
        if self.rule('mapcopy'):
            yield from until(self.drained)
        else:
            yield from until(lambda: not any(r in a.regions for a in self.order))
        if self.link.failed:
            return False
        if not (yield from amap.forget(r)):
            self.link.failed = True
            return False
        return True

    def _copy(self, r, blocks, stamp, first, last, size):
        amap = self.node.map
        if last and self.rule('growtail'):
            tail = {b: 0 for b in blocks_of(r) if size <= b < self.node.size}
            blocks = {**blocks, **tail}
        if last:
            stamped = stamp
        elif first and not self.rule('partdoubt'):
            stamped = amap.stamp[r]
        else:
            stamped = DOUBT if self.rule('partdoubt') else amap.stamp[r]
        self._start(Apply(blocks, whole=None if blocks else r), stamped, r)
        yield None

    def _ask(self, r):
        node, apply = self.node, Apply({}, whole=r)
        earlier = [a for a in self.order if a.overlaps(apply)]
        self.enlist(apply)

        def answer():
            yield from until(lambda: all(a.done for a in earlier))
            self.send('HASHES', r, [node.read(b) for b in blocks_of(r)])
            self.finish(apply)

        node.spawn(answer())
        yield None

    def _verify(self, r, number):
        yield from verify.reply(self, r, number)

    def _pull(self, r, number):
        detach.reply(self, r, number)
        yield None

    def answer(self, r, kind, number, content):
        """Say what the region holds after all that came before."""
        apply = Apply({}, whole=r)
        earlier = [a for a in self.order if a.overlaps(apply)]
        self.enlist(apply)

        def run():
            yield from until(lambda: all(a.done for a in earlier))
            yield None
            self.send(kind, number, content())
            self.finish(apply)

        self.node.spawn(run())

    def _read(self, block, number):
        yield from repair.reply(self, block, number)

    def _done(self, attempt):
        node = self.node
        yield from until(self.drained)
        if self.link.failed:
            return False
        if self.rule('doneflush'):
            if not (yield from node.flush()) or self.link.failed:
                return False
        if node.map.in_doubt() and self.rule('position'):
            return False
        yield from node.write_super(inconsistent=False)
        node.position, node.damaged = self.applied, False
        self.link.follows = True
        self.sim.trace(f'{node} resync done, mark cleared')
        self.send('OK', attempt, self.applied)

    # ---- applying

    def _advance(self, lsn):
        self.applied = max(self.applied, lsn)
        node, link = self.node, self.link
        if link.follows or (self.rule('posmoves') and node.position != NEVER and
                            not node.sup.inconsistent):
            node.position = max(node.position, self.applied)

    def enlist(self, apply):
        self.order.append(apply)
        self.node.applying += 1

    def _start(self, apply, stamp, r=None):
        """Queue it for its range; what has arrived is stamped."""
        node, amap = self.node, self.node.map
        earlier = [a for a in self.order if a.overlaps(apply)]
        self.enlist(apply)
        if self.link.failed and self.rule('applyfail'):
            stamp = DOUBT
        regions = apply.regions if r is None else [r]
        for touched in regions:
            amap.set(touched, stamp)
        amap.begin(regions)
        node.spawn(self._apply(apply, earlier, regions))

    def _apply(self, apply, earlier, regions):
        node, amap = self.node, self.node.map
        yield from until(lambda: all(a.done for a in earlier))
        done = True
        for r in regions:
            done = done and (yield from amap.enter(r))
        failed = bool(apply.blocks) and self.sim.chance('applyfail')
        if done:
            yield from node.device.write(
                {b: v for b, v in apply.blocks.items() if b < node.size}, failed)
        if failed or not done:
            self.sim.trace(f'{node} cannot apply {apply.lsn} {apply.blocks}')
            if self.rule('applyfail'):
                for r in regions:
                    amap.set(r, DOUBT)
                self.link.failed = True
        amap.end(regions)
        self.finish(apply)

    def finish(self, apply):
        apply.done = True
        self.node.applying -= 1
        reached = NEVER
        while self.order and self.order[0].done:
            reached = max(reached, self.order.pop(0).lsn or NEVER)
        if reached != NEVER and not self.link.failed:
            self._advance(reached)
            self.send('A', reached)
