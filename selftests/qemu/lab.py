# SPDX-License-Identifier: GPL-2.0-or-later
"""The lab: one process that owns the guests of one test.

    test script --- labctl --- ctl (Unix socket) --- lab.py
                                                       |-- QEMU g1 -- nbdkit (its disks)
                                                       |-- QEMU g2 -- nbdkit
                                                       `-- lan (Ethernet switch)

Usage: lab.py FOLDER OWNER. All that the lab makes is in FOLDER: NAME.console,
disk images, NAME-dN.log, lab.log, and `share`, which the guests see as /lab.

A request is one line of JSON on `ctl`, the answer another; `exec` goes on with
frames (proto.h) both ways until EXIT. Requests are served concurrently.

Nothing survives the lab: it ends when OWNER (a process id, the test script)
does, and its children die with it by their parent-death signal, even if it is
killed itself.

From the environment: BLKCAST_ACCEL and BLKCAST_CPU, for QEMU; BLKCAST_ICOUNT=1, a
nanosecond of a guest's is an instruction; BLKCAST_LAN=bridge, a bridge of the
machine's kernel in place of lan, whose cards leave sums and segments to it (root
alone; no cut, mute, heal).

A kernel complaint on any console is a problem, and so is a guest that ends
without being told to, or what a sanitizer has found; `finish` returns them all.
"""

import asyncio
import json
import os
import re
import shlex
import shutil
import signal
import socket
import struct
import sys

FRAME = struct.Struct("<III")
EXEC, TTY, IN, KILL, HALT = 1, 2, 3, 4, 5
READY, OUT, ERR, EXIT = 16, 17, 18, 19

TREE = os.path.realpath(os.path.join(os.path.dirname(__file__), "../.."))
BUILD = os.path.join(TREE, ".build/selftests")
CACHE = os.environ.get("BLKCAST_CACHE", "/var/cache/blkcast")

TOOLS = os.environ.get("BLKCAST_TOOLS", "")
SANITIZERS = "share/sanitizers"     # what they have found, a file a process

SLOWNESS = int(os.environ.get("LAB_SLOWNESS", "1"))
BOOT_LIMIT = 180 * SLOWNESS     # seconds, on a machine that is very busy
BOOT_TRIES = 3
PROBE_LIMIT = 20        # for a KVM that is worth having
HALT_LIMIT = 60 * SLOWNESS

# One thread a guest: with one a vCPU a stock kernel now and then dies at boot of
# an int3 oops (it patches code that the other vCPU has translated already). KCSAN, whose
# kernel does not, sees only what vCPUs do at the same time.
KCSAN = os.environ.get("KVER", "").endswith("-kcsan")
TCG = f"tcg,thread={'multi' if KCSAN else 'single'}"
CPU = os.environ.get("BLKCAST_CPU", "max")
# The lab has a network namespace of its own (lab.sh).
BRIDGE = os.environ.get("BLKCAST_LAN") == "bridge"
COMMAND_LINE = (
    "console=ttyS0 quiet loglevel=5 panic=-1 oops=panic panic_on_warn=1 "
    "no_timer_check watchdog_thresh=60 rcupdate.rcu_cpu_stall_timeout=300 "
    "net.ifnames=0 mitigations=off")
if KCSAN:   # it watches one in 4000 accesses: few, where none but the module's are counted
    COMMAND_LINE += " kcsan.early_enable=1 kcsan.skip_watch=40"
# The older machine's firmware counts out its interrupts in a loop, which takes a kernel
# that looks for mistakes longer than it waits for; the newer one's has a table.
MACHINE = "q35" if SLOWNESS > 1 else "pc"

if SLOWNESS > 1:
    # The kernel's own tests of its ciphers take it long, and are not ours.
    COMMAND_LINE += " cryptomgr.notests=1"

COMPLAINT = re.compile(
    rb"BUG:|BUG [a-z]|WARNING:|Oops|Kernel panic|general protection|UBSAN:|KASAN:|KCSAN:"
    rb"|INFO: task .* blocked|INFO: rcu|INFO: possible|INFO: trying to register"
    rb"|possible (circular|recursive) locking|inconsistent lock state"
    rb"|suspicious RCU usage|refcount_t:|unregister_netdevice: waiting"
    rb"|failed to validate module|Objects remaining|kmem_cache_destroy"
    rb"|unreferenced object|bad page state|list_(add|del) corruption"
    rb"|kmemleak: Kernel memory leak detector disabled")


def sanitizer_findings():
    """Each in a line."""
    for name in sorted(os.listdir(SANITIZERS)):
        with open(f"{SANITIZERS}/{name}", "rb") as report:
            lines = report.read().decode(errors="replace").splitlines()
        told = [line for line in lines
                if re.search("SUMMARY: |ERROR: ", line)]
        yield f"{name}: {told[-1].strip() if told else 'it is said nothing of'}"


class LabError(Exception):
    """What the test script is told."""


async def spawn(*command, **kwargs):
    """Starts a process that dies with the lab."""
    return await asyncio.create_subprocess_exec(
        "setpriv", "--pdeathsig", "KILL", "--", *command, **kwargs)


class Disk:
    """A disk of a guest: SIZE and options, after commas.

    A volatile disk is an nbdkit of its own (seed=N, grain=N, keep=PERCENT,
    flush=MS: see volatile-disk.c); a plain one is just the file. lbs=N is the
    block size that the guest sees. A volatile disk can be told to stall, until it
    shall go on, and to fail what is written, until it is healed.
    """

    def __init__(self, name, spec):
        size, *words = spec.split(",")
        options = dict((w + "=1").split("=")[:2] for w in words)
        self.name = name
        self.image = name + ".img"
        self.plain = "plain" in options
        self.block = options.get("lbs", "512")
        self.grain = options.get("grain", "512")
        self.keep = options.get("keep", "50")
        self.flush = options.get("flush", "0")
        self.seed = int(options.get("seed", os.environ.get("SEED", "1")))
        self.process = None
        with open(self.image, "wb") as image:
            image.truncate(parse_size(size))

    async def start(self):
        if self.plain or self.process:
            return
        sock = self.name + ".sock"
        if os.path.exists(sock):
            os.unlink(sock)
        with open(self.name + ".log", "ab") as log:
            self.process = await spawn(
                "nbdkit", "-f", "-U", sock, BUILD + "/volatile-disk.so",
                "file=" + self.image, f"seed={self.seed}",
                "grain=" + self.grain, "keep=" + self.keep,
                "flush=" + self.flush, f"fail={self.name}.fail",
                stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log)
        self.seed += 1
        while not os.path.exists(sock):
            if self.process.returncode is not None:
                raise LabError(f"disk {self.name}: see {self.name}.log")
            await asyncio.sleep(0.01)

    async def power_off(self):
        """What its cache holds now is lost, or not, by lot."""
        self.control("go")
        self.control("heal")
        if self.process and self.process.returncode is None:
            self.process.terminate()
            await self.process.wait()
        self.process = None

    def control(self, verb):
        if verb in ("stall", "go"):
            if self.process and self.process.returncode is None:
                self.process.send_signal(signal.SIGSTOP if verb == "stall"
                                         else signal.SIGCONT)
        elif verb == "fail":
            with open(self.name + ".fail", "w", encoding="ascii"):
                pass
        elif os.path.exists(self.name + ".fail"):
            os.unlink(self.name + ".fail")

    def arguments(self, index):
        node = f"d{index}"
        backend = (
            f"driver=file,filename={self.image}" if self.plain else
            f"driver=nbd,server.type=unix,server.path={self.name}.sock")
        return ["-blockdev", f"{backend},node-name={node},discard=unmap",
                "-device", f"virtio-blk-pci,drive={node},serial={self.name},"
                           f"logical_block_size={self.block},"
                           f"physical_block_size={self.block}"]


def parse_size(text):
    units = {"K": 10, "M": 20, "G": 30, "T": 40}
    if text[-1:] in units:
        return int(text[:-1]) << units[text[-1]]
    return int(text)


class Qmp:
    """QEMU's monitor: one command at a time, events ignored."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer
        self.lock = asyncio.Lock()
        self.greeted = False

    async def command(self, verb, **arguments):
        async with self.lock:
            if not self.greeted:
                await self.reader.readline()
                await self.send("qmp_capabilities")
                self.greeted = True
            return await self.send(verb, **arguments)

    async def send(self, verb, **arguments):
        request = {"execute": verb, "arguments": arguments}
        self.writer.write(json.dumps(request).encode() + b"\n")
        while True:
            line = await self.reader.readline()
            if not line:
                raise LabError(f"{verb}: the guest is gone")
            answer = json.loads(line)
            if "error" in answer:
                raise LabError(f"{verb}: {answer['error']['desc']}")
            if "return" in answer:
                return answer["return"]


async def ip(*commands):
    for command in commands:
        status = await (await spawn("ip", *command.split())).wait()
        if status:
            raise LabError(f"ip {command}: status {status}")


class Guest:
    """One virtual machine. Its disks and console outlive each of its runs."""

    def __init__(self, lab, name, number, options):
        self.lab, self.name, self.number = lab, name, number
        self.kernel = options.get("kernel") or os.environ.get("KVER") or "6.12"
        memory = int(options.get("memory", "768"))
        # A kernel that looks for mistakes wants much for itself.
        self.memory = str(memory * 3 // 2 if SLOWNESS > 1 else memory)
        self.cpus = options.get("cpus", "2")
        self.append = options.get("append", "")
        self.accel = options.get("accel")
        self.disks = [Disk(f"{name}-d{i}", spec)
                      for i, spec in enumerate(options.get("disks", []))]
        self.process = None
        self.jobs = {}          # id -> writer of the client
        self.last_job = 0
        self.told_to_end = False
        self.start_lock = asyncio.Lock()

    @property
    def console(self):
        return self.name + ".console"

    @property
    def running(self):
        return self.process is not None

    def must_run(self):
        if not self.running:
            raise LabError(f"{self.name} is not running")

    def qemu(self, agent_fd, qmp_fd, lan_fd):
        kernel = f"{CACHE}/kernels/{self.kernel}"
        settings = (f"blkcast.tree={TREE} blkcast.kernel={kernel} "
                    f"blkcast.name={self.name} blkcast.number={self.number}")
        if TOOLS:
            settings += " blkcast.tools=" + TOOLS
        mac = f"52:54:00:77:00:{self.number:02x}"
        accel = self.accel or self.lab.accel
        cpu = "host" if accel == "kvm" else CPU
        share_model = "none" if os.geteuid() == 0 else "mapped-xattr"
        command = [
            "qemu-system-x86_64", "-nodefaults", "-no-user-config",
            "-display", "none", "-no-reboot", "-name", self.name,
            "-machine", MACHINE, "-accel", accel,
            "-cpu", cpu, "-m", self.memory, "-smp", self.cpus,
            "-kernel", kernel + "/vmlinux",
            "-initrd", f"{BUILD}/initramfs-{self.kernel}.cpio",
            "-append", f"{COMMAND_LINE} {settings} {self.append}",
            "-chardev", f"file,id=console,path={self.console},append=on",
            "-serial", "chardev:console",
            "-chardev", f"socket,id=qmp,fd={qmp_fd}",
            "-mon", "chardev=qmp,mode=control",
            "-device", "virtio-serial-pci",
            "-chardev", f"socket,id=agent,fd={agent_fd}",
            "-device", "virtserialport,chardev=agent,name=agent",
            "-device", "virtio-rng-pci",
            "-netdev", (f"tap,id=lan,ifname=g{self.number},script=no,downscript=no"
                        if BRIDGE else f"socket,id=lan,fd={lan_fd}"),
            "-device", f"virtio-net-pci,netdev=lan,mac={mac},host_mtu=9000,romfile=",
            "-fsdev", "local,id=root,path=/,security_model=none,"
                      "readonly=on,multidevs=remap",
            "-device", "virtio-9p-pci,fsdev=root,mount_tag=root",
            "-fsdev", f"local,id=lab,path=share,security_model={share_model},"
                      "multidevs=remap",
            "-device", "virtio-9p-pci,fsdev=lab,mount_tag=lab"]
        if os.environ.get("BLKCAST_ICOUNT"):
            # A nanosecond of the guest's is an instruction.
            command += ["-icount", "shift=0"]
        for index, disk in enumerate(self.disks):
            command += disk.arguments(index)
        return command

    async def start(self, limit=BOOT_LIMIT):
        async with self.start_lock:
            if self.running:
                raise LabError(f"{self.name} is running already")
            for tries_left in range(BOOT_TRIES - 1, -1, -1):
                await self.boot()
                try:
                    await asyncio.wait_for(self.ready, limit)
                    return
                except asyncio.TimeoutError:
                    await self.kill()
                    raise LabError(f"{self.name}: no sign of life after {limit} s; "
                                   + self.tail()) from None
                except LabError:
                    await self.ended
                    if not tries_left or self.told_to_end:
                        raise
                # Emulated, a stock kernel now and then dies of a stray trap
                # long before it runs anything of ours.
                self.set_boot_aside()

    def set_boot_aside(self):
        """A boot that failed is no complaint; what the console had before it may be."""
        with open(self.console, "rb+") as log, \
             open(f"{self.console}.failed-boot", "ab") as aside:
            text = log.read()
            at = text.rindex(b"=== power on\n")
            aside.write(text[at:])
            log.truncate(at)

    async def boot(self):
        for disk in self.disks:
            await disk.start()
        if BRIDGE:
            await ip(f"tuntap add g{self.number} mode tap vnet_hdr",
                     f"link set g{self.number} mtu 9000 master lan up")
        agent, agent_far = socket.socketpair()
        qmp, qmp_far = socket.socketpair()
        lan = socket.socket(socket.AF_UNIX)
        lan.connect("lan")
        fds = [s.fileno() for s in (agent_far, qmp_far, lan)]
        command = self.qemu(*fds)
        print(shlex.join(command), flush=True)
        with open(self.console, "ab") as log:
            log.write(b"=== power on\n")
            self.process = await spawn(
                *command, pass_fds=fds, stdin=asyncio.subprocess.DEVNULL,
                stdout=log, stderr=log)
        for far in (agent_far, qmp_far, lan):
            far.close()
        self.told_to_end = False
        self.ready = asyncio.get_running_loop().create_future()
        self.ended = asyncio.create_task(self.watch(self.process))
        reader, self.port = await asyncio.open_connection(sock=agent)
        self.qmp = Qmp(*await asyncio.open_connection(sock=qmp))
        asyncio.create_task(self.receive(reader))

    async def receive(self, reader):
        """Hands the agent's frames to the clients whose jobs they are of."""
        try:
            while True:
                job, kind, length = FRAME.unpack(
                    await reader.readexactly(FRAME.size))
                data = await reader.readexactly(length)
                if kind == READY:
                    self.ready.set_result(None)
                elif job in self.jobs:
                    self.jobs[job].write(FRAME.pack(job, kind, length) + data)
                    if kind == EXIT:
                        self.jobs.pop(job).close()
                elif kind in (OUT, ERR):
                    with open(self.console, "ab") as log:
                        log.write(data)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass

    async def watch(self, process):
        """Runs when QEMU has ended, for whatever reason."""
        await process.wait()
        self.process = None
        if not self.told_to_end and self.ready.done():
            self.lab.problems.append(f"{self.name} ended by itself")
        for job, client in self.jobs.items():
            text = f"{self.name} went down\n".encode()
            client.write(FRAME.pack(job, ERR, len(text)) + text)
            client.write(FRAME.pack(job, EXIT, 4) + struct.pack("<I", 255))
            client.close()
        self.jobs.clear()
        self.port.close()
        self.qmp.writer.close()
        if not self.ready.done():
            self.ready.set_exception(LabError(
                f"{self.name} ended before it was up; " + self.tail()))
            self.ready.exception()

    async def kill(self):
        """No more I/O comes from it; its disks still have power."""
        self.told_to_end = True
        if self.running:
            self.process.kill()
        await self.ended

    async def power_cut(self):
        self.must_run()
        await self.kill()
        for disk in self.disks:
            await disk.power_off()

    async def crash(self):
        """The machine is gone, but its disks stay under power."""
        self.must_run()
        await self.kill()

    async def stop(self):
        self.must_run()
        self.told_to_end = True
        self.send(0, HALT)
        try:
            await asyncio.wait_for(asyncio.shield(self.ended), HALT_LIMIT)
        except asyncio.TimeoutError:
            self.lab.problems.append(f"{self.name} does not power off")
            await self.kill()
        for disk in self.disks:
            await disk.power_off()

    def send(self, job, kind, data=b""):
        self.port.write(FRAME.pack(job, kind, len(data)) + data)

    async def execute(self, request, reader, writer):
        """Carries one command until it ends or its client goes away."""
        self.must_run()
        self.last_job += 1
        job = self.last_job
        self.jobs[job] = writer
        self.send(job, TTY if request.get("tty") else EXEC,
                  request["command"].encode())
        try:
            while True:
                _, kind, length = FRAME.unpack(
                    await reader.readexactly(FRAME.size))
                data = await reader.readexactly(length)
                if self.running:
                    self.send(job, kind, data)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        if self.jobs.pop(job, None) and self.running:
            self.send(job, KILL)

    def tail(self, lines=25):
        with open(self.console, "rb") as log:
            text = log.read().decode(errors="replace").splitlines()[-lines:]
        path = os.path.realpath(self.console)
        return f"the end of {path}:\n  " + "\n  ".join(text)

    def complaints(self):
        with open(self.console, "rb") as log:
            return [line.decode(errors="replace").strip() for line in log
                    if COMPLAINT.search(line)]


class Lab:
    def __init__(self):
        self.guests = {}
        self.problems = []
        self.accel = os.environ.get("BLKCAST_ACCEL")
        self.done = asyncio.Event()

    def guest(self, name):
        if name not in self.guests:
            raise LabError(f"there is no guest {name}")
        return self.guests[name]

    def add(self, name, options):
        if name in self.guests:
            raise LabError(f"there is a guest {name} already")
        number = len(self.guests) + 1
        self.guests[name] = Guest(self, name, number, options)
        with open("share/hosts", "w", encoding="ascii") as hosts:
            hosts.write("127.0.0.1 localhost\n")
            for guest in self.guests.values():
                hosts.write(f"10.77.0.{guest.number} {guest.name}\n")
        return number

    async def choose_accel(self):
        """KVM only where a guest has really come up with it, since the
        machine was booted; a KVM that hangs is not worth having."""
        if self.accel:
            return
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as f:
            verdict = f"{BUILD}/accel.{f.read().strip()}"
        if os.path.exists(verdict):
            with open(verdict, encoding="ascii") as f:
                self.accel = "kvm" if f.read() == "kvm" else TCG
            return
        self.accel = TCG
        if os.access("/dev/kvm", os.W_OK):
            probe = Guest(self, "kvm-probe", 250, {"accel": "kvm"})
            try:
                await probe.start(PROBE_LIMIT)
                await probe.kill()
                self.accel = "kvm"
            except LabError:
                self.problems.clear()
        with open(verdict, "w", encoding="ascii") as f:
            f.write(self.accel)

    async def start(self, names):
        guests = [self.guest(name) for name in names]
        await self.choose_accel()
        results = await asyncio.gather(*(guest.start() for guest in guests),
                                       return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result

    async def finish(self):
        """Takes the power from all and tells what was not as it should be."""
        for guest in self.guests.values():
            if guest.running:
                await guest.power_cut()
        for guest in self.guests.values():
            if os.path.exists(guest.console):
                self.problems += [f"{guest.name}: {line}"
                                  for line in guest.complaints()]
        self.problems += sanitizer_findings()
        self.done.set()
        return self.problems

    async def answer(self, request):
        command, name = request["do"], request.get("guest")
        if command == "add":
            return self.add(name, request["options"])
        if command == "start":
            return await self.start(request["guests"])
        if command == "stop":
            return await self.guest(name).stop()
        if command == "cut":
            return await self.guest(name).power_cut()
        if command == "crash":
            return await self.guest(name).crash()
        if command == "link":
            return await self.guest(name).qmp.command(
                "set_link", name="lan", up=request["up"])
        if command == "lan":
            if BRIDGE:
                raise LabError("the bridge has no such commands")
            one, other = (self.guest(g).number for g in request["guests"])
            line = f"{request['verb']} {one} {other}\n"
            return self.lan.stdin.write(line.encode())
        if command == "disk":
            guest = self.guest(name)
            guest.must_run()
            return guest.disks[request["index"]].control(request["verb"])
        if command == "state":
            return {g.name: g.running for g in self.guests.values()}
        if command == "finish":
            return await self.finish()
        raise LabError(f"unknown request {command}")

    async def serve(self, reader, writer):
        """One client's request."""
        try:
            request = json.loads(await reader.readline())
            if request["do"] == "exec":
                guest = self.guest(request["guest"])
                guest.must_run()
                writer.write(b'{"ok": null}\n')
                return await guest.execute(request, reader, writer)
            result = {"ok": await self.answer(request)}
        except LabError as error:
            result = {"error": str(error)}
        except Exception as error:      # a bug of the lab: say so, go on
            result = {"error": f"lab: {error!r}"}
            raise
        finally:
            if not writer.is_closing() and "result" in locals():
                writer.write(json.dumps(result).encode() + b"\n")
                writer.close()

    async def run(self, owner):
        loop = asyncio.get_running_loop()
        loop.add_reader(os.pidfd_open(owner), self.done.set)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, self.done.set)
        shutil.rmtree(SANITIZERS, ignore_errors=True)
        os.makedirs(SANITIZERS)
        self.lan = await spawn(BUILD + "/lan", "lan",
                               stdin=asyncio.subprocess.PIPE)
        while not os.path.exists("lan"):
            await asyncio.sleep(0.01)
        if BRIDGE:
            await ip("link add lan type bridge", "link set lan mtu 9000 up")
        server = await asyncio.start_unix_server(self.serve, "ctl")
        await self.done.wait()
        server.close()
        for guest in self.guests.values():
            if guest.running:
                await guest.power_cut()


def main():
    os.chdir(sys.argv[1])
    asyncio.run(Lab().run(int(sys.argv[2])))


main()
