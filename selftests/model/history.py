# SPDX-License-Identifier: GPL-2.0-or-later
"""Reigns as superblocks record them, and who may follow whom (rules 1, 20, 22)."""

from collections import namedtuple

from world import DOUBT, NEVER

# same: begun by the copy that began the one before it
Record = namedtuple('Record', 'term rid inherited same')
# what a primary says of itself when it connects
Offer = namedtuple('Offer', 'id term history')


def begin(history, record, limit):
    """The history with a reign more; when it is full the oldest fall out."""
    return (history + (record,))[-limit:]


def rid_of(history, term):
    return next((h.rid for h in history if h.term == term), None)


def newest_common(a, b):
    """The newest term that both know under one id; 0: none."""
    return max((h.term for h in a if rid_of(b, h.term) == h.rid), default=0)


def shares(rules, a, b, stamp):
    """Do copies of these two histories mean the same write by this stamp?"""
    if stamp in (NEVER, DOUBT):
        return True
    if 'histshare' in rules:
        return stamp[0] <= newest_common(a, b)
    return rid_of(a, stamp[0]) == rid_of(b, stamp[0])


def _inherited(a, b):
    """What the newest reigns of @a that @b does not know have inherited."""
    lsn = DOUBT
    for h in reversed(a):
        if rid_of(b, h.term) == h.rid:
            break
        lsn = h.inherited
    return lsn


def branch(a, b):
    """The newest LSN that the two may share."""
    return min(_inherited(a, b), _inherited(b, a))


def _made_by(rules, history, own, member):
    """Is @history what a member of the reign @own made of it, and nobody else?"""
    after = [h for h in history if h.term > own.term]
    if own not in history or not member:
        return False
    return 'memberchain' not in rules or all(h.same for h in after[1:])


def refusal(rules, offer, copy):
    """Why a copy does not follow that primary by itself, or None."""
    ours, theirs = copy.sup.history, offer.history
    if copy.sup.discard:
        return None
    if offer.term < copy.sup.term:
        return 'stale primary'
    if 'splitbrain' not in rules:
        return None
    for h in ours:
        if rid_of(theirs, h.term) not in (None, h.rid):
            return f'term {h.term} under two reign ids'
    if copy.sup.own and ours:
        clean = not copy.sup.primary
        if 'layexact' in rules:
            clean = clean and not copy.map.in_doubt()
        past = not clean or copy.lsn > branch(theirs, ours)
        if past and not _made_by(rules, theirs, ours[-1], offer.id in copy.sup.members):
            return 'split brain'
    return None
