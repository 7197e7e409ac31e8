"""A network with a delay: two network namespaces, and between them a link that holds every packet back for a while.

The link is a pair of TUN devices with this program between them, so that no kernel module is needed.
"""

import collections
import ctypes
import fcntl
import os
import select
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

TUNSETIFF = 0x400454CA  # linux/if_tun.h
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
CLONE_NEWNET = 0x40000000
DEVICE = "bench0"
CLIENT = "10.255.255.1"


class Network:
    """`client` and `server` are put ahead of commands that run on either side; the hosts are all of 10.20.0.0/16."""

    def __init__(self, delay):
        """`delay` in seconds is that of one way."""
        self.names = [f"hoist-bench-{side}-{os.getpid()}" for side in ("client", "server")]
        self.client, self.server = (["ip", "netns", "exec", name] for name in self.names)
        self.link = None
        try:
            self.make(delay)
        except BaseException:
            self.down()
            raise

    def make(self, delay):
        for name in self.names:
            ip("netns", "add", name)
            ip("-n", name, "link", "set", "lo", "up")
        ends = [tun(name) for name in self.names]
        client, server = self.names
        for name in self.names:
            ip("-n", name, "link", "set", DEVICE, "up", "txqueuelen", "10000")
        ip("-n", client, "addr", "add", f"{CLIENT}/32", "dev", DEVICE)
        ip("-n", client, "route", "add", "10.20.0.0/16", "dev", DEVICE, "src", CLIENT)
        ip("-n", server, "route", "add", "local", "10.20.0.0/16", "dev", "lo")
        ip("-n", server, "route", "add", f"{CLIENT}/32", "dev", DEVICE)
        self.link = os.fork()
        if self.link == 0:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            try:
                carry(ends, delay)
            finally:
                os._exit(1)
        for end in ends:
            os.close(end)

    def down(self):
        if self.link:
            os.kill(self.link, signal.SIGKILL)
            os.waitpid(self.link, 0)
        for name in self.names:
            subprocess.run(["ip", "netns", "del", name], check=False, stderr=subprocess.DEVNULL)

    def cpu(self):
        """Seconds of CPU time that the link has taken so far."""
        # Behind the name, which is in parentheses and may have spaces: utime and stime are the 12th and the 13th (proc(5)).
        ticks = Path(f"/proc/{self.link}/stat").read_text().rpartition(")")[2].split()[11:13]
        return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")

    def round_trip(self, host, port):
        """Seconds that connecting to a host takes, the least of five."""
        times = []
        for _ in range(5):
            code = (
                "import socket, sys, time; began = time.monotonic();"
                f"socket.create_connection(({host!r}, {port})); print(time.monotonic() - began)"
            )
            done = subprocess.run([*self.client, sys.executable, "-c", code], check=True, capture_output=True, text=True)
            times.append(float(done.stdout))
        return min(times)


def ip(*words):
    subprocess.run(["ip", *words], check=True)


def tun(namespace):
    """A TUN device in a namespace; this process stays in its own."""
    libc = ctypes.CDLL(None, use_errno=True)
    ours = os.open("/proc/self/ns/net", os.O_RDONLY)
    theirs = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    try:
        if libc.setns(theirs, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"cannot enter {namespace}")
        device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", DEVICE.encode(), IFF_TUN | IFF_NO_PI))
        return device
    finally:
        libc.setns(ours, CLONE_NEWNET)
        os.close(ours)
        os.close(theirs)


def carry(ends, delay):
    """Passes packets from each end to the other, each `delay` seconds after it came."""
    try:
        # Ahead of all others, for a busy machine must not add to the delay.
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except OSError:
        pass
    other = {ends[0]: ends[1], ends[1]: ends[0]}
    # All are held back equally long, so they leave in the order in which they came.
    held = collections.deque()
    while True:
        timeout = max(0, held[0][0] - time.monotonic()) if held else None
        for end in select.select(ends, [], [], timeout)[0]:
            for _ in range(64):
                try:
                    packet = os.read(end, 65536)
                except BlockingIOError:
                    break
                held.append((time.monotonic() + delay, other[end], packet))
        now = time.monotonic()
        while held and held[0][0] <= now:
            _, end, packet = held.popleft()
            try:
                os.write(end, packet)
            except BlockingIOError:
                # A full queue loses packets, as any router does.
                pass
