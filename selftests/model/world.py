# SPDX-License-Identifier: GPL-2.0-or-later
"""The world the rules are tried in: how small it is, what may happen in it, and
the rules by name."""

R, B, GROUP = 4, 2, 2               # regions, blocks a region, regions a map block
NB, NG = R * B, R // GROUP
NEVER, DOUBT = (0, 0), (1 << 30, 0) # stamps that are no LSN; an LSN is (term, seq)

RULES = {
    # stamps
    'span': 'a write is split at region boundaries for the dirty decision',
    'zeroserial': 'no other write enters a region until its first-touch zeroing is done',
    'touched': 'zero whole region, flush, durable touched mark, then the first write',
    'zeropersist': 'a stamp set back to 0 is durable in the map when applied',
    'forgetfail': 'a region that could not be set back on disk is in doubt, marked again before it is written, its group as active as it was',
    # the pen
    'penfirst': 'the active bit is on stable storage before the first write into its group',
    'penerror': 'a write whose bit could not be written is not done',
    'cleanrace': 'exact stamps are written only if nothing wrote since the flush began; writers wait',
    'mapcopy': 'a map write shows the stamps as they were when the flush began, never a newer one without its bit',
    'doubtkeeps': 'a region in doubt keeps its active bit',
    'doubtfirst': 'a doubt is on disk before any exact stamp is',
    'twoslots': 'a map block is written beside the current one, never over it',
    'lostdoubt': 'regions of a lost map block are in doubt and count as touched',
    'lostnewer': 'a map block is lost with one slot: that may have been the newer one',
    'headdoubt': 'a newer slot with a head alone counts: what it marks as touched is in doubt',
    'lostblock': 'a copy that has lost a map block is inconsistent until a resync is done',
    'writefail': 'a failed local write restamps its region and dirties it on every link',
    'applyfail': 'a write that fails on a replica puts its region in doubt and ends the link',
    'flushdoubt': 'a failed flush restamps (primary) or puts in doubt (replica) what its cache held',
    'flushrace': 'a flush counts when those under way beside it are known not to have failed',
    'flushreport': 'a failed flush that no writer waited for fails the next that one waits for',
    'walkfresh': 'each hold of the walk after a failed flush stamps with an LSN of its own',
    # links and resync
    'alldirty': 'a link starts with every region dirty; compare comes before streaming',
    'gapmark': 'replica is marked inconsistent, durably, before the first frame after a drop',
    'drain': 'a replica ends the old session (all arrived frames applied) before it sends stamps',
    'followflush': 'a replica flushes what it has before it follows',
    'waitclean': 'a region copy of stamp s read while writes in flight waits (range lock)',
    'aheadstamp': 'or has been read ahead, when the region had the same stamp',
    'aheadquiet': 'and no write was under way there',
    'skipold': 'a frame not newer than its region\'s stamp is not applied',
    'partdoubt': 'a region whose copy has begun is in doubt until it is whole',
    'hashdirty': 'a region compared by checksum stays dirty until it is copied',
    'donelsn': 'resync is done only when the stream has passed the newest region read',
    'doneflush': 'replica flushes before it clears the inconsistent mark',
    'barskip': 'the barrier of a dropped or skipped frame still holds',
    'replayreign': 'replay only within one reign, by its id',
    'replayfloor': 'a stamp without an entry raises the floor of the backlog',
    'position': 'a hole, a doubt and a session withdraw the position; it is back when resync is done',
    'posmoves': 'a position moves with what is applied or is withdrawn',
    # in sync
    'isrjoin': 'a joiner is waited for first, in sync only once durable up to that point',
    'memberleave': 'no completion after a leaving before the set without it is durable',
    'memorymember': 'a copy that is only waited for to have received is no member of the set',
    'isrwait': 'the set is kept while too few copies are left, and nothing is acknowledged meanwhile',
    'managedhold': 'managed: nothing is acknowledged while one in the set is not there',
    'managedin': 'managed: one goes into the set when it has caught up, not before',
    # reigns
    'startflush': 'a reign starts with a flush; its first frame is a barrier',
    'histadopt': 'stamps of reigns the primary does not know go in doubt before its history is adopted',
    'histshare': 'a reign is shared when not newer than the newest that both histories hold',
    'splitbrain': 'one term under two reign ids, or own writes past the branch: follows only when told to',
    'inherit': 'a copy with a region in doubt inherits nothing',
    'layexact': 'a reign is laid down when its stamps are exact on disk; in doubt is not laid down',
    'laylast': 'a reign laid down records its last LSN: a discard leaves no stamp',
    'memberchain': 'only a member whose reigns alone follow proves that nothing acknowledged is lost',
    # views and snapshots
    'viewstamp': 'view keeps the stamp saved with the content (rule 6)',
    'snaphist': 'snapshot carries the history; restore adopts it',
    'resdoubt': 'a snapshot of a region in doubt carries no stamp',
    'restorder': 'restore: incomplete mark, data, flush, map, mark off',
    'restoreid': 'a restored copy is another copy: no member of any set',
    # growing
    'growzero': 'the tail of the old last region is zeroed before the new size shows',
    'growflush': 'and flushed',
    'growpen': 'no first touch between that and the new size',
    'growfirst': 'replicas grow first: no link to a copy that is smaller',
    'growtail': 'what lies beyond a smaller primary\'s end is made zero or never written',
    # verification
    'verifylock': 'a region is hashed on the primary with no write in flight',
    'verifyorder': 'the question goes out at its place in the stream',
    'verifydirty': 'a question whose region has been dirty since it was hashed is dropped',
    'verifyrange': 'a replica answers after what arrived before, before what comes later',
    # read repair
    'readplace': 'the read goes out at its place in the stream',
    'readbehind': 'a read that is not out when its link falls behind does not go out',
    'readrange': 'a replica reads after what arrived before, before what comes later',
    'readdoubt': 'a replica does not answer from a region in doubt',
    'readsure': 'and after a flush of what it has read',
    'repairlock': 'what came is written back with no write under way there',
    'repairsame': 'and only if the region has the stamp that it had at the place',
    # a primary's disk that fails
    'detenough': 'a disk is detached only if enough replicas are in sync',
    'detack': 'before that completions wait until all of them have it',
    'detcount': 'and this copy does not count any more',
    'detwait': 'what has an LSN then is durable on them before the mark',
    'detjoin': 'one that is joining has it durable before it is in sync',
    'detmark': 'this copy is marked inconsistent before anything completes without its disk',
    'detmembers': 'the mark takes the set on disk with it, which cannot follow what comes',
    'detmap': 'nothing of the map is written while detached',
    'dethold': 'what was held is not restamped, nor dirty anywhere',
    'detread': 'reads are answered by a replica in sync',
    'detcopy': 'a region copy then comes from a replica in sync',
    'detgap': 'no hole is made in a replica while there is nobody to fill it from',
    'detsure': 'a region copy counts when who it was read from has flushed since',
    'detrestart': 'a detached copy follows nobody until it has been restarted',
}

# What a seed may have or not have, and how probable it is then.
FEATURES = {
    'span': .3,         # a write crosses into the next block
    'discard': .25,     # a write of zeros, of a whole region now and then
    'wfail': .05,       # the primary's disk fails a write
    'applyfail': .05,   # a replica's does
    'flushfail': .12,   # a flush fails and the cache is dropped
    'metafail': .08,    # a map block cannot be written
    'damage': .3,       # a map block rots while its copy is down
    'down': 1,          # copies go down and come up in order
    'views': 1,         # views, snapshots, restores
    'grow': 1,          # volumes begin small and grow
    'verify': 1,        # copies are compared while writes go on; bits rot
    'short': 1,         # histories hold two reigns
    'cuts': 1,          # links break and are made often
    'crashes': 1,       # copies lose power often
    'cleaning': 1,      # groups are cleaned often
    'handover': 1,      # reigns begin and end often
    'quiet': 1,         # there are few writes
}

MODES = (
    'memory',           # a write is acknowledged once it is received
    'slow',             # a replica's flush takes long
    'blackout',         # all copies lose power at once
    'minisr',           # two copies at least have to be in sync
    'badreads',         # the primary's disk fails reads
    'detach',           # the primary's disk fails; it goes on without
    'managed',          # user space alone changes the in-sync set
    'readahead',        # a resync reads regions before their turn
)


class Fail(Exception):
    pass


def region(block):
    return block // B


def group(r):
    return r // GROUP


def regions_of(blocks):
    return sorted({region(b) for b in blocks})


def blocks_of(r):
    return range(r * B, r * B + B)


def until(condition):
    """Wait: a process that yields a condition runs on when it holds."""
    while not condition():
        yield condition
