# SPDX-License-Identifier: GPL-2.0-or-later
"""One run: copies, what happens to them by chance, and the calm at the end, after
which all copies must be equal."""

import random

import detach
import grow
import history
import primary
import repair
import replica
import verify
import view
from link import Link
from node import Node
from oracle import Oracle
from world import B, FEATURES, MODES, NB, NG, R, Fail, blocks_of, region

PATIENCE = 60000


class Sim:
    def __init__(self, seed, rules, nodes=0, steps=900, features=(), just=None):
        self.rng = rng = random.Random(seed)
        self.rules, self.steps = rules, steps
        self.lines, self.processes, self.slow = [], [], None
        self.value = self.counter = 0
        self.has = {f for f in FEATURES if f in features or rng.random() < .3}
        modes = random.Random(-1 - seed)        # apart: known seeds stay what they are
        self.has |= {f for f in sorted(MODES) if f in features or modes.random() < .3}
        if just is not None:
            self.has = set(just)
        self.policy = rng.choice(['disk', 'local'])
        if 'memory' in self.has:
            self.policy = 'memory'
        self.managed = 'managed' in self.has
        if self.managed:
            self.policy = 'disk'
        self.detaches = 'detach' in self.has
        self.tampered = bool(self.has & {'views', 'damage', 'verify'})
        self.min_isr = 2 if 'minisr' in self.has else 1
        self.backlog = rng.choice([2, 3, 5])
        self.busyness = rng.choice([.04, .08, .15, .25])
        self.reigns_kept = 2 if 'short' in self.has else 99
        self.weights = self._weights()
        self.snapshot = None
        self.oracle = Oracle(self)
        size = rng.choice([3, 5, 7]) if 'grow' in self.has else NB
        count = nodes or rng.choice([2, 3])
        self.nodes = [Node(self, i, size) for i in range(count)]
        self.ids = count

    # ---- small things

    def trace(self, line):
        self.lines.append(line)

    def count(self):
        self.counter += 1
        return self.counter

    def new_id(self):
        self.ids += 1
        return self.ids

    def chance(self, feature):
        return feature in self.has and self.rng.random() < FEATURES[feature]

    # ---- processes

    def spawn(self, node, process):
        self.processes.append([node, node.life, process, None])

    def stall(self):
        """Some process is slow: a disk, a link, a thread that does not get its turn."""
        if self.processes:
            self.slow = self.rng.choice(self.processes)

    def _end(self, entry):
        i = next(i for i, e in enumerate(self.processes) if e is entry)
        self.processes[i] = self.processes[-1]
        self.processes.pop()

    def step(self):
        """Let one process go on that is able to."""
        processes, random_ = self.processes, self.rng.random
        for _ in range(6):
            if not processes:
                return
            entry = processes[int(random_() * len(processes))]
            node, life, process, condition = entry
            if node.life != life:
                self._end(entry)
            elif entry is not self.slow and (condition is None or condition()):
                try:
                    entry[3] = next(process)
                except StopIteration:
                    self._end(entry)
                return

    # ---- links

    def connect(self, p, q):
        """Return the reason if the copies do not meet."""
        if (p.role != 'primary' or q is p or not q.up or q.role or q.restoring or
                q.sup.incomplete or q.detached and 'detrestart' in self.rules):
            return 'busy'
        if any(link.q is q and not link.cut for link in p.links):
            return None
        if q.size < max(p.size, p.growing) and 'growfirst' in self.rules:
            return 'smaller'
        why = history.refusal(self.rules, history.Offer(p.sup.id, p.sup.term, p.sup.history), q)
        if why:
            self.trace(f'{q} does not follow {p}: {why}')
            return why
        for link in [k for k in p.links if k.q is q]:
            p.links.remove(link)
            primary.leaves(p, link)
        if q.link and not q.link.cut:
            self.cut(q.link)
        self.trace(f'connect {p} -> {q}')
        link = Link(p, q)
        link.start(replica.session(q, link))
        return None

    def cut(self, link):
        """Some of what is under way still arrives."""
        if link.cut:
            return
        for queue in link.down, link.up:
            kept = self.rng.randrange(len(queue) + 1)
            while len(queue) > kept:
                queue.pop()
        link.cut = True
        self.trace(f'link {link.p}-{link.q} cut')

    def crash(self, node):
        if node.reign:
            self.oracle.end(node)
        for other in self.nodes:
            for link in other.links:
                if link.q is node or link.p is node:
                    self.cut(link)
                    if link.q is node:
                        link.down.clear()
        if node.link:
            self.cut(node.link)
        node.power_cut()
        self.trace(f'{node} CRASH, disk {node.device.disk} map {node.map.describe()} '
                   f'inconsistent {node.sup.inconsistent}')

    def boot(self, node):
        node.boot()
        self.trace(f'{node} boots, stamps {node.map.stamp} position {node.position}')

    # ---- what happens

    def ups(self):
        return [n for n in self.nodes if n.up]

    def primaries(self):
        return [n for n in self.nodes if n.up and n.role == 'primary']

    def promotable(self):
        return [n for n in self.ups() if not n.role and not n.restoring and not n.rotten() and
                not n.detached and not n.sup.inconsistent and not n.sup.incomplete]

    def _links(self):
        return [link for p in self.primaries() for link in p.links if not link.cut]

    def _pick(self, among):
        return self.rng.choice(among) if among else None

    def ev_write(self):
        p = self._pick(self.primaries())
        if not p:
            return
        self.value += 1
        b = self.rng.randrange(p.size)
        blocks, whole = {b: self.value}, None
        if self.chance('span') and b + 1 < p.size:
            blocks[b + 1] = self.value
        elif self.chance('discard'):
            blocks = {b: 0}
            if self.rng.random() < .5:
                whole = region(b)
                blocks = {b: 0 for b in blocks_of(whole) if b < p.size}
        self.spawn(p, primary.write(p, blocks, whole))

    def ev_flush(self):
        p = self._pick(self.primaries())
        if p:
            self.spawn(p, primary.flush(p))

    def ev_connect(self):
        p = self._pick(self.primaries())
        if not p:
            return
        q = self.rng.choice([n for n in self.nodes if n is not p])
        why = self.connect(p, q)
        if q.role == 'primary' and self.rng.random() < .3:
            self.demote(q)
        elif why and why not in ('busy', 'smaller') and self.rng.random() < .2:
            self.discard(q)

    def discard(self, node):
        """The operator's word."""
        self.trace(f'{node} --discard-mine')
        node.sup.discard = True

    def ev_cut(self):
        link = self._pick(self._links())
        if link:
            self.cut(link)

    def ev_kick(self):
        """A replica that writers wait for is given up, for being slow."""
        link = self._pick([k for k in self._links() if k.insync or k.joining])
        if link:
            self.trace(f'{link.q} kicked from the in-sync set')
            primary.leaves(link.p, link)

    def ev_member(self):
        """User space puts one into the set, or out of it."""
        p = self._pick(self.primaries())
        if not p or not self.managed:
            return
        link = self._pick([k for k in p.links if k.apart and not k.cut])
        if p.members and self.rng.random() < .3:
            primary.expel(p, self.rng.choice(p.members))
        elif link:
            primary.admit(p, link)

    def ev_crash(self):
        node = self._pick(self.ups())
        if node and 'blackout' in self.has:
            for other in self.ups():
                self.crash(other)
        elif node:
            self.crash(node)

    def ev_boot(self):
        node = self._pick([n for n in self.nodes if not n.up])
        if not node:
            return
        if self.chance('damage'):
            self.damage(node)
        self.boot(node)

    def damage(self, node):
        """A map block loses both slots, the newer one, or its stamps, once in a run."""
        self.has.discard('damage')
        g = self.rng.randrange(NG)
        what = node.map.damage(g, self.rng.choice(['both', 'newer', 'stamps']))
        node.damaged = what != 'stamps' and not node.sup.inconsistent
        self.trace(f'{node} map block {g} has lost {what}')

    def ev_promote(self):
        if self.primaries() and self.rng.random() > .1:
            return
        node = self._pick(self.promotable())
        if node:
            self.promote(node, 'operator')

    def promote(self, node, why, force=False):
        if node.link:
            self.cut(node.link)
        node.role = 'starting'
        self.spawn(node, node.promote(why, force))

    def ev_demote(self):
        p = self._pick(self.primaries())
        if p and 'down' in self.has:
            self.demote(p)

    def demote(self, node):
        node.role = 'stopping'
        self.spawn(node, node.demote())

    def ev_down(self):
        node = self._pick([n for n in self.ups() if n.role is None and not n.restoring and
                           not n.detached])
        if node and 'down' in self.has:
            node.role = 'leaving'
            self.spawn(node, node.down())

    def ev_clean(self):
        node = self._pick(self.ups())
        if node and not node.restoring:
            self.spawn(node, node.map.clean(self.rng.randrange(NG)))

    def ev_view(self):
        node = self._pick(self.ups())
        if node and 'views' in self.has:
            view.take(node)

    def ev_restore(self):
        node = self._pick([n for n in self.ups() if n.role is None and n.idle() and not n.detached])
        if node and self.snapshot and self.rng.random() < .5:
            view.restore(node, self.snapshot)

    def ev_grow(self):
        node = self._pick(self.ups())
        size = min(NB, node.size + self.rng.choice([1, 2, 3])) if node else 0
        if size and 'grow' in self.has and node.size < NB and grow.may(node, size):
            self.spawn(node, grow.grow(node, size))

    def ev_verify(self):
        link = self._pick([k for k in self._links() if k.settled and not k.question])
        if link and 'verify' in self.has:
            self.spawn(link.p, verify.begin(link, self.rng.randrange(R)))

    def ev_rot(self):
        """A block of a replica changes by itself, once."""
        link = self._pick([k for k in self._links() if k.insync])
        b = self.rng.randrange(NB)
        if link and 'verify' in self.has and link.q.map.touched[region(b)] and \
           not (link.q.device.rotten or self.detaches):
            link.q.device.rot(b, -1000 - b)
            self.trace(f'{link.q} block {b} rots')

    def ev_read(self):
        """A read fails; it comes last, for it never happens without its mode."""
        link = self._pick([k for k in self._links() if repair.may(k) and not k.read])
        if link:
            blocks = primary.newest_blocks(link.p) or range(link.p.size)
            self.spawn(link.p, repair.begin(link, self.rng.choice(blocks)))

    def ev_break(self):
        """A primary's disk begins to fail, or is well again."""
        p = self._pick(self.primaries())
        if p:
            often = .9 if any(k.insync for k in p.links) else .1
            p.device.broken = self.rng.random() < often
            self.trace(f'{p} disk {"BROKEN" if p.device.broken else "good"}')

    def ev_detached(self):
        """A read of one that is detached, its end, or its restart."""
        node = self._pick([n for n in self.ups() if n.detached and
                           (n.role or 'detrestart' in self.rules)])
        if not node:
            return
        if node.role is None or self.rng.random() < .1:
            self.crash(node)
            self.boot(node)
            return
        link = self._pick([k for k in node.links if k.insync and not k.cut and not k.read])
        if node.role == 'primary' and 'detread' not in self.rules:
            detach.read_here(node, self.rng.randrange(node.size))
        elif link:
            blocks = primary.newest_blocks(node) or range(node.size)
            self.spawn(node, repair.begin(link, self.rng.choice(blocks)))

    EVENTS = [(42, ev_write), (10, ev_flush), (14, ev_connect), (4, ev_cut), (3, ev_kick),
              (2.5, ev_crash), (4.5, ev_boot), (4, ev_promote), (.6, ev_demote), (1, ev_down),
              (12, ev_clean), (2, ev_view), (1, ev_restore), (2, ev_grow), (6, ev_verify),
              (.5, ev_rot), (80, ev_read), (6, ev_member), (16, ev_break), (16, ev_detached)]
    OFTEN = {'cuts': (ev_cut, ev_connect), 'crashes': (ev_crash, ev_boot),
             'cleaning': (ev_clean,), 'handover': (ev_demote, ev_promote),
             'views': (ev_view, ev_restore), 'detach': (ev_connect,)}

    def _weights(self):
        often = {e for f in self.has & set(self.OFTEN) for e in self.OFTEN[f]}
        weights = [w * (4 if e in often else 1) for w, e in self.EVENTS]
        if 'quiet' in self.has:
            weights[0] /= 4
        # The last ones: known seeds stay what they are.
        if 'badreads' not in self.has:
            weights[-4] = 0
        if not self.managed:
            weights[-3] = 0
        if not self.detaches:
            weights[-2] = weights[-1] = 0
        return weights

    def event(self):
        if not self.ups():
            self.boot(self.rng.choice(self.nodes))
            return
        self.stall()
        _, happens = self.rng.choices(self.EVENTS, self.weights)[0]
        happens(self)

    # ---- the run

    def run(self):
        self.promote(self.nodes[0], 'first')
        for _ in range(self.steps):
            if self.rng.random() < self.busyness:
                self.event()
            else:
                self.step()
        self.trace('--- quiesce')
        self.slow = None
        self.has &= {'verify'}
        for node in self.nodes:
            node.device.broken = False
            if not node.up:
                self.boot(node)
        return self._calm()

    def _calm(self):
        calm = 0
        for k in range(PATIENCE):
            if k % 50 == 0:
                self._settle()
            self.step()
            if k % 20 == 19:
                calm = calm + 1 if self._is_calm() else 0
                if calm > 1:
                    return self._compare()
        raise Fail(f'no quiescence: {[n.state() for n in self.nodes]}')

    def _settle(self):
        """The operator makes one primary and has all others follow it."""
        for node in self.nodes:
            if node.detached and node.role == 'primary':
                self.demote(node)
            elif node.detached and node.role is None and 'detrestart' in self.rules:
                self.crash(node)
            if not node.up:
                self.boot(node)
            if node.sup.incomplete and not node.restoring:
                view.restore(node, self.snapshot)
        reigning = self.primaries()
        if not reigning and not any(n.role or n.restoring for n in self.nodes):
            self._choose()
        if not reigning:
            return
        best = max(reigning, key=lambda n: n.sup.term)
        for node in reigning:
            if node is not best:
                self.demote(node)
        for node in self.nodes:
            if node is not best:
                self._join(best, node)
        if all(n.size == NB for n in self.nodes if n is not best) and best.size < NB:
            self.spawn(best, grow.grow(best, NB))
        gone = set(best.members) - {n.sup.id for n in self.nodes} - best.outs
        for copy in sorted(gone if self.managed else ()):
            primary.expel(best, copy)
        for link in best.links:
            if link.apart:
                primary.admit(best, link)
            if 'verify' in self.has and link.q.rotten(shown=True) and link.settled and not link.question:
                self.spawn(best, verify.begin(link, self.rng.randrange(R)))

    def _choose(self):
        """A primary; if none is good, one that knows not what was never written."""
        good, damaged = self.promotable(), [n for n in self.nodes if n.damaged]
        if not good and not damaged:
            raise Fail(f'no good copy is left: {[n.state() for n in self.nodes]}')
        self.promote(self.rng.choice(good or damaged), 'quiesce', force=not good)

    def _join(self, best, node):
        if node.up and node.role is None and node.size < NB:
            self.spawn(node, grow.grow(node, NB))
        why = self.connect(best, node)
        if why and why not in ('busy', 'smaller'):
            self.discard(node)

    def _is_calm(self):
        reigning = self.primaries()
        if len(reigning) != 1:
            return False
        p = reigning[0]
        links = [k for k in p.links if k.insync and not k.cut]
        return (len(links) == len(self.nodes) - 1 and not p.inflight and
                not p.detached and not p.detaching and
                all(n.size == NB for n in self.nodes) and
                all(not k.more() and not k.down and not k.question for k in links) and
                not any(n.applying or n.rotten(shown=True) for n in self.nodes))

    def _compare(self):
        p = self.primaries()[0]
        for q in self.nodes:
            if q.content() != p.content():
                raise Fail(f'DIVERGED in sync: {p} {p.content()} {p.map.stamp}  '
                           f'{q} {q.content()} {q.map.stamp}')
        return 'ok'
