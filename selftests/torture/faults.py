# SPDX-License-Identifier: GPL-2.0-or-later
"""What goes wrong beside the writers, and beside power cuts.

    flap        the way between the hosts is cut, heals, is cut again
    oneway      nothing passes from one of them to the other
    netem       delay, loss, reordering, duplicates and damage that TCP has to mend
    bits        bits are turned over between two connections, on links without TLS
    kill        a daemon is killed, and started again
    clock       a host's clock jumps by hours
    memory      a host has next to no memory left
    stall       a disk answers nothing for some seconds
    fail        a disk of the replica fails what is written and flushed
    view        a view of a volume, with a store much too small for it
    unload      the module shall go while volumes are up, and does not
    reload      the replica: its volumes down, the module out, in, and all up again

A fault strikes, lasts, heals, and again, until it is told to end. What it does, how
often and where is drawn from lots of its own; when it begins, from how far the writers
have come. All but those of the network are over when the power has gone somewhere, and
so is one whose host has lost it. Two that would get into each other's way are never at
work together.
"""

import random
import threading
import time
from collections import Counter

from cluster import HOST_UP, Task
from guests import GuestGone, LabError
from history import Violation

FIRST = 200         # operations, at most, before a fault begins
MEMORY_LEFT = 56    # MiB
VIEW_STORE = "1M"     # the least
PRESSURE = "/blkcast/selftests/guest/memory_pressure.py"
DAEMON_UP = "/blkcast/selftests/lib/daemon-up"


class Fault:
    lasts, pauses = (0.5, 5), (0.5, 5)      # seconds
    parts_links = False     # what is sent after it is more than what differs

    def __init__(self, cluster, lots):
        self.cluster, self.lab, self.lots = cluster, cluster.lab, lots
        self.guests = [cluster.primary, cluster.replica]
        self.guest = lots.choice(self.guests)
        self.after = lots.randrange(FIRST)
        self.counts = Counter()
        self.over = threading.Event()

    def claims(self):
        """What nobody else may touch meanwhile."""
        return {self.kind}

    def survives(self, _victims):
        """It goes on when the power is gone there."""
        return False

    def begin(self, progress):
        self.task = Task(self.run, progress)

    def end(self):
        self.over.set()
        self.task.done()

    def run(self, progress):
        progress.wait(self.after, self.over)
        try:
            while not self.over.is_set():
                self.once()
                self.over.wait(self.lots.uniform(*self.pauses))
        except GuestGone:
            pass

    def once(self):
        try:
            self.strike()
            self.counts[self.kind] += 1
            self.over.wait(self.lots.uniform(*self.lasts))
        finally:
            self.heal()

    def execute(self, command, guest=None):
        return self.lab.execute(guest or self.guest, command)

    def heal(self):
        pass


class Flap(Fault):
    kind = "flap"
    lasts, pauses = (0.1, 6), (0.5, 8)
    parts_links = True

    def claims(self):
        return {"way"}

    def survives(self, _victims):
        return True

    def strike(self):
        self.lab.ask(do="lan", verb="cut", guests=self.guests)

    def heal(self):
        self.lab.ask(do="lan", verb="heal", guests=self.guests)


class OneWay(Flap):
    kind = "oneway"

    def strike(self):
        self.lab.ask(do="lan", verb="mute", guests=self.lots.sample(self.guests, 2))


class Netem(Fault):
    kind = "netem"
    lasts, pauses = (2, 12), (0.1, 2)
    parts_links = True

    def survives(self, victims):
        return self.guest not in victims

    def strike(self):
        delay = self.lots.randrange(1, 60)
        self.execute(
            f"modprobe sch_netem && tc qdisc replace dev eth0 root netem limit 4000"
            f" delay {delay}ms {self.lots.randrange(delay + 1)}ms"
            f" loss {self.lots.choice([0, 0, 1, 3])}%"
            f" duplicate {self.lots.choice([0, 2, 10])}%"
            f" reorder {self.lots.choice([1, 10, 30])}%"
            f" corrupt {self.lots.choice([0, 0, 1])}%")

    def heal(self):
        self.execute("tc qdisc del dev eth0 root 2> /dev/null || true")


class Bits(Fault):
    kind = "bits"
    lasts, pauses = (4, 12), (0.5, 4)
    parts_links = True

    def survives(self, _victims):
        return True

    def strike(self):
        self.cluster.flip(self.lots.choice([16, 64, 256, 1024]))

    def heal(self):
        self.cluster.flip(0)


class Kill(Fault):
    kind = "kill"
    lasts, pauses = (0, 3), (0.3, 4)

    def claims(self):
        return {"daemon"}

    def strike(self):
        self.guest = self.lots.choice(self.guests)
        self.execute("kill -9 $(cat /run/blkcast/blkcastd.pid)")

    def heal(self):
        self.execute(DAEMON_UP)


class Clock(Fault):
    kind = "clock"
    lasts, pauses = (0.5, 5), (0.5, 3)

    def strike(self):
        hours = self.lots.choice([-30000, -24, -3, -1, 1, 3, 24, 30000])
        self.execute(f"date -s '{hours} hours' > /dev/null")

    def heal(self):
        self.execute(f"date -s @{time.time():.0f} > /dev/null")


class Memory(Fault):
    kind = "memory"
    lasts, pauses = (5, 15), (0.5, 3)

    def strike(self):
        self.execute(f"setsid {PRESSURE} hog {MEMORY_LEFT} > /dev/null 2>&1 < /dev/null &"
                     " echo $! > /run/hog")

    def heal(self):
        self.execute("kill -9 $(cat /run/hog) 2> /dev/null || true")


class Stall(Fault):
    kind = "stall"
    lasts, pauses = (0.2, 7), (0.5, 4)
    parts_links = True

    def claims(self):
        return {"disk"}

    def strike(self):
        self.control("stall", self.lots.choice(self.guests))

    def heal(self):
        self.control("go")

    def control(self, verb, guest=None):
        """Of @guest: another disk."""
        if guest:
            volume = self.lots.choice(self.cluster.volumes)
            self.guest, self.index = guest, self.lots.choice([volume.data, volume.meta])
        self.lab.ask(do="disk", guest=self.guest, index=self.index, verb=verb)


class Fail(Stall):
    kind = "fail"
    lasts, pauses = (0.2, 5), (1, 6)

    def strike(self):
        self.control("fail", self.cluster.replica)

    def heal(self):
        self.control("heal")


class View(Fault):
    kind = "view"
    lasts, pauses = (4, 15), (0.2, 1)

    def claims(self):
        return {"view"}

    def strike(self):
        self.guest = self.cluster.primary
        self.volume = self.lots.choice(self.cluster.volumes).name
        self.execute(f"blkcast view create {self.volume} small --store memory:{VIEW_STORE}")

    def heal(self):
        broken = self.execute(f"blkcast view list {self.volume} --json |"
                              " grep -c '\"broken\": *true' || true")
        self.counts["views broken"] += int(broken)
        self.execute(f"blkcast view remove {self.volume} small")


class Unload(Fault):
    kind = "unload"
    lasts, pauses = (0, 0), (0.2, 3)

    def claims(self):
        return {"module"}

    def strike(self):
        self.guest = self.lots.choice(self.guests)
        if "in use" not in self.execute("rmmod blkcast 2>&1 || true"):
            raise Violation(f"{self.guest}: the module went while volumes were up")


class Reload(Fault):
    kind = "reload"
    lasts, pauses = (0, 3), (2, 8)
    parts_links = True

    def claims(self):
        return {"module", "daemon", "disk", "memory"}

    def strike(self):
        self.guest = self.cluster.replica
        self.execute("set -e\n" + "\n".join(
            f"blkcast down {v.name}" for v in self.cluster.volumes) + """
            kill $(cat /run/blkcast/blkcastd.pid)
            until rmmod blkcast 2> /dev/null; do sleep 0.1; done""")

    def heal(self):
        self.execute(HOST_UP)


KINDS = {fault.kind: fault for fault in (
    Flap, OneWay, Netem, Bits, Kill, Clock, Memory, Stall, Fail, View, Unload, Reload)}


class Progress:
    """How far all writers have come, in operations."""

    def __init__(self):
        self.changed = threading.Condition()
        self.done = 0

    def watch(self, what):
        if what == "a":
            with self.changed:
                self.done += 1
                self.changed.notify_all()

    def wait(self, operations, over):
        with self.changed:
            while self.done < operations and not over.is_set():
                self.changed.wait(0.2)


class Faults:
    """Those of one session after the other; @kinds: which there may be."""

    def __init__(self, cluster, seed, kinds):
        self.cluster, self.kinds = cluster, kinds
        self.lots = random.Random(f"faults {seed}")
        self.active, self.deck = [], []
        self.counts = Counter(dict.fromkeys(kinds, 0))
        self.progress, self.linger, self.parted = Progress(), 0, False

    def choose_plain(self, volumes, blocks):
        """The volumes with links in which bits can be turned over."""
        if "bits" in self.kinds:
            for v in self.lots.sample(blocks, 2) + self.lots.sample(volumes, 1):
                v.plain = True
            self.cluster.bit_seed = self.lots.getrandbits(32)

    def draw(self):
        """Some for a session; how many operations more its cut shall wait."""
        self.parted = False
        if not self.kinds:
            return 0
        for _ in range(self.lots.choice([0, 1, 2, 2, 3, 3])):
            self.deal()
        self.linger = self.lots.choice([0, 0, 4, 8])
        return self.lots.randrange(60, 500) if self.active else 0

    def deal(self):
        """One more that gets into nobody's way; all kinds come equally often."""
        if len(self.deck) < len(self.kinds):
            self.deck += self.lots.sample(self.kinds, len(self.kinds))
        claimed = set().union(*(f.claims() for f in self.active))
        for kind in self.deck:
            fault = KINDS[kind](self.cluster, random.Random(self.lots.getrandbits(64)))
            if not claimed & fault.claims():
                self.deck.remove(kind)
                self.active.append(fault)
                return

    def begin(self):
        self.progress = Progress()
        for fault in self.active:
            fault.begin(self.progress)

    def cut(self, victims):
        """The power is gone in @victims. What goes on may part links of a resync."""
        self.end([f for f in self.active if not f.survives(victims)])
        self.parted = any(f.parts_links for f in self.active)

    def end(self, which=None):
        for fault in list(self.active if which is None else which):
            self.active.remove(fault)
            fault.end()
            self.counts.update(fault.counts)

    def end_all(self):
        """Some time after what went on beside them."""
        if self.active:
            time.sleep(self.linger)
        self.end()

    def __str__(self):
        names = ", ".join(fault.kind for fault in self.active)
        return names and f"; beside {names}"
