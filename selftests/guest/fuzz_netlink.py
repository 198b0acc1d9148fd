#!/usr/bin/python3 -I
# SPDX-License-Identifier: GPL-2.0-or-later
"""
fuzz_netlink.py fuzz SEED SECONDS	as root: right commands, and such that are not
fuzz_netlink.py refused SEED COUNT [namespace]
	as somebody who may not, or who may, but in a namespace of his own: all but GET are
	refused

Messages to the module's netlink family. The numbers are those of its header, the types
of attributes those of its policy; a command is built as it should be and then made wrong
at one place or more: what is missing, too long, too short, twice, of another type, out of
range, cut off, without its NUL.

fuzz: two processes do so while a third takes volumes down and up. A command may take a
while, but none hangs.
"""

import ctypes
import errno
import os
import random
import re
import signal
import socket
import struct
import sys
import time

TREE = "/blkcast"
PATIENCE = 150          # seconds that nobody gets any further
GENL_CTRL = 16
REQUEST, ACK, DUMP = 1, 4, 0x300
VOLUMES = ["a", "b", "c"]
DISKS = {"a": 0, "b": 1, "c": 2}


# ---- what the module says of itself ----

def read(path):
    with open(f"{TREE}/{path}", encoding="utf-8") as file:
        return file.read()


def enum(text, name):
    body = re.search(r"enum " + name + r" \{(.*?)\};", text, re.S).group(1)
    body = re.sub(r"/\*.*?\*/", "", body, flags=re.S)
    names = [line.split("=")[0].strip() for line in body.split(",") if line.strip()]
    return {name: i for i, name in enumerate(names)}


HEADER = read("kmod/uapi/blkcast_netlink.h")
COMMANDS = {k.removeprefix("BLKCAST_CMD_"): v for k, v in enum(HEADER, "blkcast_cmd").items()
            if k.startswith("BLKCAST_CMD_")}
ATTRS = {k.removeprefix("BLKCAST_A_"): v for k, v in enum(HEADER, "blkcast_attr").items()}
POLICY = {m[1]: m[2] for m in re.finditer(
    r"\[BLKCAST_A_(\w+)\] =.*?(NLA_U8|NLA_U32|NLA_U64|NLA_NUL_STRING|NLA_BINARY|EXACT_LEN)",
    read("kmod/netlink.c"))}
SIZES = {"NLA_U8": 1, "NLA_U32": 4, "NLA_U64": 8}
assert len(POLICY) >= 30 and ATTRS["NAME"] == 2 and COMMANDS["UP"] == 1

WANTED = {
    "UP": ["BACKING", "META", "BACKLOG", "META_END"],
    "DOWN": [],
    "PRIMARY": ["TERM", "REIGN", "FLAGS", "LEASE"],
    "REPLICA": ["LINK", "FLAGS"],
    "SET": ["ACK", "RESYNC_RATE", "ACTIVE_MAX", "MIN_ISR", "ON_LOSS", "MAX_LAG",
            "MEMBERSHIP", "ON_IO_ERROR"],
    "LINK_ADD": ["LINK", "SOCKET", "TERM", "FLAGS", "NODE", "TIMEOUT", "HISTORY"],
    "LINK_DEL": ["LINK"],
    "GET": [],
    "STAMPS": ["FIRST", "COUNT", "VIEW"],
    "VERIFY": ["LINK", "FLAGS"],
    "DIFFERING": ["LINK", "FIRST"],
    "SUSPEND": [],
    "RESUME": [],
    "DEPOSE": ["TERM"],
    "GROW": ["SECTORS"],
    "VIEW_CREATE": ["VIEW", "STORE_BYTES", "STORE_FD", "STORE_DEV", "TIMEOUT", "FLAGS"],
    "VIEW_REMOVE": ["VIEW"],
    "VIEW_PASS": ["VIEW", "FIRST"],
    "MEMBER": ["LINK", "MEMBER"],
    "LEASE": ["LEASE"],
    "DETACH": [],
}
assert not set(WANTED) - set(COMMANDS), set(WANTED) - set(COMMANDS)


# ---- messages ----

def attribute(kind, data, length=None):
    length = 4 + len(data) if length is None else length
    return struct.pack("=HH", length & 0xffff, kind & 0xffff) + data + bytes(-len(data) % 4)


class Door:
    """A netlink socket."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 16)
        self.socket.settimeout(PATIENCE)
        self.seq = 0
        self.family = 0
        self.family = self.find()

    def find(self):
        payload = struct.pack("=BBH", 3, 1, 0) + attribute(2, b"blkcast\0")
        self.send(GENL_CTRL, payload)
        data = self.socket.recv(65536)
        at = 20
        while at + 4 <= len(data):
            length, kind = struct.unpack_from("=HH", data, at)
            if kind == 1:
                return struct.unpack_from("=H", data, at + 4)[0]
            at += max(length + 3 & ~3, 4)
        raise SystemExit("no family")

    def send(self, kind, payload, flags=REQUEST, length=None):
        self.seq += 1
        length = 16 + len(payload) if length is None else length
        self.socket.send(struct.pack("=IHHII", length, kind, flags, self.seq, 0) + payload)

    def error(self):
        """What the newest message led to: an errno, 0; None: nothing comes."""
        while True:
            try:
                data = self.socket.recv(1 << 20)
            except TimeoutError:
                return None
            at = 0
            while at + 16 <= len(data):
                length, kind, _, seq, _ = struct.unpack_from("=IHHII", data, at)
                if seq == self.seq and kind == 2:
                    return -struct.unpack_from("=i", data, at + 16)[0]
                if seq == self.seq and kind == 3:
                    return 0
                at += max(length + 3 & ~3, 16)


# ---- values ----

def number(lot, size):
    bits = size * 8
    power = 1 << lot.randrange(bits)
    value = lot.choice([0, 1, 2, 7, 8, power, power - 1, power + 1, -1, -power, -8,
                        lot.randrange(1 << bits), lot.randrange(300), lot.randrange(70000)])
    return value & (1 << bits) - 1


def device(lot):
    """Device numbers: RAM disks, those of volumes, others."""
    major, minor = lot.choice([(1, lot.randrange(6)), (1, lot.randrange(6)),
                               (MAJOR, lot.randrange(6)), (7, 0), (253, 0),
                               (lot.randrange(512), lot.randrange(1 << 20))])
    return (minor & 0xff) | (major & 0xfff) << 8 | (minor & ~0xff) << 12


def blkcast_major():
    with open("/proc/devices", encoding="utf-8") as file:
        return int(re.search(r"(\d+) blkcast", file.read()).group(1))


MAJOR = blkcast_major()


class Hand:
    """Makes messages; keeps what they need open."""

    def __init__(self, lot):
        self.lot = lot
        self.files = []

    def keep(self, *files):
        self.files += files
        while len(self.files) > 12:
            self.files.pop(0).close()
        return files[0].fileno()

    def socket(self):
        # To make one takes as long as ten commands.
        if len(self.files) > 6 and self.lot.randrange(4):
            return self.lot.choice(self.files).fileno()
        try:
            with socket.create_server(("127.0.0.1", 0)) as door:
                here = socket.create_connection(door.getsockname())
                there, _ = door.accept()
        except OSError:         # a namespace has no network
            return self.keep(socket.socket())
        return self.keep(here, there)

    def any_fd(self):
        kind = self.lot.randrange(8)
        if kind < 4:
            return self.socket()
        if kind == 4:
            return self.keep(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        if kind == 5:
            return self.keep(*socket.socketpair())
        if kind == 6:
            path = self.lot.choice(["/dev/null", "/tmp/store", "/proc/self/mem", "/tmp",
                                    "/dev/ram4", "/dev/ram0", "/dev/blkcast0"])
            try:
                return self.keep(open(os.open(path, os.O_RDONLY if path == "/tmp" else
                                              os.O_RDWR), "rb", buffering=0))
            except OSError:
                pass
        return number(self.lot, 4)

    def store_fd(self):
        if self.lot.randrange(2):
            return self.any_fd()
        file = open("/tmp/store", "r+b")
        return self.keep(file)

    def history(self):
        term = self.lot.randrange(1, 40)
        reigns = []
        for _ in range(self.lot.choice([0, 1, 1, 2, 5, 64])):
            reigns.append(struct.pack("=I4sQQ", term, self.lot.randbytes(4),
                                      self.lot.randrange(1 << 64), number(self.lot, 8)))
            term += self.lot.choice([1, 1, 1, 3, 0, 1 << 20])
        return b"".join(reigns)

    def right(self, command, name):
        """The data of an attribute as the command wants it."""
        lot = self.lot
        kind = POLICY[name]
        if name == "NAME":
            return lot.choice(VOLUMES).encode() + b"\0"
        if name in ("LINK", "VIEW"):
            return lot.choice(["a", "b", "c", "v", "w", "no"]).encode() + b"\0"
        if name == "HISTORY":
            return self.history()
        if name == "NODE":
            return lot.randbytes(16)
        value = {
            "BACKING": lambda: device(lot), "META": lambda: device(lot),
            "STORE_DEV": lambda: device(lot),
            "SOCKET": self.any_fd, "STORE_FD": self.store_fd,
            "TERM": lambda: lot.randrange(1, 40), "FLAGS": lambda: lot.randrange(512),
            "TIMEOUT": lambda: lot.choice([1000, 5000] if command == "LINK_ADD" else
                                          [100, 1000, 5000]),
            "FIRST": lambda: lot.randrange(300), "COUNT": lambda: lot.randrange(1, 300),
            "STORE_BYTES": lambda: lot.choice([1 << 20, 4 << 20]),
            "BACKLOG": lambda: 1 << lot.randrange(20, 26),
            "MIN_ISR": lambda: 1,
            "ACK": lambda: lot.randrange(3), "ON_LOSS": lambda: lot.randrange(2),
            "MEMBERSHIP": lambda: lot.randrange(2), "MEMBER": lambda: lot.randrange(2),
            "ON_IO_ERROR": lambda: lot.randrange(2), "MAX_LAG": lambda: lot.choice([0, 100, 5000]),
            "RESYNC_RATE": lambda: 1 << lot.randrange(16, 41),
            "ACTIVE_MAX": lambda: 1 << lot.randrange(26, 47),
            "LEASE": lambda: time.clock_gettime_ns(time.CLOCK_BOOTTIME) +
                             lot.randrange(10**10),
        }.get(name, lambda: number(lot, SIZES[kind]))()
        if command == "UP" and name in ("BACKING", "META") and lot.randrange(4):
            value = 1 << 8 | lot.randrange(3)
        return (value & (1 << 8 * SIZES[kind]) - 1).to_bytes(SIZES[kind], "little")

    def wrong(self, name, data):
        """Something like an attribute of which the right data are these: bytes."""
        lot, kind = self.lot, ATTRS[name]
        what = lot.randrange(12)
        if what == 0:
            return b""
        if what == 1:
            return attribute(kind, data) * 2
        if what == 2:
            return attribute(kind, data, lot.choice([0, 1, 3, 4, 5, 255, 65535, len(data)]))
        if what == 3:
            return attribute(kind, data[:lot.randrange(len(data) + 1)])
        if what == 4:
            return attribute(kind, data + lot.randbytes(lot.choice([1, 4, 60, 200, 5000])))
        if what == 5:
            return attribute(kind | lot.choice([0x8000, 0x4000, 0xc000]), data)
        if what == 6:
            inner = attribute(lot.randrange(100), lot.randbytes(lot.randrange(12)))
            for _ in range(lot.randrange(1, 40)):
                inner = attribute(lot.randrange(100) | 0x8000, inner)
            return attribute(kind | 0x8000, inner)
        if what == 7 and POLICY[name] == "NLA_NUL_STRING":
            return attribute(kind, lot.choice([data.rstrip(b"\0"), b"x" * 64, b"x" * 63 + b"\0",
                                               b"x" * 500 + b"\0", b"\0", b"", b"..\0",
                                               b"/\0", b"%s%n\0", b"\xff\xfe\0", b"a\0b\0"]))
        if what < 10 and POLICY[name] in SIZES:
            size = SIZES[POLICY[name]]
            return attribute(kind, number(lot, size).to_bytes(size, "little"))
        if what == 10:
            return attribute(lot.choice([0, 1, *ATTRS.values(), 200, 0x3fff]), data)
        return attribute(kind, lot.randbytes(len(data)))

    def message(self, command, lies):
        """Payload of a command with so many lies."""
        names = ["NAME", *WANTED[command]]
        optional = self.lot.randrange(2)
        names = [n for n in names if not (optional and n in (
            "BACKLOG", "META_END", "NODE", "STORE_FD", "STORE_DEV", "MEMBERSHIP", "ON_IO_ERROR",
            {"STAMPS": "VIEW", "PRIMARY": "LEASE"}.get(command)) and self.lot.randrange(3))]
        parts = [attribute(ATTRS[n], self.right(command, n)) for n in names]
        for _ in range(lies):
            at = self.lot.randrange(len(names))
            parts[at] = self.wrong(names[at], self.right(command, names[at]))
        if self.lot.randrange(4) == 0:
            self.lot.shuffle(parts)
        body = b"".join(parts)
        if lies and self.lot.randrange(10) == 0:
            body = body[:self.lot.randrange(len(body) + 1)]
        if lies and self.lot.randrange(10) == 0:
            body += self.lot.randbytes(self.lot.randrange(30))
        return body


def speak(door, hand, lot):
    """One message: what it led to."""
    command = lot.choice([*WANTED, "GET", "STAMPS", "LINK_ADD", "VIEW_CREATE"])
    lies = lot.choice([0, 1, 1, 1, 2, 5])
    number_ = COMMANDS[command]
    flags = REQUEST | ACK
    if lies and lot.randrange(12) == 0:
        number_ = lot.choice([0, COMMANDS["EVENT"], 40, 255])
    if lot.randrange(10) == 0:
        flags |= lot.choice([DUMP, DUMP, 0x100, 0x200, 0x400, 0x800, 0xf000])
    reserved = 0 if lot.randrange(20) else lot.randrange(1 << 16)
    payload = struct.pack("=BBH", number_, lot.choice([0, 1, 1, 2, 255]), reserved)
    payload += hand.message(command, lies)
    door.send(door.family, payload, flags)
    return door.error()


# ---- fuzz ----

def worker(seed, until, told):
    lot = random.Random(seed)
    hand, door = Hand(lot), Door()
    done = well = heard = 0
    while time.monotonic() < until:
        if lot.randrange(40) == 0:
            # A dump that nobody reads to its end, on a socket that goes.
            left = Door()
            left.send(left.family, struct.pack("=BBH", COMMANDS["GET"], 1, 0),
                      REQUEST | DUMP)
            left.socket.close()
            door.socket.close()
            door = Door()
        if lot.randrange(60) == 0:
            # One that says it was longer than it is has no answer; the next one has.
            door.send(door.family, lot.randbytes(lot.randrange(40)), REQUEST | ACK,
                      lot.choice([None, 16, 17, 20]))
        error = speak(door, hand, lot)
        assert error is not None, "no answer"
        done += 1
        well += error == 0
        if time.monotonic() - heard > 0.5:
            os.write(told, b".")
            heard = time.monotonic()
    print(f"# seed {seed}: {done} messages, {well} well", flush=True)
    # Both kinds are wanted, or it tests nothing.
    sys.exit(not (done > 200 and 0 < well < done))


def flapper(seed, until, told):
    """Volumes go down and come up."""
    lot = random.Random(seed)
    door = Door()
    ups = 0
    while time.monotonic() < until:
        name = lot.choice(VOLUMES)
        label = attribute(ATTRS["NAME"], name.encode() + b"\0")
        door.send(door.family, struct.pack("=BBH", COMMANDS["DOWN"], 1, 0) + label,
                  REQUEST | ACK)
        assert door.error() is not None, "no answer"
        disk = struct.pack("=I", 1 << 8 | DISKS[name])
        door.send(door.family, struct.pack("=BBH", COMMANDS["UP"], 1, 0) + label +
                  attribute(ATTRS["BACKING"], disk) + attribute(ATTRS["META"], disk),
                  REQUEST | ACK)
        ups += door.error() == 0
        os.write(told, b".")
        time.sleep(lot.random() / 2)
    print(f"# up {ups} times", flush=True)
    sys.exit(not ups)


def fuzz(seed, seconds):
    """Runs all of them, and sees that they get on."""
    told, telling = os.pipe()
    until = time.monotonic() + seconds
    pids = set()
    for kind, own in ((worker, seed), (worker, seed + 1), (flapper, seed + 2)):
        pid = os.fork()
        if not pid:
            os.close(told)
            kind(own, until, telling)
        pids.add(pid)
    os.close(telling)
    signal.signal(signal.SIGALRM, lambda *_: sys.exit("a command hangs"))
    while True:
        signal.alarm(PATIENCE)
        if not os.read(told, 4096):
            break
    return any([os.waitpid(pid, 0)[1] for pid in pids])


# ---- who may not ----

def refused(seed, count):
    """Each of the commands, right and not: an error, and the one that it should be."""
    lot = random.Random(seed)
    hand, door = Hand(lot), Door()
    bad = 0
    for i in range(count):
        command = list(WANTED)[i % len(WANTED)]
        lies = 0 if i < 2 * len(WANTED) else lot.randrange(3)
        door.send(door.family, struct.pack("=BBH", COMMANDS[command], 1, 0) +
                  hand.message(command, lies), REQUEST | ACK)
        error = door.error()
        if command == "GET":
            continue
        # Of one that is wrong the form may be looked at before.
        if error == 0 or (not lies and error != errno.EPERM):
            print(f"{command}: {error}")
            bad = 1
    return bad


def user_namespace():
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(4, 1, 0, 0, 0)           # /proc/self is ours, though root was here
    if libc.unshare(0x10000000 | 0x40000000):
        raise OSError(ctypes.get_errno(), "unshare")
    for path, text in (("setgroups", "deny"), ("uid_map", "0 65534 1"),
                       ("gid_map", "0 65534 1")):
        with open(f"/proc/self/{path}", "w", encoding="utf-8") as file:
            file.write(text)


def main():
    with open("/tmp/store", "wb") as file:
        file.write(bytes(4 << 20))
    os.chmod("/tmp/store", 0o666)
    if sys.argv[1] == "fuzz":
        sys.exit(fuzz(int(sys.argv[2]), int(sys.argv[3])))
    os.setgroups([])
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)
    if sys.argv[4:] == ["namespace"]:
        user_namespace()
    sys.exit(refused(int(sys.argv[2]), int(sys.argv[3])))


main()
