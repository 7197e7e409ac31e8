"""A command on many hosts by the Python library parallel-ssh; run with the Python that has it.

usage: library.py HOSTS PORT KEY POOL COMMAND

It checks no host key: the library does not read known_hosts.
"""

import sys

from pssh.clients import ParallelSSHClient

hosts, port, key, pool, command = sys.argv[1:]
with open(hosts) as file:
    names = file.read().split()
client = ParallelSSHClient(
    names, user="root", port=int(port), pkey=key, pool_size=int(pool), allow_agent=False, identity_auth=False
)
output = client.run_command(command)
client.join(output)
sys.exit(0 if all(host.exit_code == 0 for host in output) else 1)
