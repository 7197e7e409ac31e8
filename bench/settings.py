"""The settings of the benchmark, from the environment. bench.py describes them."""

import os
import sys
from pathlib import Path


def numbers(name, default):
    """The whole numbers, from 1 on, of a setting."""
    words = (os.environ.get(name) or default).split()
    if not words or not all(word.isdecimal() and int(word) > 0 for word in words):
        sys.exit(f"bench: {name}: {' '.join(words)!r}: whole numbers from 1 on, please")
    return [int(word) for word in words]


def number(name, default):
    """The one whole number of a setting."""
    found = numbers(name, default)
    if len(found) > 1:
        sys.exit(f"bench: {name}: {os.environ[name]!r}: one number, please")
    return found[0]


def earlier(path):
    """An earlier build of Hoist, which is there."""
    if path and not os.access(path, os.X_OK):
        sys.exit(f"bench: OLD: there is no program {path}")
    return Path(path).resolve() if path else None


if os.environ.get("QUICK", "") not in ("", "0", "1"):
    sys.exit(f"bench: QUICK: {os.environ['QUICK']!r}: 1 for a short trial, or nothing")
QUICK = os.environ.get("QUICK") == "1"
ROUNDS = number("ROUNDS", "1" if QUICK else "2")
HOSTS = number("HOSTS", "20" if QUICK else "300")
SIZES = sorted(numbers("SIZES", "5 20" if QUICK else "300 3000"))
# Sessions are held open on no more hosts than this: the memory of each one more is the same.
HELD = min(SIZES[-1], 1000)
# The memory of tools that start a process for each host is that of a batch, of 80: more hosts would only take time.
HELD_BY_FORKS = 120
DEPLOYED = number("DEPLOY_HOSTS", str(min(HOSTS, 4 if QUICK else 80)))
DEPLOY_ROUNDS = min(ROUNDS, 2)
THOUSAND = number("HEADLINE_HOSTS", str(min(HOSTS, 10)) if QUICK else "1000")
MEGABYTES = number("MEGABYTES", "8" if QUICK else "200")
CHANGED = number("CHANGED", "1" if QUICK else "10")
BYTES_HOSTS = number("BYTES_HOSTS", str(min(HOSTS, 2) if QUICK else HOSTS))
LARGE = number("LARGE", "2" if QUICK else "200")
# By each way a host writes up to 300 MB for 200, on one disk and two processors with all others: five minutes are enough
# for these.
LARGE_HOSTS = number("LARGE_HOSTS", "1" if QUICK else "10")
# Bytes a second, where `transfer_limit` is measured.
LIMIT = 300_000 if QUICK else 20_000_000
# Two builds are compared in more rounds than others, since they differ by little.
COMPARE_ROUNDS = 1 if QUICK else max(ROUNDS, 5)
# One way; a round trip is two of them.
DELAY = 0.025
# Bits a second of the slow link of the first contact.
SLOW_LINK = 100_000_000
# An earlier build of Hoist, to be compared.
OLD = earlier(os.environ.get("OLD"))
