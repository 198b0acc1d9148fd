# SPDX-License-Identifier: GPL-2.0-or-later
"""What the applications know: each reign's writes, what was acknowledged and what
was flushed.  It never helps the copies; it says when one of them is wrong."""

from world import NB, Fail


class Write:
    def __init__(self, blocks, after):
        self.blocks = blocks
        self.after = after              # flushes done when it was issued
        self.before = 1 << 30           # the flush that made it durable
        self.failed = False             # the writer was told so, or will be
        self.done = False
        self.place = {}                 # in the history of each block


class Reign:
    def __init__(self, rid, node, base, parent):
        self.rid, self.parent = rid, parent
        self.copy = node.sup.id
        self.name = str(node)
        self.base, self.writes, self.flushes = list(base), [], 0
        self.values = [[v] for v in base]       # of each block, oldest first
        self.floor = [0] * NB                   # the oldest it may have after a crash
        self.safe = {node.i}                    # copies that hold what was flushed
        self.ended = False

    def issue(self, blocks):
        write = Write(blocks, self.flushes)
        self.writes.append(write)
        for b, value in blocks.items():
            self.values[b].append(value)
            write.place[b] = len(self.values[b]) - 1
        return write

    def done(self):
        return [w for w in self.writes if w.done and not w.failed]

    def newest_done(self, block):
        """Place of the newest write that its writer knows of."""
        return max([w.place[block] for w in self.done() if block in w.place], default=0)

    def may_read(self, block, value, least):
        return value in self.values[block][least:]

    def flushed(self, writes):
        self.flushes += 1
        for w in writes:
            w.before = min(w.before, self.flushes)
            for b, place in w.place.items():
                self.floor[b] = max(self.floor[b], place)

    def flush_failed(self):
        """The writers were told: what was not flushed yet may be there or not."""
        for w in self.writes:
            if w.before > self.flushes:
                w.failed = True

    def allows(self, content):
        """May a crash of this reign have left that?"""
        return any(self._allows(content, e) for e in range(self.flushes + 1))

    def _allows(self, content, flushes):
        for b in range(NB):
            may = {self.base[b]}
            for w in self.writes:
                if b not in w.blocks or w.after > flushes:
                    continue
                if w.before <= flushes and not w.failed:
                    may = {w.blocks[b]}
                else:
                    may.add(w.blocks[b])
            if content[b] not in may:
                return False
        return True

    def lacks(self, content, later=()):
        """A block that is older there than what was flushed, or None.  What reigns
        that followed made of it is as good."""
        for b in range(NB):
            good = set(self.values[b][self.floor[b]:])
            for reign in later:
                good.update(reign.values[b])
            if content[b] not in good:
                return b, content[b], sorted(good)
        return None


class Oracle:
    def __init__(self, sim):
        self.sim = sim
        self.reigns = {}                # by reign id
        self.newest = None
        self.garbage = set()            # that the operator has accepted

    def begin(self, node, why, forced):
        content = node.content()
        record = node.sup.history[-1]
        self.sim.trace(f'{node} PRIMARY term {record.term} ({why}) content {content} '
                       f'inherits {record.inherited}')
        if forced:                      # what was never written is not known
            self.garbage.update(v for v in content if v < 0)
        if any(v < 0 and v not in self.garbage for v in content):
            raise Fail(f'garbage shown by {node}: {content}')
        content = [0 if v in self.garbage else v for v in content]
        if self.reigns and not any(r.allows(content) for r in self.reigns.values()):
            raise Fail(f'not crash-consistent at promotion {node}: {content}')
        old = self.newest
        if old and old.ended and node.i in old.safe:
            lost = old.lacks(content)
            if lost:
                raise Fail('LOST flushed write: %s block %d is %d, must be one of %s' %
                           (node, *lost))
        parent = self.reigns.get(node.sup.history[-2].rid) if len(node.sup.history) > 1 else None
        self.newest = Reign(record.rid, node, content, parent)
        self.reigns[record.rid] = self.newest
        return self.newest

    def end(self, node):
        reign = node.reign
        reign.ended = True
        reign.safe = {node.i}
        if node.detached:
            self._still_there(node, reign)
        if self.sim.managed:
            members = node.members if node.detached else node.sup.members
            reign.safe |= {n.i for n in self.sim.nodes if n.sup.id in members}
        elif self.sim.policy == 'disk' or node.detached:
            reign.safe |= {link.q.i for link in node.links if link.insync}

    def _still_there(self, node, reign):
        """Some copy without a mark has what was flushed, or may have it: it is down, it
        is another primary's, or has been tampered with."""
        others = [n for n in self.sim.nodes if n is not node]
        if (reign is not self.newest or self.sim.tampered or
                not all(n.up and n.size == node.size for n in others)):
            return
        lost = [reign.lacks(n.content()) for n in others if not n.sup.inconsistent]
        if all(lost):
            raise Fail(f'LOST flushed write: {node} has been detached, elsewhere {lost}')

    def follows(self, copy, primary_reign):
        """From now on it is a copy of that reign and of no other."""
        for reign in self.reigns.values():
            if reign is not primary_reign:
                reign.safe.discard(copy.i)

    def gives_up(self, copy, heir):
        """A deposed primary follows that reign unasked: is anything lost of what its
        own reigns have flushed?"""
        line = self._line(heir)
        chain, reign = [], self.reigns[copy.sup.history[-1].rid]
        while reign and reign not in line:
            chain.append(reign)
            reign = reign.parent
        if reign is heir:
            return
        if reign:
            chain.append(reign)
        content = line[line.index(reign) - 1].base if reign else line[-1].base
        for i, reign in enumerate(chain):
            if reign.copy != copy.sup.id:
                continue
            lost = reign.lacks(content, chain[:i])
            if lost:
                raise Fail('GIVEN UP unasked: %s follows %s, block %d is %d there, must be one of %s' %
                           (copy, heir.name, *lost))

    @staticmethod
    def _line(reign):
        line = []
        while reign:
            line.append(reign)
            reign = reign.parent
        return line
