# SPDX-License-Identifier: GPL-2.0-or-later
"""A read that the primary's disk fails: a replica answers it, and what comes is
written back.

The question stands in the stream behind all that was written when the block was free
of writes; the replica answers it there, as it does those of a verification."""

from apply import Apply
from node import Op
from world import DOUBT, Fail, region, until


class Read:
    def __init__(self, link, block, least):
        p = link.p
        self.number = link.sim.count()
        self.block, self.region, self.least = block, region(block), least
        self.reign, self.lsn = p.reign, p.lsn
        self.stamp = p.map.stamp[self.region]
        self.sent = False


def may(link):
    return link.insync or link.joining


def begin(link, block):
    p = link.p
    if not p.reign:
        return
    least = p.reign.newest_done(block)
    yield from until(lambda: not link.live() or not p.busy({block: 0}))
    if (link.live() and may(link) and not link.read and region(block) not in link.dirty and
            p.map.touched[region(block)]):
        link.read = Read(link, block, least)


def due(link):
    read = link.read
    if not read or read.sent or not link.settled:
        return False
    return not link.rule('readplace') or link.next_lsn() > read.lsn


def behind(link):
    """The link leaves the stream: what is not out does not go out any more."""
    if link.read and not link.read.sent and link.rule('readbehind'):
        link.read = None


def ask(link):
    link.read.sent = True
    link.down.append(('READ', link.read.block, link.read.number))


def reply(receiver, block, number):
    """The replica's part."""
    node, apply = receiver.node, Apply({block: 0})
    earlier = [a for a in receiver.order if a.overlaps(apply)]
    receiver.enlist(apply)

    def answer():
        if receiver.rule('readrange'):
            yield from until(lambda: all(a.done for a in earlier))
        yield None
        value = node.read(block)
        sure = not receiver.rule('readsure') or (yield from node.flush())
        doubt = node.map.stamp[region(block)] == DOUBT and receiver.rule('readdoubt')
        receiver.send('DATA', number, value if sure and not doubt else None)
        receiver.finish(apply)

    node.spawn(answer())
    yield None


def answer(link, number, value):
    p, q, read = link.p, link.q, link.read
    if not read or read.number != number:
        return
    link.read = None
    if value is None or p.reign is not read.reign:
        return
    lost = p.losses or p.detached and q.flushing
    link.sim.trace(f'{p} reads block {read.block} = {value} from {q}')
    if not (lost or q.rotten()) and not read.reign.may_read(read.block, value, read.least):
        raise Fail(f'STALE READ of block {read.block}: {value}')
    if not p.detached:
        p.spawn(write_back(p, read, value))


def write_back(p, read, value):
    op, r, locked = Op({read.block: value}), read.region, p.rule('repairlock')
    if locked:
        yield from until(lambda: p.reign is not read.reign or not p.busy(op.blocks))
    if p.reign is not read.reign:
        return
    if locked:
        p.inflight.append(op)
    p.map.begin(op.regions)
    done = yield from p.map.enter(r)
    if done and not p.detached and (p.map.stamp[r] == read.stamp or not p.rule('repairsame')):
        p.sim.trace(f'{p} writes {value} back to block {read.block}')
        yield from p.device.write(op.blocks)
    if locked:
        p.inflight.remove(op)
    p.map.end(op.regions)
