# SPDX-License-Identifier: GPL-2.0-or-later
"""Reading ahead for a resync: a region is read before its turn, while writes go on
(kmod/ahead.c)."""

from world import blocks_of, until


class Ahead:
    """One region; @stamp as it was before the read began."""

    def __init__(self, stamp, size):
        self.stamp, self.size, self.data = stamp, size, None


def _good(p):
    return not p.detached and not p.failing


def begin(link):
    """Read one of the regions that are dirty, if it may be."""
    p = link.p
    regions = sorted(link.dirty - link.compare - set(link.ahead))
    if not regions:
        return
    r = link.sim.rng.choice(regions)
    if p.map.touched[r] and _good(p) and not (link.rule('aheadquiet') and p.writing(r)):
        link.ahead[r] = Ahead(p.map.stamp[r], p.size)
        p.spawn(_read(p, r, link.ahead[r]))


def _read(p, r, ahead):
    data = []
    for b in blocks_of(r):
        yield None
        data.append(p.read(b))
    ahead.data = data


def take(link, r, stamp):
    """What was read of a region whose turn has come, if that is its content still."""
    ahead, p = link.ahead.pop(r, None), link.p
    if (not ahead or not _good(p) or ahead.size != p.size or
            ahead.stamp != stamp and link.rule('aheadstamp')):
        return None
    yield from until(lambda: ahead.data is not None)
    link.sim.trace(f'region {r} stamp {stamp} was read ahead')
    return ahead.data
