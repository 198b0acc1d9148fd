# SPDX-License-Identifier: GPL-2.0-or-later
"""A primary's writes and flushes, its backlog, its in-sync set on disk.

An entry of the backlog is ('W', lsn, blocks), ('D', lsn, region: a discard of all
of it) or ('F', lsn): a flush, which is a barrier on every replica."""

import detach
import repair
from node import Op
from world import regions_of, until


def reigns(node, reign):
    return node.role == 'primary' and node.reign is reign


def waited(node):
    return [link for link in node.links if link.insync or link.joining]


def enough(node, links):
    """Copies for a write to be taken in, or acknowledged."""
    return suffice(node, len(links)) and not missing(node)


def suffice(node, replicas):
    if node.detached or node.raised and node.rule('detcount'):
        return replicas >= max(1, node.sim.min_isr)
    return 1 + replicas >= node.sim.min_isr


def policy(node):
    raised = node.raised and node.rule('detack')
    return 'disk' if raised else node.sim.policy


def missing(node):
    """Managed: those in the set that nobody can wait for."""
    if not node.sim.managed or 'managedhold' not in node.sim.rules:
        return set()
    there = {link.q.sup.id for link in waited(node)}
    return set(node.members) - there - node.outs


def entry_regions(entry):
    if entry[0] == 'W':
        return regions_of(entry[2])
    return [entry[2]] if entry[0] == 'D' else []


def newest_blocks(node):
    """What the backlog has newest content of."""
    return [b for entry in node.backlog if entry[0] == 'W' for b in entry[2]]


def end_of(node):
    return node.first + len(node.backlog)


# ---- the backlog

def _full(node):
    return (len(node.backlog) >= node.sim.backlog and
            any(link.cursor <= node.first for link in waited(node)))


def push(node, entry):
    node.backlog.append(entry)
    while len(node.backlog) > node.sim.backlog:
        if any(link.cursor <= node.first for link in waited(node)):
            break
        _let_go(node)


def _let_go(node):
    """The oldest entry; links that have not sent it lose it."""
    entry = node.backlog.pop(0)
    for link in node.links:
        if link.cursor > node.first:
            continue
        for r in entry_regions(entry):
            link.drop(r)
        if entry[0] == 'F':
            link.lost_flush = entry[1]
        link.cursor = node.first + 1
    node.first += 1
    node.floor = max(node.floor, entry[1])


# ---- writes

def write(node, blocks, whole=None):
    """A write; @whole: the region that all of it discards."""
    reign, op = node.reign, Op(blocks, whole)
    yield from until(lambda: not reigns(node, reign) or enough(node, waited(node)))
    yield from until(lambda: not reigns(node, reign) or not node.busy(op.range))
    if not reigns(node, reign):
        return
    if not any(blocks.values()) and not node.map.touched[op.regions[0]]:
        return                          # zeros where there are zeros
    node.inflight.append(op)
    node.map.begin(op.regions)
    opened = True
    for r in op.regions:
        opened = opened and (yield from node.map.enter(r))
    yield from until(lambda: not reigns(node, reign) or not _full(node))
    if opened and reigns(node, reign):
        yield from _commit(node, op, whole)
    else:
        _leave(node, op)


def _leave(node, op):
    node.inflight.remove(op)
    node.map.end(op.regions)


def _commit(node, op, whole):
    reign, view = node.reign, node.view
    lsn = op.lsn = node.written = node.next_lsn()
    before = {r: node.map.stamp[r] for r in op.regions}
    issued = reign.issue(op.blocks)
    for r in op.regions:
        node.map.set(r, lsn)
    push(node, ('D', lsn, whole) if whole is not None else ('W', lsn, op.blocks))
    node.sim.trace(f'{node} write {lsn} {op.blocks}{"" if whole is None else " DISCARD"}')
    if view:
        yield from view.save_before(op, before)
    failed = not (yield from _write_here(node, op.blocks, whole))
    if failed and (yield from detach.hold(node)):
        failed = False
        detach.held(node, op, whole)
    if failed:
        _failed(node, issued, op)
        node.failing -= 1
    _leave(node, op)
    if not failed:
        yield from _acknowledge(node, reign, issued, lsn)


def _write_here(node, blocks, whole):
    """Return success."""
    if whole is None and node.detached:
        return True
    failed = node.sim.chance('wfail') or node.device.fails()
    if whole is None:
        yield from node.device.write(blocks, failed)
    elif not failed:
        failed = not (yield from node.map.forget(whole))
    return not failed


def _failed(node, issued, op):
    node.sim.trace(f'{node} local write {op.lsn} FAILED')
    issued.failed = True
    if 'writefail' not in node.sim.rules:
        return
    fresh = node.next_lsn()
    for r in op.regions:
        node.restamp(r, fresh)


def _replicas_have(node, reign, lsn, position):
    """Wait until the replicas have done what a completion waits for."""
    sim = node.sim

    def reached():
        if policy(node) == 'local':
            return True
        if 'isrwait' in sim.rules and not enough(node, [k for k in node.links if k.insync]):
            return False
        what = 'received' if policy(node) == 'memory' else position
        return not node.hold and all(getattr(k, what) >= lsn for k in waited(node))

    yield from until(lambda: not reigns(node, reign) or reached())


def _acknowledge(node, reign, issued, lsn):
    yield from _replicas_have(node, reign, lsn, 'applied')
    if reigns(node, reign):
        issued.done = True


# ---- flushes

def flush(node):
    """A writer's flush."""
    sim, reign = node.sim, node.reign
    if node.role != 'primary':
        return
    covered = reign.done()
    lsn = node.next_lsn()
    push(node, ('F', lsn))
    told = node.told
    done = yield from node.flush()
    if not reigns(node, reign):
        return

    yield from _replicas_have(node, reign, lsn, 'durable')
    if not reigns(node, reign):
        return
    done = done or node.detached
    if 'flushreport' in sim.rules and node.losses > told:
        done, node.told = False, node.losses
    if done:
        reign.flushed(covered)
        sim.trace(f'{node} flush {lsn} done, in sync {[str(k.q) for k in node.links if k.insync]}')
    else:
        reign.flush_failed()
        sim.trace(f'{node} flush {lsn}: the writers are told that it failed')


def marker(node):
    """A flush in the stream that no writer waits for."""
    lsn = node.next_lsn()
    push(node, ('F', lsn))
    node.spawn(node.flush())


# ---- the in-sync set on disk

def _ready(link):
    return link.joining and link.durable > link.join and link.applied > link.join


def joins(node, link):
    """A link has all that was acknowledged: in sync once the set says so."""
    if not _ready(link):
        return
    sim = node.sim
    if policy(node) == 'disk' or sim.policy == 'memory' and 'memorymember' not in sim.rules:
        node.spawn(_record(node))
    else:
        _in_sync(node, link)


def _in_sync(node, link):
    link.joining, link.insync = False, True
    node.sim.trace(f'{link.q} in sync')


def leaves(node, link):
    """A link is waited for no longer."""
    link.insync = link.joining = link.caught = False
    repair.behind(link)
    link.pulls.clear()
    link.done_id = None
    link.attempt += 1
    if not link.member:
        return
    link.member = False
    node.member_changes += 1
    if 'memberleave' in node.sim.rules:
        node.hold = True
    node.spawn(_record(node))


def recount(node):
    """This copy counts again: the set that was kept for want of copies need not be."""
    if node.hold:
        node.member_changes += 1
        node.spawn(_record(node))


def admit(node, link):
    """User space puts a replica into the set."""
    if 'managedin' in node.sim.rules and not link.caught or not link.settled:
        return
    node.sim.trace(f'{link.q} in')
    _join(node, link)


def _join(node, link):
    link.apart = link.caught = False
    link.joining, link.join = True, node.lsn
    marker(node)


def expel(node, copy):
    """User space puts a copy out of the set."""
    node.sim.trace(f'copy {copy} out')
    node.outs.add(copy)
    node.member_changes += 1
    if 'memberleave' in node.sim.rules:
        node.hold = True
    for link in node.links:
        if link.q.sup.id == copy:
            link.caught = link.caught or link.insync or link.joining
            link.apart, link.insync, link.joining, link.member = True, False, False, False
    node.spawn(_record(node))


def _kept(node):
    """Managed: who is in stays in, with or without a link."""
    if not node.sim.managed:
        return ()
    return tuple(m for m in node.members if m not in node.outs)


def _record(node):
    """Write the set as it is; there is one writer at a time."""
    yield from until(lambda: not node.recording)
    if node.role != 'primary':
        return
    chosen = [link for link in node.links if link.insync or _ready(link)]
    if not node.sim.managed and not enough(node, chosen):
        node.hold = node.hold and 'isrwait' in node.sim.rules
        return
    node.recording = True
    for link in chosen:
        link.member = True
    changes, kept, outs = node.member_changes, _kept(node), set(node.outs)
    members = kept + tuple(link.q.sup.id for link in chosen if link.q.sup.id not in kept)
    if not node.detached or not node.rule('detmap'):
        yield from node.write_super(members=members)
    node.recording = False
    node.members = members
    node.outs -= outs
    for link in node.links:             # which came while that was written
        if link.apart and link.q.sup.id in members and link.q.sup.id not in node.outs:
            link.apart = False
            if link.caught:
                _join(node, link)
    if changes != node.member_changes:
        return
    node.hold = False
    for link in chosen:
        if _ready(link):
            _in_sync(node, link)
