# SPDX-License-Identifier: GPL-2.0-or-later
"""Comparison of copies by hash while writes go on, and repair.

The primary hashes a region at one moment; the question goes down the link where
that moment is in the stream, so that the replica compares the same content."""

from apply import Apply
from world import Fail, blocks_of, until


class Question:
    def __init__(self, link, r, hashes):
        p, q = link.p, link.q
        self.number = link.sim.count()
        self.region, self.hashes = r, hashes
        self.lsn = p.lsn
        self.dirtied = link.dirtied[r]
        self.losses = p.losses + q.losses
        self.sent = False


def begin(link, r):
    """Hash a region here."""
    p = link.p
    locked = link.rule('verifylock')
    if locked:
        yield from p.lock(r)
    yield None
    if link.live() and not link.question and not p.detached and r not in link.dirty:
        link.question = Question(link, r, [p.read(b) for b in blocks_of(r)])
    if locked:
        p.unlock(r)


def due(link):
    question = link.question
    if not question or question.sent or not link.settled:
        return False
    return not link.rule('verifyorder') or link.next_lsn() > question.lsn


def ask(link):
    question = link.question
    r = question.region
    changed = r in link.dirty or link.dirtied[r] != question.dirtied
    if changed and link.rule('verifydirty'):
        link.question = None
        return
    question.sent = True
    link.down.append(('VERIFY', r, question.number))


def reply(receiver, r, number):
    """The replica's part."""
    node, apply = receiver.node, Apply({}, whole=r)
    earlier = [a for a in receiver.order if a.overlaps(apply)]
    receiver.enlist(apply)

    def answer():
        if receiver.rule('verifyrange'):
            yield from until(lambda: all(a.done for a in earlier))
        yield None
        receiver.send('VERIFIED', number, [node.read(b) for b in blocks_of(r)])
        receiver.finish(apply)

    node.spawn(answer())
    yield None


def answer(link, number, hashes):
    p, q, question = link.p, link.q, link.question
    if not question or question.number != number:
        return
    link.question = None
    if hashes == question.hashes or p.detached or p.detaching:
        return
    r = question.region
    if any(b in q.device.rotten for b in blocks_of(r)):
        link.sim.trace(f'{q} region {r} differs: repair')
        link.drop(r)
    elif p.losses + q.losses == question.losses and not link.failed:
        raise Fail(f'FALSE ALARM of region {r}: {p} {question.hashes} {q} {hashes}')
