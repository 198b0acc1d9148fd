# SPDX-License-Identifier: GPL-2.0-or-later
"""Views of a primary, snapshots of either, and what is restored from them."""

from world import DOUBT, NB, NEVER, NG, R, blocks_of, until


class View:
    """The volume at one LSN, while writes go on: copied before they change it."""

    def __init__(self, node):
        self.node, self.lsn = node, node.lsn
        self.saved, self.passed, self.out = {}, set(), {}

    def _ends(self):
        return self.node.view is not self

    def _settled(self, r):
        return r in self.saved or r in self.passed or self._ends()

    def save_before(self, op, before):
        """A writer's part; @before: stamps of its regions."""
        node = self.node
        for r in op.regions:
            if self._settled(r):
                continue
            yield from until(lambda: not node.writing(r, self.lsn, but=op))
            if self._settled(r):
                continue
            if before[r] > self.lsn:    # the writer before us saves it
                yield from until(lambda: self._settled(r))
                continue
            content = [0 if before[r] == NEVER else node.read(b) for b in blocks_of(r)]
            stamp = before[r] if 'viewstamp' in node.sim.rules else node.map.stamp[r]
            self.saved[r] = content, stamp

    def take(self):
        """The reader's part: the snapshot, region by region."""
        node = self.node
        node.sim.trace(f'{node} view at {self.lsn}')

        def busy(r):
            return (node.writing(r, self.lsn) or r in node.locked or
                    (node.map.stamp[r] > self.lsn and r not in self.saved))

        for r in range(R):
            yield None
            yield from until(lambda: self._ends() or not busy(r))
            if self._ends():
                return
            self.out[r] = self.saved.get(r) or (
                [node.read(b) for b in blocks_of(r)], node.map.stamp[r])
            self.passed.add(r)
        if 'viewstamp' not in node.sim.rules:
            self.out = {r: (data, node.map.stamp[r]) for r, (data, _) in self.out.items()}
        if node.sim.detaches and node.rule('detsure'):
            if not (yield from node.flush()) or self._ends():
                return
        keep(node, self.out)
        node.view = None


def keep(node, regions):
    node.sim.snapshot = dict(regions=regions, history=node.sup.history,
                             term=node.sup.term, size=node.size)
    node.sim.trace(f'snapshot of {node} {regions}')


def take(node):
    """Begin a snapshot if the copy is in a state for one."""
    if node.detached:
        return
    if node.role == 'primary' and not node.view:
        node.view = View(node)
        node.spawn(node.view.take())
    elif (node.role is None and node.idle() and node.device.quiet() and
          not node.sup.inconsistent and not node.sup.incomplete and not node.rotten()):
        keep(node, {r: _now(node, r) for r in range(R)})


def _now(node, r):
    stamp = node.map.stamp[r]
    if stamp == DOUBT and 'resdoubt' not in node.sim.rules:
        stamp = node.map.known[r]
    return [node.read(b) for b in blocks_of(r)], stamp


def restore(node, snapshot):
    """Make the copy what a snapshot holds."""
    sim = node.sim
    sim.trace(f'restore onto {node}')
    sim.oracle.follows(node, None)
    for other in sim.nodes:
        for link in other.links:
            if link.q is node:
                sim.cut(link)
    node.boot()
    node.restoring, node.damaged = True, False
    node.spawn(_restore(node, snapshot))


def _restore(node, snapshot):
    sup, amap, regions = node.sup, node.map, snapshot['regions']
    ordered = 'restorder' in node.sim.rules
    if ordered:
        yield from node.write_super(incomplete=True, position=NEVER)
    amap.active, amap.touched = [True] * NG, [True] * R
    for r in node.sim.rng.sample(range(R), R):
        data, stamp = regions[r]
        if stamp != NEVER:
            yield from node.device.write(dict(zip(blocks_of(r), data)))
    amap.stamp = [regions[r][1] for r in range(R)]
    amap.touched = [stamp != NEVER for stamp in amap.stamp]
    if ordered:
        yield from node.device.flush()
    for g in range(NG):
        amap.active[g] = amap.in_doubt(g)
        yield from _write_block(amap, g)
    history = snapshot['history'] if 'snaphist' in node.sim.rules else sup.history
    fields = dict(history=history, term=max(sup.term, snapshot['term']), members=(),
                  size=snapshot['size'], incomplete=False, inconsistent=False,
                  primary=False, own=False, discard=False, position=NEVER, last=NEVER)
    if 'restoreid' in node.sim.rules:
        fields['id'] = node.sim.new_id()
    yield from node.write_super(**fields)
    node.boot()


def _write_block(amap, g):
    while not (yield from amap.write(g, amap.fill(g, amap.active[g]))):
        pass
