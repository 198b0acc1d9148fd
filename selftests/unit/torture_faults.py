#!/usr/bin/python3 -BEs
# SPDX-License-Identifier: GPL-2.0-or-later
"""The fault campaign's faults are a function of the seed, and its bit flipper turns over
the bits that it tells of, and no others."""

import os
import random
import socket
import subprocess
import sys
import threading

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path[:0] = [os.path.join(HERE, "../torture"), os.path.join(HERE, "../lib")]

import faults
import ktap
from ktap import check

FLIPPER = os.path.join(HERE, "../../.build/selftests/guest/bit_flipper")
MIB = 1 << 20


# ---- lots ----

class Cluster:
    """What a fault sees of it before it begins."""
    lab, primary, replica = None, "g1", "g2"


def plan(seed, sessions=300):
    these = faults.Faults(Cluster(), seed, list(faults.KINDS))
    for _ in range(sessions):
        more = these.draw()
        yield more, these.linger, [(f.kind, f.guest, f.after, f.lots.random())
                                   for f in these.active]
        claims = [claim for f in these.active for claim in f.claims()]
        check_alone(claims)
        these.active.clear()


conflicts = []


def check_alone(claims):
    if len(set(claims)) != len(claims):
        conflicts.append(claims)


one = list(plan(7))
check("the same seed, the same faults", one == list(plan(7)))
check("another seed, others", one != list(plan(8)))
check("none gets into another's way", not conflicts)
drawn = {kind for _, _, those in one for kind, *_ in those}
check("all kinds are drawn", drawn == set(faults.KINDS))
check("and none, and three", {len(those) for *_, those in one} >= {0, 1, 2, 3})


# ---- bits ----

def listening():
    sock = socket.create_server(("127.0.0.1", 0))
    sock.settimeout(60)
    return sock


def free_port():
    with listening() as sock:
        return sock.getsockname()[1]


class Pair:
    """Both ends of a connection through a flipper that turns over a bit in @kib."""

    def __init__(self, kib, seed):
        with listening() as far:
            port = free_port()
            self.flipper = subprocess.Popen(
                [FLIPPER, str(port), "127.0.0.1", str(far.getsockname()[1]), str(seed)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            self.flipper.stdin.write(f"{kib}\n")
            self.flipper.stdin.flush()
            self.near = self.connect(port)
            self.far = far.accept()[0]

    @staticmethod
    def connect(port):
        while True:     # until it listens
            try:
                return socket.create_connection(("127.0.0.1", port), 60)
            except ConnectionRefusedError:
                pass

    def send(self, one, other, data):
        """Returns what comes out, until the end of what was sent."""
        def work():
            one.sendall(data)
            one.shutdown(socket.SHUT_WR)

        thread = threading.Thread(target=work)
        thread.start()
        with other.makefile("rb") as file:
            came = file.read()
        thread.join()
        return came

    def both_ways(self, data):
        return self.send(self.near, self.far, data), self.send(self.far, self.near, data)

    def told(self):
        """The lines of the flipper, which ends."""
        self.near.close()
        self.far.close()
        lines = self.flipper.communicate()[0].split("\n")
        return lines.count("f 1"), lines.count("e 1")


def wrong_bits(one, other):
    if len(one) != len(other):
        return -1
    return sum((a ^ b).bit_count() for a, b in zip(one, other) if a != b)


data = random.Random(1).randbytes(MIB)
pair = Pair(0, 1)
check("nothing is turned over", pair.both_ways(data) == (data, data))
check("nor told of", pair.told() == (0, 0))
pair = Pair(16, 1)
came = pair.both_ways(data)
bits = [wrong_bits(data, piece) for piece in came]
check(f"bits are turned over both ways: {bits}", all(20 < n < 200 for n in bits))
check("each is told of, and the connection's end", pair.told() == (sum(bits), 1))
again = Pair(16, 1)
check("the same seed, the same bits", again.both_ways(data) == came)
again.told()
ktap.done()
