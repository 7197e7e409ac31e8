"""Which algorithms a client offers, so that the floor can offer the same."""

import socket
import struct
import subprocess

# Where the lists stand in SSH_MSG_KEXINIT (RFC 4253, 7.1): key exchange, ciphers and MACs to the server.
KEX, CIPHERS, MACS = 0, 2, 4


def offered(argv, env, output):
    """Starts a client with `%PORT%` for a port at 127.0.0.1, takes down what it offers, and ends it.

    The lists as the floor takes them: KEX/CIPHERS/MACS, each comma-separated.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener, open(output, "ab") as file:
        port = str(listener.getsockname()[1])
        listener.settimeout(30)
        words = [str(word).replace("%PORT%", port) for word in argv]
        client = subprocess.Popen(words, env=env, stdin=subprocess.DEVNULL, stdout=file, stderr=file)
        try:
            with listener.accept()[0] as connection:
                connection.settimeout(30)
                connection.sendall(b"SSH-2.0-bench\r\n")
                stream = connection.makefile("rb")
                stream.readline()
                length, padding = struct.unpack(">IB", stream.read(5))
                payload = stream.read(length - 1)[: length - 1 - padding]
        finally:
            client.kill()
            client.wait()
    lists, rest = [], payload[17:]
    while len(lists) < 10:
        (length,) = struct.unpack(">I", rest[:4])
        lists.append(rest[4 : 4 + length].decode().split(","))
        rest = rest[4 + length :]
    # Not algorithms, but signs of what the client can do; the library adds them by itself.
    kex = [name for name in lists[KEX] if not name.startswith(("ext-info-", "kex-strict-"))]
    return "/".join(",".join(names) for names in (kex, lists[CIPHERS], lists[MACS]))
