# SPDX-License-Identifier: GPL-2.0-or-later
"""The lab and what runs in its guests, as the campaign uses them.

    Lab         the guests: power, commands, disks (selftests/qemu)
    Program     a program in a guest whose lines are taken in as they come; it ends
                when its input ends, or with the guest
"""

import json
import os
import re
import socket
import subprocess
import threading
import time

from copies import ImageReader, NbdReader

HERE = os.path.dirname(os.path.realpath(__file__))
QEMU = os.path.join(HERE, "../qemu")
LIBRARY = os.path.join(HERE, "../lib")
GUEST_GONE = 255    # labctl's exit status then


class LabError(Exception):
    """The lab, or a command in a guest, did not do what it was asked to."""


class GuestGone(LabError):
    """The guest has lost its power before a command was over, or had none."""


class Lab:
    def __init__(self, folder):
        self.folder = folder
        self.share = os.path.join(folder, "share")

    def ask(self, **request):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(os.path.join(self.folder, "ctl"))
            sock.sendall(json.dumps(request).encode() + b"\n")
            with sock.makefile() as answer:
                result = json.loads(answer.readline() or '{"error": "it is gone"}')
        if "error" in result:
            gone = "is not running" in result["error"]
            raise (GuestGone if gone else LabError)(f"{request}: {result['error']}")
        return result["ok"]

    def cut(self, guests):
        """The power goes in all of them at once."""
        threads = [threading.Thread(target=self.ask,
                                    kwargs={"do": "cut", "guest": guest})
                   for guest in guests]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def shell(self, script):
        """Bash with the functions of lab.sh and hosts.sh."""
        return self.run(["bash", "-euc", f". {QEMU}/lab.sh\n"
                         f". {LIBRARY}/hosts.sh\n{script}"])

    def execute(self, guest, command, limit=300):
        return self.run(self.exec_command(guest, command, limit))

    def exec_command(self, guest, command, limit, *flags):
        return [f"{QEMU}/labctl", self.folder, "exec", *flags, "-l", str(limit),
                guest, command]

    def run(self, command):
        done = subprocess.run(command, stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              env=dict(os.environ, LAB=self.folder))
        if done.returncode:
            gone = done.returncode == GUEST_GONE or "is not running" in done.stderr
            raise (GuestGone if gone else LabError)(
                f"{command[-2:]}: status {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def running(self, guest):
        return self.ask(do="state")[guest]

    def disk(self, guest, index):
        """A reader of one of its disks, with power or without."""
        name = os.path.join(self.folder, f"{guest}-d{index}")
        if self.running(guest):
            return NbdReader(name + ".sock")
        return ImageReader(name + ".img")

    def unflushed(self, guest, index):
        """Sectors that were in a disk's cache when its power went last."""
        with open(os.path.join(self.folder, f"{guest}-d{index}.log")) as log:
            return int(re.findall(r"power cut.* of (\d+) unflushed", log.read())[-1])

    def complaints(self, regex):
        """How often the guests' kernels have said so."""
        count = 0
        for guest in self.ask(do="state"):
            with open(os.path.join(self.folder, f"{guest}.console"), "rb") as console:
                count += len(re.findall(regex, console.read()))
        return count

    def status(self, guest):
        """Volume name -> what `blkcast status` says of it."""
        text = self.execute(guest, "blkcast status --json")
        return {v["name"]: v for v in json.loads(text)["volumes"]}


class Program:
    def __init__(self, lab, guest, command, line):
        """@line is called with each whole line, in a thread of its own."""
        self.line, self.command = line, command
        self.process = subprocess.Popen(
            lab.exec_command(guest, command, 86400, "-i"),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True)
        self.error = None
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        try:
            for line in self.process.stdout:
                if line.endswith("\n"):     # the cut takes the rest of another
                    self.line(line)
        except Exception as error:
            self.error = error

    def tell(self, text):
        try:
            self.process.stdin.write(text)
            self.process.stdin.flush()
        except BrokenPipeError:     # its guest is gone
            pass

    def tell_to_end(self):
        self.process.stdin.close()

    def stop(self):
        """Waits for its orderly end."""
        self.tell_to_end()
        self.join(0)

    def lost(self):
        """Its guest is gone; it has to have run until then."""
        self.join(GUEST_GONE)

    def join(self, status):
        self.thread.join()
        self.process.wait()
        if self.error:
            raise self.error
        if self.process.returncode != status:
            raise LabError(f"{self.command}: status {self.process.returncode}: "
                           + self.process.stderr.read())


def wait_until(seconds, what, condition):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise LabError(f"in vain, for {seconds} s: {what}")
        time.sleep(0.2)
