"""A network namespace whose loopback device is the whole network: what crosses it is counted, and may be slowed down."""

import os
import subprocess
from pathlib import Path


class Wire:
    """`within` is put ahead of commands that run in it, the server's and the clients' alike."""

    made = 0

    def __init__(self, rate=None):
        """`rate` in bits a second, over all connections and both directions."""
        Wire.made += 1
        self.name = f"hoist-bench-wire{Wire.made}-{os.getpid()}"
        self.within = ["ip", "netns", "exec", self.name]
        subprocess.run(["ip", "netns", "add", self.name], check=True)
        try:
            subprocess.run(["ip", "-n", self.name, "link", "set", "lo", "up"], check=True)
            if rate:
                # A queue of a second; a burst of what the device sends at once.
                shape = ["tbf", "rate", f"{rate}bit", "burst", "256kb", "latency", "1s"]
                subprocess.run([*self.within, "tc", "qdisc", "add", "dev", "lo", "root", *shape], check=True)
        except BaseException:
            self.down()
            raise

    @staticmethod
    def bytes(pid):
        """What has crossed the network of a process so far, in both directions, with the headers of packets."""
        lines = Path(f"/proc/{pid}/net/dev").read_text().splitlines()
        [counts] = [line.partition(":")[2].split() for line in lines if line.strip().startswith("lo:")]
        return int(counts[8])

    def down(self):
        subprocess.run(["ip", "netns", "del", self.name], check=False)
