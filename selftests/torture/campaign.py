#!/usr/bin/python3 -BEs
# SPDX-License-Identifier: GPL-2.0-or-later
"""The fault campaign: campaign.py LAB SEED ROUNDS [KIND...].

Two guests keep copies of several volumes on disks that lose what is not flushed.
Writers work on the primary; then the power goes, in the primary, in the replica or
in both, and comes back; and, with --faults, other things go wrong beside that
(faults.py). After each cut, from what lies on the disks and from the writers' logs,
which are kept here:

 1. What was acknowledged and flushed is on the primary's disk. With ack=disk it is
    on the disk of every copy that the primary's superblock calls in sync, and there
    is on a copy that kept its power all that was acknowledged at all.
 2. No sector is torn, foreign, or older than that; no copy that is not marked
    inconsistent has what came after a flush without what came before it.
 3. Regions that two maps call the same are the same.
 4. Recovered, both copies are equal, and hold what the new primary's did at the cut
    and what was written since.
 5. What was sent to make them equal is bounded by what differed, not by the device.
 6. ext4 and xfs are clean, and what was fsynced is there.

None of this is asked less strictly beside faults, but 5: where a link may have parted
in a resync, some is sent twice. A replica whose copy says that it is inconsistent, for
the fault has hit a resync, does not take over.

A round is one volume going through one cut; those that only hold a filesystem do
not count. Sequence of writes, cuts, victims, lots of the disks and faults are functions
of SEED; how far the writers come before a cut is not.

The kinds of cuts:
    quiet       the replica; then nobody writes until it is back
    busy        the replica; the writers go on
    primary     the primary, which becomes primary again
    failover    the primary; the replica takes over, and the old primary follows it
    both        both at once; either becomes primary
    thrice      the replica, and twice more in the resync that follows
    deserted    the replica, and in the resync that follows the primary
    first       the same in the very first connection
    steady      none: faults alone
    dead        none, but a disk of the primary fails and is given up; the volume lives on
                by the replica, which then takes over in good order. Only if it is asked
                for: where a link has just parted, there is nobody to hand over to, which
                this round takes for a failure
"""

import argparse
import os
import random
import sys
import time

from cluster import Cluster
from cuts import Cut, read_copy, read_super
from faults import KINDS as FAULTS, Faults
from guests import Lab, LabError
from history import DONE, Violation
from sequence import Pattern
from trigger import Trigger
from volumes import Blocks, Files

WRONG_BITS = rb"bad (?:header|data) checksum|not a frame"
KINDS = ["quiet", "busy", "primary", "failover", "both", "thrice", "deserted"]


def make_volumes():
    volumes = [
        # Several groups, one after the other: pen and cleaning are at work.
        Blocks(Pattern(6, 1024, 90, 6, 60), "disk", "disk", 62),
        # A hot spot in large regions, and a backlog that a replica falls off.
        Blocks(Pattern(1, 8192, 1, 4, 60), "local", "local", 24, region="256K",
               backlog="1M"),
        # The metadata on a disk with a cache of its own.
        Blocks(Pattern(5, 512, 25, 10, 40), "meta", "disk", 40, meta_mib=4),
        Files("ext4", "disk", 24),
        # It does not survive that one of its blocks is torn, on any disk.
        Files("xfs", "local", 32, grain=4096),
    ]
    first = 0
    for volume in volumes:
        volume.place(first)
        first += len(volume.disks)
    return volumes


class Campaign:
    def __init__(self, folder, seed, rounds, kinds, minutes, fault_kinds):
        self.lab = Lab(folder)
        self.seed, self.rounds, self.kinds = seed, rounds, kinds
        self.minutes = minutes
        self.lots = random.Random(seed)
        self.volumes = make_volumes()
        self.blocks = [v for v in self.volumes if isinstance(v, Blocks)]
        self.files = [v for v in self.volumes if isinstance(v, Files)]
        self.cluster = Cluster(self.lab, self.volumes, self.lots)
        self.faults = Faults(self.cluster, seed, fault_kinds)
        self.faults.choose_plain(self.volumes, self.blocks)
        self.session = 0
        self.triggers = []
        self.points = self.judged = self.cuts = self.operations = 0
        self.complaints = None
        self.started = time.monotonic()
        self.hits = {"in a resync": 0, "in a map write": 0}

    # ---- what is told ----

    def say(self, text):
        seconds = time.monotonic() - self.started
        print(f"# {seconds:.0f} s: " + text.replace("\n", "\n# "), flush=True)

    def passed(self, text):
        self.points += 1
        print(f"ok {self.points} {text}", flush=True)

    # ---- sessions ----

    def begin(self, victim, calm=False):
        """Writers, until the moment has come for @victim to lose its power. @calm:
        no faults begin."""
        self.session += 1
        more = 0 if calm else self.faults.draw()
        if not self.triggers:
            self.triggers = self.lots.sample(Trigger.KINDS, len(Trigger.KINDS))
        what = self.triggers.pop()
        # A map write is short and seldom: on a busy host some are missed.
        if self.session > 3 and not self.hits["in a map write"]:
            what = "map"
        trigger = Trigger(what, self.lots, self.blocks, more)
        self.say(f"session {self.session} on {self.cluster.primary}: until {trigger}"
                 f"{self.faults}")

        def watch(volume, what, operation):
            trigger.watch(volume, what, operation)
            self.faults.progress.watch(what)

        for v in self.volumes:
            v.start(self.lab, self.cluster.primary, self.session, watch)
        if not calm:
            self.faults.begin()
        trigger.wait(self.lab, victim)

    def stop(self):
        for v in self.volumes:
            v.tell_to_end()
        for v in self.volumes:
            v.stop()

    def cut(self, kind, *victims):
        """They get power again at once: booted() waits until they are up."""
        self.say(f"{kind}: power cut in {' and '.join(victims)}")
        cut = Cut(self.cluster, victims)
        self.cuts += 1
        self.cluster.lost(victims)
        self.faults.cut(victims)
        self.boot = self.cluster.power_on(victims)
        return cut

    def judge(self, kind, cut, guests, keep=None):
        """@keep: the volumes go on with what this guest's copies hold."""
        found = {(v, guest): cut.judge(v, guest)
                 for v in self.volumes for guest in guests}
        for v in self.volumes:
            if len(guests) > 1:
                cut.judge_maps(v)
            if found.get((v, keep)) is not None:
                self.operations += cut.marks[v].done
                v.settle(found[v, keep])
        self.count_hits(cut)
        for v in self.blocks:
            self.judged += 1
            self.passed(f"{kind} {v.name}: {self.progress(v, cut)}")

    def booted(self):
        self.boot.done()

    def progress(self, volume, cut):
        marks = cut.marks.get(volume)
        return (f"{marks.done} operations done, {marks.flushed} flushed" if marks
                else "nothing was being written")

    def count_hits(self, cut):
        self.hits["in a resync"] += any(copy.super.inconsistent
                                        for copy, _ in cut.taken.values())
        self.hits["in a map write"] += cut.in_map_write

    # ---- back to a quiet moment ----

    def settle(self, kind, cut, expected=None):
        """Both copies are equal and hold what they must. @expected: volume ->
        content, where nobody has written since the cut."""
        self.faults.end_all()
        self.stop()
        self.cluster.wait_in_sync()
        links = self.cluster.links()
        for v in self.volumes:
            content = self.equal_content(v)
            if isinstance(v, Files):
                v.fsck(content, self.lab.folder)
                continue
            if expected and content != expected[v]:
                raise Violation(f"{v.name}: is not what {self.cluster.primary}'s"
                                " disk held after the cut")
            self.judge_traffic(kind, v, cut, content, links[v.name])
            if v.session:
                self.operations += v.session.marks().done
                v.settle(v.judge(content, DONE))
        self.cluster.check_flippers()
        self.passed(f"{kind}: the copies are equal, with all that was written")

    def equal_content(self, volume):
        _, one = read_copy(self.lab, volume, self.cluster.primary)
        copy, other = read_copy(self.lab, volume, self.cluster.replica)
        if one != other:
            size = copy.region_bytes
            regions = [r for r in range(len(copy.regions))
                       if one[r * size:(r + 1) * size] != other[r * size:(r + 1) * size]]
            raise Violation(f"{volume.name}: the copies differ in regions"
                            f" {regions[:8]} ({len(regions)} of {len(copy.regions)})")
        return one

    def judge_traffic(self, kind, volume, cut, content, link):
        if not cut or self.faults.parted:
            return
        copy, _ = cut.copy(volume, self.cluster.replica)
        written = volume.written_regions(copy.region_bytes)
        busy = kind in ("busy", "failover")
        bound = cut.bound(volume, self.cluster.replica, content, written, busy)
        sent = link["resync_bytes"]
        self.say(f"{kind}: {volume.name}: {sent >> 10} KiB of regions were sent, at"
                 f" most {bound >> 10} had to be, of {copy.bytes >> 10}")
        # One that falls off its backlog again gets what it missed again.
        if sent > bound and not (busy and volume.name == "local"):
            raise Violation(f"{volume.name}: {sent} bytes of regions were sent,"
                            f" {bound} differed")

    def keep_files(self, cut):
        """What was safe has to be there when the new primary mounts what it has."""
        for v in self.files:
            v.crashed(self.cluster.primary == cut.primary or cut.member[v])

    # ---- the kinds of cuts ----

    def cut_replica(self, kind):
        replica = self.cluster.replica
        cut = self.cut(kind, replica)
        self.judge(kind, cut, [replica])
        return cut

    def return_replica(self):
        self.booted()
        self.cluster.up(self.cluster.replica)

    def cut_primary(self, kind):
        """It becomes primary again."""
        self.return_primary(kind, self.cut(kind, self.cluster.primary))

    def return_primary(self, kind, cut):
        primary, replica = self.cluster.primary, self.cluster.replica
        self.booted()
        self.cluster.wait_parted(replica)
        self.judge(kind, cut, [primary, replica], keep=primary)
        self.cluster.up(primary)
        self.cluster.promote()
        self.keep_files(cut)
        self.settle(kind, cut, self.contents(cut, primary))

    def contents(self, cut, guest):
        return {v: cut.copy(v, guest)[1] for v in self.blocks}

    def wait_resync(self):
        if self.cluster.wait_resync():
            time.sleep(self.lots.uniform(0, 0.5))
        else:
            self.say("the resync was over before it was seen")

    def quiet(self):
        self.begin(self.cluster.replica)
        cut = self.cut_replica("quiet")
        self.stop()
        self.return_replica()
        self.settle("quiet", cut)

    def busy(self):
        self.begin(self.cluster.replica)
        cut = self.cut_replica("busy")
        self.return_replica()
        self.faults.end_all()
        self.cluster.wait_caught_up()
        self.settle("busy", cut)

    def thrice(self):
        self.begin(self.cluster.replica)
        for _ in range(2):
            self.cut_replica("thrice")
            self.return_replica()
            self.wait_resync()
        self.cut_replica("thrice")
        self.return_replica()
        self.settle("thrice", None)

    def primary(self):
        self.begin(self.cluster.primary)
        self.cut_primary("primary")

    def deserted(self, kind="deserted"):
        self.begin(self.cluster.replica)
        self.cut_replica(kind)
        self.return_replica()
        self.wait_resync()
        self.cut_primary(kind)

    def first(self):
        """Both are cut off in the first connection, one after the other."""
        self.begin(self.cluster.primary, calm=True)
        self.cluster.connect()
        self.wait_resync()
        self.cut_replica("first")
        self.return_replica()
        self.wait_resync()
        self.cut_primary("first")

    def failover(self):
        self.begin(self.cluster.primary)
        old, new = self.cluster.primary, self.cluster.replica
        cut = self.cut("failover", old)
        if not self.can_take_over(cut):
            self.return_primary("primary", cut)
            return
        self.cluster.swap()
        self.cluster.promote()
        self.judge("failover", cut, [old, new], keep=new)
        self.keep_files(cut)
        self.begin(new, calm=True)
        self.rejoin(cut)
        self.settle("failover", cut)

    def can_take_over(self, cut):
        """It may have been under resync when the primary went: beside faults, or where
        the backlog is small."""
        if (self.faults.kinds or self.behind(cut)) and cut.replica not in cut.victims:
            self.cluster.wait_parted(cut.replica)
        behind = self.behind(cut)
        if not self.faults.kinds and set(behind) - {"local"}:
            raise LabError(f"inconsistent without a reason: {' '.join(behind)}")
        if behind:
            self.say(f"{cut.replica} cannot take over: inconsistent: {' '.join(behind)}")
        return not behind

    def behind(self, cut):
        """Names of volumes of which the replica's copy is not usable."""
        return [v.name for v in self.volumes
                if read_super(self.lab, v, cut.replica).inconsistent]

    def rejoin(self, cut):
        """The old primary follows the new one: by itself where what it alone has
        was acknowledged to nobody, else when it is told to."""
        self.return_replica()
        self.discard(cut)

    def discard(self, cut):
        self.cluster.each(self.cluster.replica, "blkcast replica {} --discard-mine",
                          [v for v in self.volumes if not cut.member[v]])

    def both(self):
        guests = [self.cluster.primary, self.cluster.replica]
        keep = self.lots.choice(guests)
        self.begin(keep)
        cut = self.cut("both", *guests)
        if keep == cut.replica and not self.can_take_over(cut):
            keep = cut.primary
        self.judge("both", cut, guests, keep=keep)
        self.booted()
        for guest in guests:
            self.cluster.up(guest)
        if keep != self.cluster.primary:
            self.cluster.swap()
            self.discard(cut)
        self.cluster.promote()
        self.keep_files(cut)
        self.settle("both", cut, self.contents(cut, keep))

    def steady(self):
        self.begin(self.cluster.replica)
        self.settle("steady", None)

    def dead(self):
        old, volume = self.cluster.primary, self.faults.lots.choice(self.volumes)
        self.cluster.each(old, "blkcast set {} --on-io-error detach")
        self.begin(old, calm=True)
        self.say(f"dead: the disk of {volume.name} in {old} fails")
        self.faults.counts["dead"] += 1
        self.cluster.fail(volume, old)
        self.cluster.wait_detached(volume)
        time.sleep(self.faults.lots.uniform(0, 4))
        self.stop()
        self.cluster.hand_over()
        self.cluster.heal(volume, old)
        self.cluster.each(old, "blkcast down {0}; blkcast up {0}", [volume])
        if volume.ack != "disk":
            # Nobody could write on that disk that the replica was in sync.
            self.cluster.each(old, "blkcast replica {} --discard-mine", [volume])
        self.cluster.each(old, "blkcast set {} --on-io-error pass")
        self.settle("dead", None)

    # ---- the whole ----

    def plan(self):
        """What comes after the first connection, of which the cuts count too."""
        cuts = {"thrice": 3, "deserted": 2}
        wanted = -(-self.rounds // len(self.blocks)) - 2
        until = self.started + 60 * self.minutes
        while True:
            kinds = list(self.kinds)
            self.lots.shuffle(kinds)
            for kind in kinds:
                if time.monotonic() > until if self.minutes else wanted <= 0:
                    return
                wanted -= cuts.get(kind, 1)
                yield kind

    def run(self):
        self.cluster.build()
        for number, v in enumerate(self.blocks):
            v.prepare(self.seed, number)
        for v in self.files:
            v.make(self.lab, self.cluster.primary)
        self.first()
        for kind in self.plan():
            getattr(self, kind)()
        # Whatever the last cut has left is mounted once more.
        self.begin(self.cluster.primary, calm=True)
        self.settle("end", None)
        self.say(", ".join(f"{n} cuts {what}" for what, n in self.hits.items()))
        enough = 100 if self.faults.kinds else 30
        if self.kinds[:len(KINDS)] == KINDS and self.judged >= enough and not all(
                self.hits.values()):
            raise LabError("no cut has hit what is done seldom: that proves little")
        self.noticed()

    def noticed(self):
        """Bits that were turned over were seen to be wrong by the kernels."""
        self.complaints = self.lab.complaints(WRONG_BITS)
        if self.cluster.flipped_bits() > 30 and not self.complaints:
            raise LabError("no kernel has complained of a wrong bit")

    def show_hosts(self):
        """What those that still run say, after a failure."""
        for guest in ("g1", "g2"):
            try:
                self.say(f"{guest}:\n" + self.lab.execute(
                    guest, "blkcast status; tail -n 30 /run/blkcastd.log", 30))
            except LabError as error:
                self.say(f"{guest}: {error}")

    def summary(self):
        """Of a run in which nothing was found."""
        seconds = time.monotonic() - self.started
        counts = ", ".join(f"{kind} {n}" for kind, n in sorted(self.faults.counts.items()))
        bits = (f"{self.cluster.flipped_bits()} bits flipped, {self.complaints} complaints"
                " of the kernels; " if self.complaints is not None else "")
        return (f"{seconds:.0f} s, kernel {os.environ.get('KVER')}, SEED={self.seed}:"
                f" {self.judged} rounds, {self.cuts} power cuts, {self.session} sessions;"
                f" faults: {counts or 'none'}; {bits}{self.operations} operations judged;"
                " losses: 0")


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=int, default=0)
    parser.add_argument("--faults", default="none", help="kinds, or all, or none")
    parser.add_argument("folder")
    parser.add_argument("seed", type=int)
    parser.add_argument("rounds", type=int)
    parser.add_argument("kinds", nargs="*")
    given = parser.parse_args()
    if given.faults in ("all", "none"):
        given.faults = " ".join(FAULTS) if given.faults == "all" else ""
    given.faults = given.faults.split()
    if not set(given.faults) <= set(FAULTS):
        parser.error(f"faults are {' '.join(FAULTS)}")
    given.kinds = given.kinds or KINDS + ["steady"] * bool(given.faults)
    return given


def main():
    given = arguments()
    seed, rounds = given.seed, given.rounds
    campaign = Campaign(given.folder, seed, rounds, given.kinds, given.minutes,
                        given.faults)
    print("KTAP version 1")
    status = 0
    try:
        campaign.run()
    except (Violation, LabError) as error:
        before = None if error.__suppress_context__ else error.__context__
        campaign.say(f"{error}" + (f"\nafter: {before}" if before else ""))
        campaign.show_hosts()
        print(f"not ok {campaign.points + 1} SEED={seed} ROUNDS={rounds}"
              f" FAULTS='{' '.join(given.faults)}'")
        status = 1
    else:
        campaign.say(campaign.summary())
    print(f"1..{campaign.points + status}")
    print(f"# Totals: pass:{campaign.points} fail:{status}")
    return status


if __name__ == "__main__":
    sys.exit(main())
