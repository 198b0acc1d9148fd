# SPDX-License-Identifier: GPL-2.0-or-later
"""A link, and the primary's end of it: stream, comparison, region copies.

Down the link go, in this order: MAP, and then entries of the backlog ('W', 'D',
'F', 'N': nothing but its LSN), 'GAP', 'COPY' (a piece of a region), 'FORGET',
'ASK' (for hashes), 'DONE'.  Up come 'POS', 'STAMPS', 'HASHES', 'R' (received), 'A'
(applied), 'F' (flushed) and 'OK'."""

from collections import deque

import ahead
import detach
import primary
import repair
import verify
from history import Offer
from world import B, DOUBT, NEVER, R, Fail, blocks_of, region, until


class Link:
    def __init__(self, p, q):
        self.p, self.q, self.sim = p, q, p.sim
        self.reign = p.reign
        self.offer = Offer(p.sup.id, p.sup.term, p.sup.history)
        self.down, self.up, self.cut = deque(), deque(), False
        # the primary's
        self.cursor = primary.end_of(p)         # number of the next entry
        self.lost_flush = None                  # a barrier that was dropped
        self.dirty = set(range(R)) if self.rule('alldirty') else set()
        self.dirtied = [0] * R                  # how often
        self.compare = set()                    # dirty regions to be compared by hash
        self.asked = {}                         # region: its hashes, None until they come
        self.copied_at = NEVER                  # newest LSN at a region's read
        self.gap_sent = False
        self.map_due = self.settled = False     # is it known what the replica lacks?
        self.attempt, self.done_id = 0, None
        self.insync = self.joining = self.member = False
        # managed: user space has not let it in; it has all there is
        self.apart = p.sim.managed and q.sup.id not in p.members
        self.caught = False
        self.join = self.received = self.applied = self.durable = NEVER
        self.question = None                    # verify.py
        self.read = None                        # repair.py
        self.pulls = []                         # detach.py
        self.ahead = {}                         # region: what was read of it, ahead.py
        # the replica's
        self.failed = False                     # nothing more is acknowledged
        self.follows = False                    # in sync, as far as the replica knows
        self.order = []                         # what is being applied

    def rule(self, name):
        return name in self.sim.rules

    def live(self):
        return not self.cut and self.p.role == 'primary' and self.p.reign is self.reign

    def start(self, receiver):
        self.p.links.append(self)
        self.q.link = self
        self.q.spawn(receiver)
        self.p.spawn(self.answers())
        self.p.spawn(self.sender())

    def state(self):
        return (str(self.q), 'cut' if self.cut else 'up', self.settled, sorted(self.dirty),
                self.asked, self.insync, self.joining, self.done_id, len(self.down), len(self.up))

    # ---- the dirty set

    def drop(self, r):
        """The region differs from now on."""
        if r not in self.dirty:
            self.dirty.add(r)
            self.sim.trace(f'link to {self.q}: region {r} dirty')
        self.dirtied[r] += 1
        primary.leaves(self.p, self)

    def _clean(self, r):
        self.dirty.discard(r)
        self.compare.discard(r)
        self.attempt += 1

    # ---- what the replica says

    def answers(self):
        p = self.p
        while True:
            yield from until(lambda: self.up or self.cut)
            if not self.up:
                break
            kind, *what = self.up.popleft()
            if kind == 'POS':
                self._position(*what)
            elif kind == 'STAMPS':
                p.spawn(self._compare(*what))
            elif kind == 'HASHES':
                self.asked[what[0]] = what[1]
            elif kind == 'R':
                self.received = max(self.received, what[0])
            elif kind == 'A':
                self.applied = max(self.applied, what[0])
            elif kind == 'F':
                self.applied = max(self.applied, what[0])
                self.durable = max(self.durable, what[0])
                primary.joins(p, self)
            elif kind == 'OK':
                self._done(*what)
            elif kind == 'VERIFIED':
                verify.answer(self, *what)
            elif kind == 'DATA':
                repair.answer(self, *what)
            elif kind == 'PULLED':
                detach.answer(self, *what)
            yield None
        self.cut = True
        if self in p.links:
            self.sim.trace(f'{p} drops its link to {self.q}')
            p.links.remove(self)
            primary.leaves(p, self)

    def _done(self, attempt, applied):
        p = self.p
        if self.done_id != attempt or self.dirty or not self.live():
            return
        self.applied = max(self.applied, applied)
        if self.apart:
            self.caught = True
        elif self.rule('isrjoin'):
            self.joining, self.join = True, p.lsn
            primary.marker(p)
        else:
            self.insync, self.durable = True, max(self.durable, applied)

    # ---- what the replica lacks

    def _settle(self):
        self.copied_at = self.p.lsn
        self.settled = True

    def _position(self, lsn):
        """The replica holds the stream up to there and nothing else; NEVER: unknown."""
        p = self.p
        known = lsn != NEVER and (lsn[0] == self.offer.term or not self.rule('replayreign'))
        if not known or lsn < p.floor or lsn > p.lsn:
            self.map_due = True
            return
        after = [i for i, entry in enumerate(p.backlog) if entry[1] > lsn]
        self.cursor = p.first + (after[0] if after else len(p.backlog))
        self.dirty, self.lost_flush = set(), None
        self.sim.trace(f'link to {self.q}: goes on at {lsn}')
        self._settle()

    def _compare(self, stamps):
        p = self.p
        for r in self.sim.rng.sample(range(R), R):
            yield None
            if not self.live():
                return
            ours, theirs = p.map.stamp[r], stamps[r]
            if r * B >= p.size and not self.rule('growtail'):
                theirs = ours
            if ours == theirs != DOUBT:
                self.dirty.discard(r)
                self._check_equal(r, ours)
                continue
            self.sim.trace(f'compare region {r}: {p} {ours} {self.q} {theirs}: differ')
            self.dirty.add(r)
            if theirs == DOUBT or theirs != NEVER and ours[1] == 1:
                self.compare.add(r)
        self._settle()

    def _check_equal(self, r, stamp):
        """The rule that everything rests on."""
        p, q = self.p, self.q
        if (p.writing(r) or r in p.locked or p.detached or not q.up or q.applying or
                q.rotten() or p.rotten() or q.map.stamp[r] != stamp or q.device.flying or
                p.flushing or q.flushing):
            return
        if any(p.read(b) != q.read(b) for b in blocks_of(r) if b < min(p.size, q.size)):
            raise Fail(f'EQUAL STAMPS {stamp} of region {r}, {p}={p.content()} {q}={q.content()}')

    # ---- sending

    def more(self):
        return self.cursor < primary.end_of(self.p)

    def next_lsn(self):
        return self.p.backlog[self.cursor - self.p.first][1] if self.more() else DOUBT

    def _passed(self):
        return not self.rule('donelsn') or self.next_lsn() > self.copied_at

    def _can_stream(self):
        can = self.settled or not self.rule('alldirty')
        return can and (self.lost_flush or self.more()) and not detach.stuck(self)

    def _to_begin(self):
        return self.settled and not detach.stuck(self) and sorted(self.dirty.difference(self.asked))

    def _answered(self):
        if detach.stuck(self):
            return []
        return [r for r, hashes in self.asked.items() if hashes is not None]

    def _can_finish(self):
        return (self.settled and not self.dirty and not self.asked and self.done_id is None and
                not (self.insync or self.joining or self.caught) and self._passed())

    def _due(self):
        return (not self.live() or self.map_due or self._can_stream() or
                self.asked and self._answered() or self.dirty and self._to_begin() or
                self._can_finish() or self.question and verify.due(self) or
                self.read and repair.due(self) or self.pulls and detach.due(self))

    def sender(self):
        rng = self.sim.rng
        while True:
            yield from until(self._due)
            if not self.live():
                return
            if 'readahead' in self.sim.has:
                ahead.begin(self)
            stream = self._can_stream()
            copies = self._to_begin() or self._answered()
            if self.map_due:
                self.map_due = False
                self.down.append(('MAP',))
            elif repair.due(self):
                repair.ask(self)
            elif detach.due(self):
                detach.ask(self)
            elif verify.due(self):
                verify.ask(self)
            elif self._can_finish() and not (stream and rng.random() < .5):
                self.attempt += 1
                self.done_id, self.gap_sent = self.attempt, False
                self.down.append(('DONE', self.attempt))
            elif stream and not (copies and rng.random() < .5):
                self._stream()
            elif copies:
                yield from self._resync(rng.choice(copies))
            yield None

    def _gap(self):
        if not self.gap_sent:
            self.gap_sent = True
            self.down.append(('GAP',))

    def _stream(self):
        """One entry; what falls into dirty regions is left out."""
        if self.dirty and self.rule('gapmark'):
            self._gap()
        if self.lost_flush and self.rule('barskip'):
            self.down.append(('F', self.lost_flush))
            self.lost_flush = None
            return
        self.lost_flush = None
        if not self.more():
            return
        entry = self.p.backlog[self.cursor - self.p.first]
        self.cursor += 1
        if entry[0] == 'W':
            self._stream_write(*entry[1:])
        elif entry[0] == 'D' and entry[2] in self.dirty:
            self._drop_streamed(entry[2])
            self.down.append(('N', entry[1]))
        else:
            self.down.append(entry)

    def _stream_write(self, lsn, blocks):
        if self.rule('span'):
            kept = {b: v for b, v in blocks.items() if region(b) not in self.dirty}
        else:
            kept = blocks if region(min(blocks)) not in self.dirty else {}
        for b in blocks:
            if b not in kept:
                self._drop_streamed(region(b))
        self.down.append(('W', lsn, kept) if kept else ('N', lsn))

    def _drop_streamed(self, r):
        self.drop(r)
        if self.rule('gapmark'):
            self._gap()

    # ---- region copies

    def _resync(self, r):
        """Begin with a dirty region, or end the comparison of one."""
        self._gap()
        if r in self.asked:
            yield from self._copy(r, self.asked.pop(r))
        elif r in self.compare:
            self.asked[r] = None
            if not self.rule('hashdirty'):
                self.dirty.discard(r)
            self.down.append(('ASK', r))
        else:
            yield from self._copy(r, None)

    def _copy(self, r, hashes):
        """Read the region and its stamp under one lock, send what differs."""
        p = self.p
        if self.rule('waitclean'):
            yield from p.lock(r)
        stamp = p.map.stamp[r] if p.map.touched[r] else NEVER
        yield None
        data = yield from ahead.take(self, r, stamp)
        data = yield from detach.fetch(p, r, data)
        if data is None:
            p.unlock(r)
            return
        if p.map.stamp[r] == stamp or not self.rule('waitclean'):
            self._clean(r)
            self.copied_at = max(self.copied_at, p.lsn)
        p.unlock(r)
        if not self.live():
            return
        if stamp == NEVER:
            self.down.append(('FORGET', r))
        else:
            self._send_copy(r, stamp, data, hashes)
        self.sim.trace(f'region {r} stamp {stamp} data {data} -> {self.q}')

    def _send_copy(self, r, stamp, data, hashes):
        pieces = [{b: v} for b, v in zip(blocks_of(r), data) if b < self.p.size]
        if hashes is not None:
            pieces = [piece for i, piece in enumerate(pieces) if hashes[i] != data[i]]
            pieces = [{}] + pieces + [{}]
        for i, piece in enumerate(pieces):
            self.down.append(('COPY', r, piece, stamp, i == 0, i == len(pieces) - 1,
                              self.p.size))
