# SPDX-License-Identifier: GPL-2.0-or-later
"""Growing a volume online (rule 27): the region size stays, the last region may
have been short."""

from world import B, blocks_of, region


def may(node, size):
    """Replicas grow first."""
    if node.role not in (None, 'primary') or node.restoring or node.growing or node.detached:
        return False
    return 'growfirst' not in node.sim.rules or all(link.q.size >= size for link in node.links)


def grow(node, size):
    amap, pen = node.map, node.rule('growpen')
    if node.size >= size or not may(node, size):
        return
    node.growing = size
    if pen:
        yield from amap.take_pen()
    if (yield from _tail(node)):
        yield from node.write_super(size=size)
        node.sim.trace(f'{node} has {size} blocks')
    if pen:
        amap.drop_pen()
    node.growing = 0


def _tail(node):
    """Zero what lies behind the end in the last region.  Return success."""
    end, losses = node.size, node.losses
    if end % B == 0 or not node.rule('growzero'):
        return True
    yield from node.device.write({b: 0 for b in blocks_of(region(end)) if b >= end})
    if not node.rule('growflush'):
        return True
    return (yield from node.flush(losses))
