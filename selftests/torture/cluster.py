# SPDX-License-Identifier: GPL-2.0-or-later
"""Two hosts with copies of some volumes, one of them primary of all.

What a host has configured is in its memory here, and gone with its power: it comes
back with the copy in the lab's shared folder. The kernel's own memory is its disk.

Links without TLS go through a program on the host that dials, which can turn bits over.
"""

import os
import threading
import uuid

from guests import LabError, Program, wait_until
from history import Violation

PATIENCE = 300      # seconds for what takes a few when this machine is idle
HOST_UP = "/blkcast/selftests/torture/host-up"
LINK_TIMEOUT = 4000     # ms
FLIPPER = "/blkcast/.build/selftests/guest/bit_flipper"
FLIPPER_PORT = 7791
RESYNC_RATE = "512K"    # slow while writers are at work: cuts shall fall into it


class Task(threading.Thread):
    """Something that goes on beside; done() waits for it and raises its error."""

    def __init__(self, function, *arguments):
        super().__init__(daemon=True)
        self.function, self.arguments, self.error = function, arguments, None
        self.start()

    def run(self):
        try:
            self.function(*self.arguments)
        except Exception as error:
            self.error = error

    def done(self):
        self.join()
        if self.error:
            raise self.error


class Flipper:
    """What passes on the plain links that a host dials, until that loses its power."""

    def __init__(self, lab, guest, peer, seed):
        self.bits = 0
        self.open = set()       # connections in which a bit was turned over
        self.lock = threading.Lock()
        self.program = Program(lab, guest, f"{FLIPPER} {FLIPPER_PORT} {peer} 7790 {seed}",
                               self.take)

    def take(self, line):
        what, connection = line.split()
        with self.lock:
            if what == "f":
                self.bits += 1
                self.open.add(connection)
            else:
                self.open.discard(connection)

    def flip(self, kib):
        """A bit in so many KiB, on average; 0: none."""
        self.program.tell(f"{kib}\n")

    def all_ended(self):
        with self.lock:
            return not self.open


class Cluster:
    def __init__(self, lab, volumes, lots):
        self.lab, self.volumes, self.lots = lab, volumes, lots
        self.primary, self.replica = "g1", "g2"
        self.flippers = {}      # of the hosts that are up
        self.boots = {"g1": 0, "g2": 0}
        self.kib_a_bit = self.bits = self.bit_seed = 0

    # ---- for the first time ----

    def build(self):
        """All volumes on both, unlinked, and the first host primary."""
        disks = [disk for v in self.volumes for disk in v.disks]
        self.lab.shell("\n".join(
            f"vm_add {guest} -m 512 " + " ".join(
                f"-d {disk},seed={self.lots.randrange(1 << 32)}" for disk in disks)
            for guest in ("g1", "g2")) + "\nhosts_key")
        for v in self.volumes:
            v.uuid = uuid.UUID(int=self.lots.getrandbits(128), version=4)
        for guest in "g1", "g2":
            os.makedirs(f"{self.lab.share}/{guest}-config")
            with open(f"{self.lab.share}/{guest}-config/blkcast.conf", "w",
                      encoding="ascii") as conf:
                conf.write("[daemon]\nplain = yes\n")
        self.lab.ask(do="start", guests=["g1", "g2"])
        both = [Task(self.create, guest) for guest in ("g1", "g2")]
        for task in both:
            task.done()
        self.promote()
        self.configure("g1", "g2")
        self.configure("g2", "g1")

    def create(self, guest):
        self.start_flipper(guest)
        self.lab.execute(guest, "\n".join(["set -e", HOST_UP] + [
            f"blkcast create {v.name} {v.create_options()} > /dev/null\n"
            f"blkcast up {v.name}; blkcast set {v.name} --resync-rate {RESYNC_RATE}"
            for v in self.volumes]))

    def configure(self, guest, peer):
        """What it has configured when it comes back."""
        folder = f"{self.lab.share}/{guest}-config/volumes.d"
        os.mkdir(folder)
        for v in self.volumes:
            with open(f"{folder}/{v.name}.conf", "w", encoding="ascii") as conf:
                conf.write(f"[volume]\n{v.configuration()}"
                           f"resync-rate = {RESYNC_RATE}\n"
                           f"[link {peer}]\naddress = {self.address(v, peer)}\n"
                           f"plain = {'yes' if v.plain else 'no'}\n"
                           f"timeout = {LINK_TIMEOUT}\n")

    def connect(self):
        self.lab.execute(self.primary, "set -e\n" + "\n".join(
            f"blkcast connect {v.name} --peer {self.replica} --address"
            f" {self.address(v, self.replica)} {'--plain' if v.plain else ''}"
            f" --timeout {LINK_TIMEOUT} --wait 0" for v in self.volumes))

    @staticmethod
    def address(volume, peer):
        return f"127.0.0.1:{FLIPPER_PORT}" if volume.plain else f"{peer}:7790"

    # ---- and again ----

    def each(self, guest, command, volumes=None):
        volumes = self.volumes if volumes is None else volumes
        self.lab.execute(guest, "set -e\n" + "\n".join(
            command.format(v.name) for v in volumes))

    def power_on(self, guests):
        return Task(lambda: self.lab.ask(do="start", guests=guests))

    def up(self, guest, command=""):
        """After power on: replica of all volumes, then `blkcast COMMAND`."""
        self.start_flipper(guest)
        self.lab.execute(guest, f"{HOST_UP} {command}")

    def promote(self):
        """The daemon then connects what is configured."""
        self.each(self.primary, "blkcast status {0} --json | grep -q '\"inconsistent\": false'\n"
                  "blkcast primary {0} --force --yes > /dev/null")

    def swap(self):
        self.primary, self.replica = self.replica, self.primary

    def hand_over(self):
        """The replica becomes primary in good order. Nobody writes."""
        self.wait_in_sync()
        self.each(self.primary, "blkcast replica {} > /dev/null")
        self.swap()
        self.each(self.primary, "blkcast primary {} > /dev/null")

    # ---- disks ----

    def control(self, volume, guest, verb):
        for index in {volume.data, volume.meta}:
            self.lab.ask(do="disk", guest=guest, index=index, verb=verb)

    def fail(self, volume, guest):
        self.control(volume, guest, "fail")

    def heal(self, volume, guest):
        self.control(volume, guest, "heal")

    def wait_detached(self, volume):
        wait_until(PATIENCE, f"{volume.name} detached", lambda: self.lab.status(
            self.primary)[volume.name]["device_state"] == "detached")

    # ---- bits ----

    def start_flipper(self, guest):
        if not any(v.plain for v in self.volumes):
            return
        peer = "g2" if guest == "g1" else "g1"
        self.boots[guest] += 1
        seed = 2 * (self.bit_seed + self.boots[guest]) + (guest == "g1")
        self.flippers[guest] = Flipper(self.lab, guest, peer, seed)
        self.flippers[guest].flip(self.kib_a_bit)

    def lost(self, guests):
        """Their power is gone."""
        for guest in set(guests) & set(self.flippers):
            flipper = self.flippers.pop(guest)
            flipper.program.lost()
            self.bits += flipper.bits

    def flip(self, kib):
        self.kib_a_bit = kib
        for flipper in list(self.flippers.values()):
            flipper.flip(kib)

    def flipped_bits(self):
        return self.bits + sum(flipper.bits for flipper in self.flippers.values())

    def check_flippers(self):
        """No link has gone on behind a bit that was turned over."""
        for guest, flipper in self.flippers.items():
            if flipper.program.process.poll() is not None:
                raise LabError(f"{guest}: the bit flipper has ended")
            try:
                wait_until(60, "they end", flipper.all_ended)
            except LabError:
                raise Violation(f"{guest}: links go on behind a bit that was turned"
                                f" over: {flipper.open}") from None

    # ---- what they say ----

    def links(self):
        """Volume name -> its link, as the primary sees it; lsn: the newest."""
        return {name: dict((status["links"] or [{"state": "down"}])[0],
                           lsn=status["lsn"])
                for name, status in self.lab.status(self.primary).items()}

    def wait_in_sync(self):
        """All volumes, with nothing under way."""
        wait_until(PATIENCE, "in sync and durable", lambda: all(
            link["state"] == "in-sync" and link["durable"] == link["lsn"]
            for link in self.links().values()))

    def wait_caught_up(self):
        """All volumes in sync once, while writers go on."""
        self.each(self.primary, "blkcast set {} --resync-rate 8M")
        wait_until(PATIENCE, "in sync during writes", lambda: all(
            link["state"] == "in-sync" for link in self.links().values()))

    def wait_resync(self):
        """Until one is under way; False if none was seen."""
        seen = []

        def ready():
            links = self.links().values()
            if any(link["state"] == "resync" and link["dirty_regions"]
                   and link["resynced_regions"] for link in links):
                seen.append(True)
            return seen or all(link["state"] == "in-sync" for link in links)

        wait_until(PATIENCE, "a resync", ready)
        return bool(seen)

    def wait_parted(self, guest):
        """Its links are gone, and what they brought is applied."""
        wait_until(PATIENCE, f"{guest} has no link", lambda: not any(
            "id" in link for status in self.lab.status(guest).values()
            for link in status["links"]))
