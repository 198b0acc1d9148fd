#!/usr/bin/python3 -I
# SPDX-License-Identifier: GPL-2.0-or-later
"""
moments: writes from which can be seen whether a copy is of one moment.

	moments.py fill DEVICE		as after a write to each place; anything beside them
	moments.py write DEVICE RATE	RATE numbered writes a second until it is stopped,
					one after the other, all over the device
	moments.py check DEVICE		prints the number of the newest write that is
					there; fails if anything else is not as it was
					right after that one
	moments.py newest DEVICE	prints that alone
	moments.py regions DEVICE A B	how many regions of 64 KiB writes A+1 .. B changed

A block of 4 KiB of every 32 KiB is written to, in an order in which each has its turn
before any has the next.  It goes on behind the newest write that it finds.
"""
import mmap
import os
import sys
import time

BLOCK = 4096
STRIDE = 32768
STEP = 7919			# a prime: coprime to the number of places
REGION = 65536
PIECE = 1 << 20


class Device:
    def __init__(self, path, flags):
        self.file = os.open(path, flags | os.O_DIRECT)
        self.bytes = os.lseek(self.file, 0, os.SEEK_END)
        self.places = self.bytes // STRIDE

    def place(self, number):
        return number * STEP % self.places

    def numbers(self):
        """Of each place, the write that it holds; 0: none."""
        found, buffer = [], mmap.mmap(-1, PIECE)
        for offset in range(0, self.places * STRIDE, PIECE):
            size = os.preadv(self.file, [buffer], offset)
            for at in range(0, size - STRIDE + 1, STRIDE):
                block = buffer[at:at + BLOCK]
                if block != block[:8] * (BLOCK // 8):
                    sys.exit(f"byte {offset + at}: not what was written")
                found.append(int.from_bytes(block[:8], "little"))
        return found


def fill(path):
    device = Device(path, os.O_WRONLY)
    piece = mmap.mmap(-1, PIECE)
    number = {device.place(n): n for n in range(1, device.places + 1)}
    for offset in range(0, device.bytes, PIECE):
        piece[:] = os.urandom(PIECE)
        for at in range(0, PIECE, STRIDE):
            place = (offset + at) // STRIDE
            piece[at:at + BLOCK] = number.get(place, 0).to_bytes(8, "little") * (BLOCK // 8)
        view = memoryview(piece)[:min(PIECE, device.bytes - offset)]
        if os.pwrite(device.file, view, offset) != len(view):
            sys.exit(f"byte {offset}: cut short")


def write(path, rate):
    device = Device(path, os.O_WRONLY | os.O_DSYNC)
    number = max(Device(path, os.O_RDONLY).numbers())
    buffer = mmap.mmap(-1, BLOCK)
    due = time.monotonic()
    while True:
        number += 1
        buffer[:] = number.to_bytes(8, "little") * (BLOCK // 8)
        if os.pwrite(device.file, buffer, device.place(number) * STRIDE) != BLOCK:
            sys.exit(f"write {number} was cut short")
        due = max(due + 1 / int(rate), time.monotonic() - 1)
        time.sleep(max(0, due - time.monotonic()))


def check(path):
    device = Device(path, os.O_RDONLY)
    found = device.numbers()
    latest = max(found)
    expected = [0] * device.places
    for number in range(max(1, latest - device.places + 1), latest + 1):
        expected[device.place(number)] = number
    wrong = [p for p in range(device.places) if found[p] != expected[p]]
    if wrong:
        p = wrong[0]
        sys.exit(f"not of one moment: write {latest} is there, and in {len(wrong)} places there "
                 f"is another than was there then: {found[p]}, not {expected[p]}, in place {p}")
    print(latest)


def newest(path):
    print(max(Device(path, os.O_RDONLY).numbers()))


def regions(path, first, last):
    device = Device(path, os.O_RDONLY)
    print(len({device.place(number) * STRIDE // REGION
               for number in range(int(first) + 1, int(last) + 1)}))


COMMANDS = {"fill": fill, "write": write, "check": check, "newest": newest, "regions": regions}
COMMANDS[sys.argv[1]](*sys.argv[2:])
