"""A name server for tests: argument 1 is its address. It prints a line when it listens."""

import sys

from dnslib import CLASS, QTYPE, RCODE, RR, SRV, A
from dnslib.server import DNSServer, BaseResolver, DNSLogger

TARGETS = {
    "_web._tcp.example.org.": [(20, "web3"), (10, "web2"), (10, "web1")],
    # More than fits into a datagram: the answer is cut, and asked for again by TCP.
    "_many._tcp.example.org.": [(1, f"a-long-name-of-a-host-{n:03}") for n in range(100)],
    "_none._tcp.example.org.": [(0, "")],
    "_bad._tcp.example.org.": [(0, "-oProxyCommand=x")],
}


class Resolver(BaseResolver):
    def resolve(self, request, handler):
        reply = request.reply()
        name, kind = str(request.q.qname), QTYPE[request.q.qtype]
        if name == "_broken._tcp.example.org.":
            reply.header.rcode = RCODE.SERVFAIL
        elif kind == "SRV" and name in TARGETS:
            for priority, host in TARGETS[name]:
                target = f"{host}.example.org" if host else "."
                reply.add_answer(RR(name, QTYPE.SRV, CLASS.IN, 60, SRV(priority, 0, 8080, target)))
        elif name == "web.example.org." and kind == "A":
            for address in ("127.0.0.2", "127.0.0.1"):
                reply.add_answer(RR(name, QTYPE.A, CLASS.IN, 60, A(address)))
        elif name not in ("_empty._tcp.example.org.", "web.example.org."):
            reply.header.rcode = RCODE.NXDOMAIN
        return reply


quiet = DNSLogger(log="-request,-reply,-truncated,-error,-recv,-send,-data")
for tcp in (False, True):
    DNSServer(Resolver(), address=sys.argv[1], port=53, tcp=tcp, logger=quiet).start_thread()
print("listening", flush=True)
sys.stdin.read()
