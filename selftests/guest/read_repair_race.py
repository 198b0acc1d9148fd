#!/usr/bin/python3 -I
# SPDX-License-Identifier: GPL-2.0-or-later
"""
read_repair_race: writers and readers of the same blocks, whose reads fail here.

	read_repair_race.py DEVICE RAW FIRST BLOCKS ROUNDS MODEL

Each block is written over and over, filled with how often it was.  A reader must see
one number in all of it, none below what had been written when it began.  At the end of
each round RAW, the disk below, must hold what was written last, and so does MODEL at
the end.  Any error or difference ends it with 1.
"""
import mmap
import os
import struct
import sys
import threading
import time

BLOCK = 4096
ROUND = .5
PAUSE = .01     # a replica that trails far behind answers few reads


class Run:
    def __init__(self, path, first, blocks):
        self.path, self.first, self.blocks = path, first, blocks
        self.until = 0
        self.done = [0] * blocks
        self.wrong = []
        self.reads = 0

    def over(self):
        return self.wrong or time.monotonic() > self.until

    def fail(self, text):
        self.wrong.append(text)

    def guarded(self, what, number):
        try:
            what(os.open(self.path, os.O_RDWR | os.O_DIRECT), mmap.mmap(-1, BLOCK), number)
        except OSError as error:
            self.fail(f"{what.__name__}: {error}")

    def write(self, file, buffer, number):
        """Blocks number, number + 2 ..., one after the other."""
        while not self.over():
            count = self.done[number] + 1
            for block in range(number, self.blocks, 2):
                buffer[:] = struct.pack("<Q", count) * (BLOCK // 8)
                os.pwrite(file, buffer, (self.first + block) * BLOCK)
                self.done[block] = count
                time.sleep(PAUSE)

    def read(self, file, buffer, number):
        block = number
        while not self.over():
            block = (block + 3) % self.blocks
            least = self.done[block]
            os.preadv(file, [buffer], (self.first + block) * BLOCK)
            found, = struct.unpack_from("<Q", buffer)
            self.reads += 1
            if buffer[:] != struct.pack("<Q", found) * (BLOCK // 8):
                self.fail(f"block {block}: pieces of several writes")
            if found < least:
                self.fail(f"block {block}: write {found}, but {least} was completed")

    def round(self, readers):
        self.until = time.monotonic() + ROUND
        threads = [threading.Thread(target=self.guarded, args=(what, number))
                   for what, n in ((self.write, 2), (self.read, readers)) for number in range(n)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def last(self):
        return b"".join(struct.pack("<Q", count) * (BLOCK // 8) for count in self.done)

    def compare(self, raw):
        """Whatever is written back a little later is the same."""
        buffer = mmap.mmap(-1, self.blocks * BLOCK)
        time.sleep(ROUND / 5)
        os.preadv(raw, [buffer], self.first * BLOCK)
        if buffer[:] != self.last():
            self.fail("the disk holds something older")


def main(path, raw, first, blocks, rounds, model):
    run = Run(path, int(first), int(blocks))
    disk = os.open(raw, os.O_RDONLY | os.O_DIRECT)
    run.round(readers=0)
    for _ in range(int(rounds)):
        run.round(readers=4)
        run.compare(disk)
    with open(model, "r+b") as file:
        file.seek(run.first * BLOCK)
        file.write(run.last())
    print(f"{run.reads} reads, {sum(run.done)} writes", *run.wrong, sep="\n")
    sys.exit(bool(run.wrong) or not run.reads)


if __name__ == "__main__":
    main(*sys.argv[1:])
