# SPDX-License-Identifier: GPL-2.0-or-later
"""A primary whose disk fails goes on without it (rule 32).

A local write or flush that fails is held: it neither completes nor fails until the
disk is detached, or is not.  While detached, the map in memory is that of the volume,
the one on disk that of the disk; content comes from a replica in sync (a pull)."""

import primary
from world import B, DOUBT, Fail, blocks_of, until


def source(node):
    """Where content comes from."""
    links = [k for k in node.links if k.insync and k.live()]
    return node.sim.rng.choice(links) if links else None


def frozen(node):
    """Does nothing reach the map on disk any more?"""
    return node.detached and node.rule('detmap')


def stuck(link):
    """A hole here could not be filled."""
    p = link.p
    return ((p.detached or p.raised) and p.rule('detgap') and bool(link.dirty) and
            not any(k.insync and k.live() for k in p.links))


# ---- what fails

def hold(node):
    """A local operation has failed.  Wait until it is known whether that matters: not if
    the disk has been detached, which is returned.  Else it is @failing."""
    if node.detached:
        return True
    if not node.sim.detaches or node.role != 'primary':
        node.failing += 1
        return False
    if not node.detaching:
        node.detaching = object()
        node.spawn(_detach(node))
    attempt = node.detaching
    node.sim.trace(f'{node} holds')
    yield from until(lambda: node.detaching is not attempt)
    node.failing += not node.detached
    return node.detached


def held(node, op, whole):
    """What was held is done, by the replicas."""
    if not node.rule('dethold'):
        fresh = node.next_lsn()
        for r in op.regions:
            node.restamp(r, fresh)
    if whole is not None:
        node.map.vanish(whole)


def read_here(node, block):
    """What a reader would have from the disk."""
    value = node.read(block)
    if not (node.losses or node.reign.may_read(block, value, node.reign.newest_done(block))):
        raise Fail(f'STALE READ of block {block}: {value}')


def _replicas(node):
    return [link for link in node.links if link.insync]


def _enough(node, reign):
    return (primary.reigns(node, reign) and
            (not node.rule('detenough') or
             len(_replicas(node)) >= max(1, node.sim.min_isr)))


def _detach(node):
    reign, done = node.reign, False
    yield from until(lambda: not node.failing)
    if _enough(node, reign):
        done = yield from _steps(node, reign)
    if not done:
        node.raised = False
        primary.recount(node)
        node.sim.trace(f'{node} does not detach its disk')
    elif node.reign is reign:
        node.detached, node.view = True, None
        node.sim.trace(f'{node} DETACHED, disk {node.device.disk} map {node.map.describe()}')
    node.detaching = None


def _steps(node, reign):
    """There is no way back once the mark is being written.  Return success."""
    node.raised = True
    if node.rule('detwait'):
        lsn = node.next_lsn()
        primary.push(node, ('F', lsn))
        for link in node.links:
            if link.joining and node.rule('detjoin'):
                link.join = max(link.join, lsn)
        yield from until(lambda: not _enough(node, reign) or
                         all(link.durable >= lsn for link in _replicas(node)))
    if not _enough(node, reign):
        return False
    if node.rule('detmark'):
        fields = dict(inconsistent=True)
        if node.rule('detmembers'):
            fields['members'] = ()
        for _ in range(node.sim.rng.randrange(20)):
            yield None
        yield from node.write_super(**fields)
    return True


# ---- content from a replica

class Pull:
    def __init__(self, link, r):
        self.number, self.region = link.sim.count(), r
        self.lsn, self.data, self.sent, self.done = link.p.lsn, None, False, False


def _fetch_here(node, r, data):
    data, detached = data or [node.read(b) for b in blocks_of(r)], node.detached
    if not node.sim.detaches or not node.rule('detsure') or detached:
        return data
    return data if (yield from node.flush()) else None


def fetch(node, r, data=None):
    """A region whose lock is held here; @data: what has been read of it already.  Of one
    that is detached as a replica has it.  None: not now."""
    if not node.detached or not node.rule('detcopy'):
        return (yield from _fetch_here(node, r, data))
    link = source(node)
    if not link:
        return None
    pull = Pull(link, r)
    link.pulls.append(pull)
    yield from until(lambda: pull.done or not (link.insync and link.live()))
    if pull in link.pulls:
        link.pulls.remove(pull)
    if pull.data is None:
        return None
    if node.rule('detsure'):
        lsn = node.next_lsn()
        primary.push(node, ('F', lsn))
        yield from until(lambda: link.durable >= lsn or not (link.insync and link.live()))
        if link.durable < lsn:
            return None
    node.sim.trace(f'{node} has region {r} from {link.q}')
    return [v if r * B + i < node.size else 0 for i, v in enumerate(pull.data)]


def due(link):
    return next((k for k in link.pulls if not k.sent and link.next_lsn() > k.lsn), None)


def ask(link):
    pull = due(link)
    pull.sent = True
    link.down.append(('PULL', pull.region, pull.number))


def reply(receiver, r, number):
    """The replica's part."""
    node = receiver.node

    def content():
        if node.map.stamp[r] == DOUBT:
            return None
        return [node.read(b) for b in blocks_of(r)]

    receiver.answer(r, 'PULLED', number, content)


def answer(link, number, data):
    for pull in link.pulls:
        if pull.number == number:
            pull.data, pull.done = data, True
