#!/usr/bin/env python3
"""Prints the licences of everything that is linked into Hoist, each text once.

The crates are those that Cargo.lock names for Linux, without those of tests alone. Their sources, which Cargo has
unpacked, have the texts.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ARCHITECTURES = ("x86_64", "aarch64")
# Crates that build a library of C from its source, and where that library has its licence.
LIBRARIES = {
    "openssl-src": ("OpenSSL", "openssl/LICENSE.txt"),
    "libssh2-sys": ("libssh2", "libssh2/COPYING"),
    "libz-sys": ("zlib", "src/zlib/LICENSE"),
}
# Is linked into a static binary as well, and no crate.
HEAD = """The binary of Hoist contains the work of others. Each part is listed with its licence; the texts follow.

The GNU C Library (LGPL-2.1-or-later) is linked statically. The source of Hoist, with which it can be linked again to
another version of that library, comes with these terms: `make static` does that. The standard library of Rust is under
MIT OR Apache-2.0.
"""


def metadata(architecture):
    command = [os.environ.get("CARGO", "cargo"), "metadata", "--locked", "--offline", "--format-version", "1"]
    command += ["--filter-platform", f"{architecture}-unknown-linux-gnu"]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE)
    return json.loads(done.stdout)


def linked(answer):
    """The packages that are linked: normal dependencies, and the sources of C libraries."""
    nodes = {node["id"]: node for node in answer["resolve"]["nodes"]}
    packages = {package["id"]: package for package in answer["packages"]}
    found, left = set(), [answer["resolve"]["root"]]
    while left:
        node = left.pop()
        if node in found:
            continue
        found.add(node)
        for dependency in nodes[node]["deps"]:
            kinds = {kind["kind"] for kind in dependency["dep_kinds"]}
            name = packages[dependency["pkg"]]["name"]
            if None in kinds or ("build" in kinds and name in LIBRARIES):
                left.append(dependency["pkg"])
    return [packages[one] for one in found if packages[one]["source"]]


def is_licence(name):
    return name.upper().startswith(("LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE", "UNLICENSE"))


def texts(package):
    """The licence texts of a package, of the C library in it too."""
    folder = Path(package["manifest_path"]).parent
    files = sorted(path for path in folder.iterdir() if path.is_file() and is_licence(path.name))
    library = LIBRARIES.get(package["name"])
    if library and (folder / library[1]).is_file():
        files.append(folder / library[1])
    found = [path.read_text(encoding="utf-8", errors="replace").strip("\n") for path in files]
    return ["\n".join(line.rstrip() for line in text.splitlines()) for text in found if text.strip()]


def main():
    packages = {}
    for architecture in ARCHITECTURES:
        for package in linked(metadata(architecture)):
            packages[package["name"], package["version"]] = package
    numbers, standard = {}, {}
    lines = [HEAD]
    lacking = []
    for (name, version), package in sorted(packages.items()):
        licence = package["license"] or "see its text"
        own = texts(package)
        if own:
            standard.setdefault(licence, own)
        else:
            lacking.append((name, version, licence))
        places = sorted({numbers.setdefault(text, len(numbers) + 1) for text in own})
        library = LIBRARIES.get(name)
        what = f"{name} {version}" + (f", with {library[0]}" if library else "")
        authors = ", ".join(package["authors"])
        lines.append(f"{what}: {licence}" + (f"; text {', '.join(map(str, places))}" if places else ""))
        if not places and authors:
            lines.append(f"    by {authors}")
    without = [f"{name} {version}" for name, version, licence in lacking if not has_text(licence, standard)]
    if without:
        sys.exit(f"third_party.py: no text of the licence of {', '.join(without)}")
    if lacking:
        lines.append("\nThose without a text of their own are under the texts of the others with the same licence.")
    for text, number in sorted(numbers.items(), key=lambda item: item[1]):
        lines.append(f"\n{'-' * 30} text {number} {'-' * 30}\n\n{text}")
    print("\n".join(lines))


def has_text(licence, standard):
    """Whether another package under one of these licences has its text."""
    words = licence.replace("/", " OR ").replace("(", " ").replace(")", " ").split(" OR ")
    return any(word.strip() in other for word in words for other in standard)


if __name__ == "__main__":
    main()
