#!/usr/bin/python3 -I
# SPDX-License-Identifier: GPL-2.0-or-later
"""
switch_io: an application that moves from host to host with its volume.

	switch_io.py DEVICE MODEL SEED WRITES

Reads all blocks and compares them with MODEL (a number for each: how often it was
written), writes WRITES blocks by lot, some flushed, with what they will be told by
from then on, and records that in MODEL.  Any error or difference ends it with 1.
"""
import array
import hashlib
import mmap
import os
import random
import sys

BLOCK = 4096


def content(block, count):
    if not count:
        return bytes(BLOCK)
    return hashlib.sha256(f"{block} {count}".encode()).digest() * (BLOCK // 32)


class Device:
    def __init__(self, path):
        self.file = os.open(path, os.O_RDWR | os.O_DIRECT)
        self.blocks = os.lseek(self.file, 0, os.SEEK_END) // BLOCK
        self.buffer = mmap.mmap(-1, BLOCK)

    def write(self, block, data):
        self.buffer[:] = data
        if os.pwrite(self.file, self.buffer, block * BLOCK) != BLOCK:
            sys.exit(f"block {block}: cut short")

    def verify(self, model):
        piece = mmap.mmap(-1, 256 * BLOCK)
        for first in range(0, self.blocks, 256):
            n = os.preadv(self.file, [piece], first * BLOCK) // BLOCK
            for i in range(n):
                if piece[i * BLOCK:(i + 1) * BLOCK] != content(first + i, model[first + i]):
                    sys.exit(f"block {first + i} is not what was written {model[first + i]} times")


def load(path, blocks):
    model = array.array("L")
    try:
        with open(path, "rb") as file:
            model.frombytes(file.read())
    except FileNotFoundError:
        model.frombytes(bytes(model.itemsize * blocks))
    return model


def main(path, model_path, seed, writes):
    device = Device(path)
    model = load(model_path, device.blocks)
    lots = random.Random(seed)
    device.verify(model)
    for n in range(int(writes)):
        block = lots.randrange(device.blocks)
        model[block] += 1
        device.write(block, content(block, model[block]))
        if not lots.randrange(16):
            os.fsync(device.file)
    os.close(device.file)
    with open(model_path, "wb") as file:
        file.write(model.tobytes())


main(*sys.argv[1:])
