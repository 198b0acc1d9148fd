#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Files with fsync, and which of them a copy holds.

    write FOLDER LOG    files 1, 2, ... until it is killed; LOG, outside of the guest,
                        gets the number of each once its fsync has returned. Between
                        them other files are written to, renamed and removed that are
                        never synced.
    check FOLDER LAST   files 1 to LAST are whole; prints how many there are
"""

import os
import random
import sys
import time

JUNK = 24
PAUSE = 0.05  # seconds


def data(number):
    lot = random.Random(number)
    return lot.randbytes(lot.choice((100, 4096, 20000)))


def place(folder, number):
    return f"{folder}/{number % 5}/{number}"


def junk(folder, lot):
    name = f"{folder}/junk{lot.randrange(JUNK)}"
    what = lot.randrange(4)
    try:
        if what == 0:
            os.rename(name, f"{folder}/junk{lot.randrange(JUNK)}")
        elif what == 1:
            os.unlink(name)
        else:
            with open(name, "ab" if what == 2 else "wb") as file:
                file.write(lot.randbytes(lot.choice((500, 9000, 70000))))
            if os.path.getsize(name) > 200000:
                os.unlink(name)
    except FileNotFoundError:
        pass


def write(folder, log):
    lot = random.Random(log)
    number = 0
    for sub in range(5):
        os.makedirs(f"{folder}/{sub}", exist_ok=True)
    with open(log, "a", buffering=1, encoding="ascii") as lines:
        while True:
            number += 1
            junk(folder, lot)
            with open(place(folder, number), "wb") as file:
                file.write(data(number))
                file.flush()
                os.fsync(file.fileno())
            lines.write(f"{number}\n")
            # All of them have to fit, however long it takes.
            time.sleep(PAUSE)


def check(folder, last):
    for number in range(1, last + 1):
        try:
            with open(place(folder, number), "rb") as file:
                if file.read() != data(number):
                    sys.exit(f"file {number} of {last} is not what was synced")
        except FileNotFoundError:
            sys.exit(f"file {number} of {last} is not there")
    print(sum(len(names) for _, _, names in os.walk(folder)))


if sys.argv[1] == "write":
    write(sys.argv[2], sys.argv[3])
else:
    check(sys.argv[2], int(sys.argv[3]))
