# SPDX-License-Identifier: GPL-2.0-or-later
"""When the power shall go.

    time        some time after an operation was issued
    flush       at once when a flush is acknowledged
    map         while a map block is being written: it is in the disk's cache

Where faults are at work so many operations more go before.
"""

import threading
import time

from cluster import PATIENCE
from guests import LabError
from sequence import FLUSH

MAP_PATIENCE = 12   # seconds: groups are cleaned when they were idle for 5: host-up


class Trigger:
    KINDS = ["time", "flush", "map"]

    def __init__(self, what, lots, volumes, more=0):
        self.what, self.more = what, more
        self.after = lots.randrange(60, 240)
        self.delay = lots.uniform(0, 0.3)
        self.volume = lots.choice(volumes)
        if what == "map":
            self.volume = next(v for v in volumes if v.meta != v.data)
            self.after = lots.randrange(1, 3)
        else:
            self.after += more
        self.fired = threading.Event()

    def watch(self, volume, what, operation):
        """A line of a writer's log."""
        if self.what == "map" and volume is self.volume and operation >= self.more:
            self.fired.set()
        if volume is not self.volume or operation < self.after:
            return
        kind = volume.session.sequence[operation].kind
        if self.what == "time" or self.what == "flush" and (what, kind) == ("a", FLUSH):
            self.fired.set()

    def wait(self, lab, guest):
        if not self.fired.wait(PATIENCE):
            raise LabError(f"in vain, for {PATIENCE} s: {self}")
        if self.what == "map":
            self.wait_map(lab, guest)
        if self.what == "time":
            time.sleep(self.delay)

    def wait_map(self, lab, guest):
        """Looks at the map on the disk until it has changed so many times."""
        copy = self.volume.copy(lab, guest)
        before = copy.map_blocks()
        deadline = time.monotonic() + MAP_PATIENCE
        while self.after and time.monotonic() < deadline:
            now = copy.map_blocks()
            self.after -= now != before
            before = now
            time.sleep(0.001)
        copy.close()

    def __str__(self):
        when = {"time": f"{self.delay * 1000:.0f} ms after operation {self.after}",
                "flush": f"the first flush acknowledged after operation {self.after}",
                "map": f"map write {self.after} after operation {self.more}"}[self.what]
        return f"{when} of {self.volume.name}"
