# SPDX-License-Identifier: GPL-2.0-or-later
"""A disk with a volatile write cache."""


class Device:
    """Blocks hold a value each.  What is written stays in the cache until a flush;
    a loss of power keeps any prefix of each block's cached writes."""

    def __init__(self, rng, content):
        self.rng = rng
        self.disk = content                     # on stable storage
        self.cache = [[] for _ in content]      # (number, value), oldest first
        self.number = 0
        self.flying = []                        # submitted, not landed
        self.rotten = set()                     # changed on the disk by themselves
        self.broken = False                     # every other operation fails

    def read(self, block):
        return self.cache[block][-1][1] if self.cache[block] else self.disk[block]

    def fails(self):
        return self.broken and self.rng.random() < .5

    def quiet(self):
        return not self.flying

    def _land(self, block, value):
        self.number += 1
        self.cache[block].append((self.number, value))

    def write(self, values, fails=False):
        """Blocks land one by one; a write that fails leaves some of them out."""
        for item in values.items():
            if fails and self.rng.random() < .7:
                continue
            self.flying.append(item)
            yield None
            self.flying.remove(item)
            self._land(*item)

    def flush(self, fails=False):
        """Return success.  A failed flush has lost what it had not written yet."""
        top = self.number
        yield None
        if fails:
            self._drop()
            yield None
            return False
        for block, cached in enumerate(self.cache):
            while cached and cached[0][0] <= top:
                self._keep(block, cached.pop(0)[1])
        yield None
        return True

    def _keep(self, block, value):
        self.disk[block] = value
        self.rotten.discard(block)

    def rot(self, block, value):
        self.disk[block] = value
        self.rotten.add(block)

    def _drop(self):
        for block, cached in enumerate(self.cache):
            kept = self.rng.randrange(len(cached) + 1)
            if kept:
                self._keep(block, cached[kept - 1][1])
            self.cache[block] = []

    def power_cut(self):
        for item in self.flying:
            if self.rng.random() < .5:
                self._land(*item)
        self.flying = []
        self._drop()
