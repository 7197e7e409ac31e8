"""(i) Hosts by their names, which a name server is asked for, beside the same hosts by their addresses."""

import os
import signal
import socket

import peers
import settings

DOMAIN = "bench.test"
SERVER = "127.255.0.53"


def names(bench):
    farm = bench.farm()
    server = NameServer(farm)
    try:
        # A resolv.conf of their own, for the commands alone.
        resolv = bench.work / "resolv.conf"
        resolv.write_text(f"nameserver {SERVER}\noptions attempts:3 timeout:2\n")
        script = f"mount --bind {resolv} /etc/resolv.conf && exec \"$@\""
        within = ["unshare", "-m", "--propagation", "private", "sh", "-c", script, "sh"]
        addresses = farm.list(settings.HOSTS)
        named = farm.folder / "named"
        named.write_text("".join(f"{name}\n" for name in server.names(settings.HOSTS)))
        known = [line.split(" ", 1) for line in farm.known_hosts.read_text().splitlines()]
        with open(farm.known_hosts, "a") as file:
            file.writelines(f"[*.{DOMAIN}]:{farm.port} {key}\n" for _, key in known)
        tools = [peer for peer in peers.PEERS if peer.name in ("hoist", "floor")]
        for number in range(settings.ROUNDS):
            for part, hosts in [("addresses", addresses), ("names", named)][:: 1 if number % 2 == 0 else -1]:
                for peer in tools:
                    argv, env = peer.call(bench.tools, farm, hosts)
                    report = farm.measure(settings.HOSTS, [*within, *argv], env, bench.output)
                    bench.note(part, peer.name, number, report, memory=False)
    finally:
        server.down()
        farm.down()


class NameServer:
    """A process that knows the addresses of a farm's hosts, and of nothing else."""

    def __init__(self, farm):
        self.farm = farm
        listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        listener.bind((SERVER, 53))
        self.process = os.fork()
        if self.process == 0:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            try:
                serve(listener, f"{farm.network}.20")
            finally:
                os._exit(1)
        listener.close()

    def names(self, count):
        """The third and fourth byte of the address are the name."""
        for address in self.farm.addresses(count):
            yield "h{}-{}.{}".format(*address.split(".")[2:], DOMAIN)

    def down(self):
        os.kill(self.process, signal.SIGTERM)
        os.waitpid(self.process, 0)


def serve(listener, network):
    """Answers questions (RFC 1035, 4.1) for an IPv4 address with one; others have no answer."""
    while True:
        question, client = listener.recvfrom(4096)
        end = question.index(b"\0", 12) + 1
        label = question[13 : 13 + question[12]].decode("ascii", "replace")
        is_address = question[end : end + 2] == b"\0\1" and label.startswith("h")
        # The name of the answer is that of the question, by a pointer to it.
        address = socket.inet_aton(f"{network}.{label[1:].replace('-', '.')}") if is_address else b""
        answer = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + address if is_address else b""
        head = question[:2] + b"\x85\x80\0\1" + (b"\0\1" if is_address else b"\0\0") + b"\0\0\0\0"
        listener.sendto(head + question[12 : end + 4] + answer, client)
