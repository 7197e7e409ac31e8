"""Writes archives that must be refused into the directory of the first argument. For each it prints its name, a tab, and
what the error must contain."""

import gzip
import io
import os
import struct
import subprocess
import sys
import tarfile
import zipfile
import zlib

os.chdir(sys.argv[1])


def case(name, data, expected):
    with open(name, "wb") as file:
        file.write(data)
    print(f"{name}\t{expected}")


def entry(name, kind=tarfile.REGTYPE, data=b"", link="", **more):
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname, info.mode = kind, len(data), link, 0o644
    for key, value in more.items():
        setattr(info, key, value)
    return info, data


def tar(*entries, format=tarfile.GNU_FORMAT, **more):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format, **more) as archive:
        for info, data in entries:
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def raw(kind, name=b"x", data=b"", size=None, mode=b"0000644\0", prefix=b""):
    """One entry as bytes, for what no program writes."""
    length = b"%011o\0" % (len(data) if size is None else size)
    head = name.ljust(100, b"\0") + mode + b"0000000\0" * 2 + length + b"00000000000\0" + b" " * 8 + kind
    head = (head.ljust(257, b"\0") + b"ustar\0" + b"00" + b"\0" * 80 + prefix).ljust(512, b"\0")
    return head[:148] + b"%06o\0 " % sum(head) + head[156:] + data + b"\0" * (-len(data) % 512)


END = b"\0" * 1024
FINE = entry("app/run", data=b"#!/bin/sh\n", mode=0o755)
fine = tar(FINE)


def pax(**records):
    text = b""
    for key, value in records.items():
        record = b" " + key.encode() + b"=" + value + b"\n"
        length = len(record) + len(str(len(record)))
        length += len(str(length)) - len(str(len(record)))
        text += str(length).encode() + record
    return text


SYM, HARD = tarfile.SYMTYPE, tarfile.LNKTYPE

case("absolute.tar", tar(FINE, entry("/etc/passwd", data=b"x")), 'entry "/etc/passwd" has an absolute path')
case("upward.tar", tar(entry("app/../../x", data=b"x")), 'entry "app/../../x" leads upward')
case("link-absolute.tar", tar(FINE, entry("app/l", SYM, link="/etc/passwd")), 'the link "app/l", to "/etc/passwd", leads out')
case("link-upward.tar", tar(FINE, entry("app/l", SYM, link="../../x")), 'the link "app/l", to "../../x", leads out')
chain = [entry("d", SYM, link="app/sub/.."), entry("app/sub", SYM, link=".."), entry("x", SYM, link="d/../y"), FINE]
case("link-chain.tar", tar(*chain), "leads out of the artifact")
case("link-git.tar", tar(FINE, entry("x", SYM, link=".git/config")), "leads into git's own directory")
case("through-link.tar", tar(entry("d", SYM, link="."), entry("d/x", data=b"x")), 'entry "d/x" would be written through the link "d"')
case("through-link-later.tar", tar(entry("d/x", data=b"x"), entry("d", SYM, link="/tmp")), 'entry "d" is both a directory')
case("hard-out.tar", tar(entry("x", HARD, link="/etc/passwd")), 'entry "x" is a hard link to "/etc/passwd", which has an absolute path')
case("hard-upward.tar", tar(entry("x", HARD, link="../x")), "which leads upward")
case("hard-later.tar", tar(entry("x", HARD, link="y"), entry("y", data=b"y")), "no file or symbolic link that comes before it")
case("hard-link-to-link.tar", tar(FINE, entry("d/l", SYM, link="../a"), entry("x", HARD, link="d/l")), 'the link "x", to "../a", leads out')
case("hard-link-to-later-link.tar", tar(entry("x", HARD, link="l"), entry("l", SYM, link="a")), "no file or symbolic link that comes before it")
case("hard-link-to-directory.tar", tar(entry("d", tarfile.DIRTYPE), entry("x", HARD, link="d")), "no file or symbolic link that comes before it")
case("hard-through-link.tar", tar(entry("d/a", data=b"x"), entry("l", SYM, link="d"), entry("x", HARD, link="l/a")), "no file or symbolic link that comes before it")
case("hard-content.tar", raw(b"0", b"a", b"a") + raw(b"1", b"x", b"content") + END, 'entry "x" is no file and has content')
case("device.tar", tar(entry("dev/sda", tarfile.BLKTYPE)), 'entry "dev/sda" is a device')
case("character.tar", tar(entry("dev/null", tarfile.CHRTYPE)), 'entry "dev/null" is a device')
case("fifo.tar", tar(entry("pipe", tarfile.FIFOTYPE)), 'entry "pipe" is a named pipe')
case("unknown.tar", raw(b"Z") + END, "unknown type, 'Z'")
case("volume.tar", raw(b"M") + END, "unknown type, 'M'")
for name in [".git/config", ".GIT/config", "a/.git", "git~1/x", ".git. /x", ".git::$INDEX_ALLOCATION/x", ".g\u200cit/x", "a\\.git/x"]:
    case(f"git-{len(name)}-{abs(hash(name))}.tar", tar(entry(name, data=b"x")), "git's own directory")
case("gitmodules.tar", tar(FINE, entry(".gitmodules", SYM, link="app")), "git does not check out")
case("twice.tar", tar(FINE, FINE), 'entry "app/run" is there twice')
case("twice-dot.tar", tar(FINE, entry("./app//run")), "is there twice")
case("file-is-folder.tar", tar(entry("a", data=b"x"), entry("a/b", data=b"x")), 'entry "a/b" is below "a", which is a file')
case("sparse-gnu.tar", raw(b"S") + END, "is a sparse file")
case("sparse-gnu-content.tar", raw(b"S", data=b"y" * 512) + END, "is a sparse file")
case("sparse-pax.tar", raw(b"x", data=pax(**{"GNU.sparse.major": b"1"})) + raw(b"0") + END, "is a sparse file")
case("pax-upward.tar", raw(b"x", data=pax(path=b"../x")) + raw(b"0", b"innocent", b"x") + END, 'entry "../x" leads upward')
case("pax-link.tar", raw(b"x", data=pax(linkpath=b"/etc")) + raw(b"2", b"l") + raw(b"0", b"y") + END, 'the link "l", to "/etc", leads out')
case("pax-nul.tar", raw(b"x", data=pax(path=b"a\0b")) + raw(b"0") + END, "NUL byte")
case("pax-size.tar", raw(b"x", data=pax(size=b"3")) + raw(b"0", b"a", b"x") + END, 'entry "a" has two sizes')
case("pax-size-small.tar", raw(b"x", data=pax(size=b"3")) + raw(b"0", b"a") + END, 'entry "a" has two sizes')
case("pax-size-huge.tar", raw(b"x", data=pax(size=b"8589934592")) + raw(b"0", b"a") + b"x" * 1024, "8589934592 bytes; artifact_max_size")
case("pax-size-negative.tar", raw(b"x", data=pax(size=b"-1")) + raw(b"0", b"a") + END, "a size that is no number")
case("pax-global.tar", raw(b"g", data=pax(path=b"x")) + raw(b"0", b"a") + raw(b"0", b"b") + END, 'sets "path" for all entries')
case("pax-damaged.tar", raw(b"x", data=b"999999 path=x\n") + raw(b"0") + END, "attributes that are damaged")
case("pax-short.tar", raw(b"x", data=b"2 a=b\n") + raw(b"0") + END, "attributes that are damaged")
case("pax-huge.tar", raw(b"x", size=1 << 30) + b"0" * 4096, "has 1073741824 bytes; at most 1048576 are read")
case("long-huge.tar", raw(b"L", size=1 << 32) + b"0" * 4096, "bytes; at most 1048576 are read")
case("long-twice.tar", raw(b"L", data=b"a\0") + raw(b"L", data=b"b\0") + raw(b"0") + END, "an entry has two names")
case("long-nul.tar", raw(b"L", data=b"a\0b\0") + raw(b"0") + END, "NUL byte")
case("long-alone.tar", raw(b"0") + raw(b"L", data=b"a\0") + END, "whose entry is missing")
case("name-long.tar", tar(entry("n" * 300, data=b"x")), "has a name of 300 bytes")
case("path-long.tar", tar(entry("d/" * 2000 + "x", data=b"x")), "has a path of 4001 bytes")
case("deep.tar", tar(entry("d/" * 300 + "x", data=b"x")), "nested in more than 256 directories")
case("deeper.tar", tar(entry("d/" * 5000 + "x", data=b"x")), "has a path of 10001 bytes")
case("deepest.tar", tar(entry("d/" * 4096 + "x", data=b"x"), format=tarfile.PAX_FORMAT), "has a path of 8193 bytes")
case("case-twice.tar", tar(entry("A", data=b"x"), entry("a", data=b"y"), entry("A", data=b"z")), 'entry "A" is there twice')
case("label.tar", raw(b"V", b"label") + raw(b"0", b"a", b"x") + END, 'entry "label" is of an unknown type, \'V\'')
labelled = subprocess.run(["tar", "-V", "one", "-cf", "-", "label.tar"], stdout=subprocess.PIPE, check=True).stdout
case("labelled.tar", labelled, 'entry "one" is of an unknown type, \'V\', a volume label; make the archive without --label')
case("incremental.tar", raw(b"D", b"d/", b"Ya\0\0") + END, 'entry "d/" is no file and has content')
case("upward-in-link-name.tar", tar(FINE, entry("app/l", SYM, link="run/../../../x")), "leads out of the artifact")
case("newline.tar", tar(entry("a\n\x1b[2J/../../x", data=b"x")), r'entry "a\n\u{1b}[2J/../../x" leads upward')
case("no-name.tar", raw(b"0", b"./") + raw(b"0", b"", b"x") + END, 'entry "" has no name')
case("empty.tar", END, "there is no file in it")
case("folders.tar", tar(entry("d", tarfile.DIRTYPE)), "there is no file in it")
case("size-huge.tar", raw(b"0", b"big", size=1 << 32) + b"x" * 1024, "artifact_max_size")
case("size-odd.tar", raw(b"0", b"odd").replace(b"00000000000\0" + b"00000000000\0", b"nonsense..\0\0" + b"00000000000\0", 1) + END, "wrong checksum")
case("checksum.tar", b"A" + fine[1:], "wrong checksum")
case("no-end.tar", fine[:1024], "without the mark at the end")
case("cut-header.tar", fine[:1024] + fine[:100], "cut off")
case("cut-content.tar", tar(entry("a", data=b"x" * 4000))[:2048], "cut off")
case("garbage.tar", fine + b"garbage", "something follows the end")
case("second.tar", fine + fine, "something follows the end")

packed = gzip.compress(fine)
case("cut.tgz", packed[:-12], "cut off")
case("crc.tgz", packed[:-8] + b"\1\2\3\4" + packed[-4:], "damaged")
case("zeros.tgz", packed + b"\0" * 512, "something follows the end of the gzip data")
case("garbage.tgz", packed + b"garbage", "something follows the end of the gzip data")
case("no-tar.gz", gzip.compress(b"hello" * 200), "wrong checksum")
case("bomb.tgz", gzip.compress(tar(entry("zeros", data=b"\0" * (9 << 20)))), "artifact_max_size")
case("padding-bomb.tgz", b"".join([gzip.compress(fine)] + [gzip.compress(b"\0" * (64 << 20))] * 17), "far more than artifact_max_size")


def zstd(data, *args):
    return subprocess.run(["zstd", "-q", "-c", *args], input=data, stdout=subprocess.PIPE, check=True).stdout


frame = zstd(fine, "--check")
case("cut.tar.zst", frame[:-10], "cut off")
case("checksum.tar.zst", frame[:-4] + b"\1\2\3\4", "checksum of the zstd data is wrong")
case("damaged.tar.zst", frame[:20] + bytes(byte ^ 255 for byte in frame[20:40]) + frame[40:], "damaged")
case("garbage.tar.zst", frame + b"garbage", "damaged, or followed by something else")
case("window.tar.zst", struct.pack("<IBB", 0xFD2FB528, 0, 0xB8) + frame[6:], "of memory; at most 128 are used")
case("bomb.tar.zst", zstd(tar(entry("zeros", data=b"\0" * (9 << 20)))), "artifact_max_size")


def zipped(*entries, method=zipfile.ZIP_DEFLATED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data, mode in entries:
            info = zipfile.ZipInfo(name)
            info.create_system, info.external_attr, info.compress_type = 3, mode << 16, method
            archive.writestr(info, data)
    return bytearray(out.getvalue())


ONE = ("a", b"content of a", 0o100644)
one = zipped(ONE)
case("absolute.zip", zipped(("/etc/passwd", b"x", 0)), 'entry "/etc/passwd" has an absolute path')
case("upward.zip", zipped(("../x", b"x", 0)), 'entry "../x" leads upward')
case("backslash.zip", zipped(("a\\..\\..\\x", b"x", 0)), "has a backslash")
case("drive.zip", zipped(("C:x", b"x", 0)), "has a drive letter")
case("git.zip", zipped((".Git/config", b"x", 0)), "git's own directory")
case("link.zip", zipped(ONE, ("l", b"../x", 0o120777)), 'the link "l", to "../x", leads out')
case("through-link.zip", zipped(("l", b"a", 0o120777), ("l/x", b"x", 0)), "would be written through the link")
case("device.zip", zipped(("d", b"", 0o060644)), 'entry "d" is a device or a socket')
case("fifo.zip", zipped(("d", b"", 0o010644)), 'entry "d" is a named pipe')
case("empty.zip", zipped(), "there is no file in it")
case("empty-cut.zip", zipped()[:-1], "zip archive")
case("deepest.zip", zipped(("d/" * 4096 + "x", b"x", 0)), "has a path of 8193 bytes")
case("twice.zip", zipped(ONE, ONE), 'entry "a" is there twice')
case("bzip2.zip", zipped(ONE, method=zipfile.ZIP_BZIP2), "compressed with method 12")
case("lzma.zip", zipped(ONE, method=zipfile.ZIP_LZMA), "compressed with method 14")
case("cut.zip", one[:-30], "cut off")
case("garbage.zip", one + b"garbage", "something follows the end of the zip archive")
case("before.zip", zipped(ONE)[:0] + b"PK\3\4" + one, "zip archive")
case("bomb.zip", zipped(("zeros", b"\0" * (9 << 20), 0)), "artifact_max_size")
where = one.index(b"PK\1\2")


def changed(at, *values):
    copy = bytearray(one)
    copy[at : at + len(values)] = bytes(values)
    return copy


case("encrypted.zip", changed(where + 8, 1), 'entry "a" is encrypted')
case("encrypted-local.zip", changed(6, 1), 'entry "a" is encrypted')
case("crc.zip", changed(14, 1, 2, 3, 4), "its two headers differ")
both = bytearray(one)
both[14:18] = both[where + 16 : where + 20] = b"\1\2\3\4"
case("crc-both.zip", both, "damaged")
case("method.zip", changed(8, 0), "its two headers differ")
case("size.zip", changed(22, 1), "its two headers differ")
both = bytearray(one)
both[22], both[where + 24] = 1, 1
case("size-both.zip", both, "damaged")
case("name.zip", changed(30, ord("b")), 'another name in its own header, "b"')
case("offset.zip", changed(where + 42, 7), "zip archive is damaged")
case("count.zip", changed(len(one) - 12, 9, 0, 9), "its directory lists 1 entry, and should list 9")
def renamed(data, name, other, times=-1):
    """The same with another name of the same length, at first in the entry's own header."""
    return bytes(data).replace(name, other, times)


named = zipped(("name", b"content", 0o100644))
case("nul.zip", renamed(named, b"name", b"n\0me"), "has a NUL byte in its name")
case("nul-local.zip", renamed(named, b"name", b"n\0me", 1), "another name in its own header")
case("slash.zip", renamed(named, b"name", b"na/e", 1), 'another name in its own header, "na/e"')
case("newline.zip", zipped(("a\nb/../../x", b"x", 0)), r'entry "a\nb/../../x" leads upward')
case("folder-content.zip", renamed(zipped(("name", b"content", 0o040755)), b"name", b"nam/"), "is a directory and has content")
case("setuid-device.zip", zipped(("d", b"", 0o024755)), "is a device or a socket")


def with_unicode_name(other):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        info = zipfile.ZipInfo("name")
        info.extra = struct.pack("<HHBI", 0x7075, 5 + len(other), 1, zlib.crc32(b"name")) + other
        archive.writestr(info, b"content")
    return out.getvalue()


case("unicode.zip", with_unicode_name(b"../x"), 'entry "name" has another name in an extra field')


def zip64(value):
    """An entry whose sizes are in a field for large files, where the directory has another one."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        with archive.open(zipfile.ZipInfo("a"), "w", force_zip64=True) as file:
            file.write(b"content")
    data = bytearray(out.getvalue())
    at = data.index(struct.pack("<HHQQ", 1, 16, 7, 7))
    data[at + 4 : at + 12] = struct.pack("<Q", value)
    return data


case("zip64.zip", zip64(8), "its two headers differ")
case("zip64-huge.zip", zip64(1 << 63), "its two headers differ")
case("utf8.zip", bytearray(one).replace(b"a", b"\xff"), "not UTF-8")


def overlapping():
    """The content of the first entry is the second entry, header and all."""
    inner = zipped(("b", b"content of b", 0o100644), method=zipfile.ZIP_STORED)
    start = inner.index(b"PK\1\2")
    outer = zipped(("a", bytes(inner[:start]), 0o100644), method=zipfile.ZIP_STORED)
    first = outer.index(b"PK\1\2", 31 + start)
    record = inner[start : inner.rindex(b"PK\5\6")]
    record[42:46] = struct.pack("<I", 31)
    end = outer.rindex(b"PK\5\6")
    directory = outer[first:end] + record
    return outer[:first] + directory + struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 2, 2, len(directory), first, 0)


case("overlap.zip", overlapping(), "two of its entries overlap")

case("nothing", b"", "it is empty")
case("page.tar.gz", b"<html>404</html>" * 100, "it is no archive; Hoist reads tar")
case("app.tar.xz", b"\xfd7zXZ\0" + b"x" * 600, "compressed with xz")
case("app.tar.bz2", b"BZh9" + b"x" * 600, "compressed with bzip2")
case("app.7z", b"7z\xbc\xaf\x27\x1c" + b"x" * 600, "a 7z archive")
quine = gzip.compress(gzip.compress(fine))
case("nested.tgz", quine, "it was compressed twice: what is in it is compressed with gzip; compress the tar archive once")
case("nested.tar.zst", zstd(packed), "it was compressed twice: what is in it is compressed with gzip")
case("twice.tgz", gzip.compress(frame), "it was compressed twice: what is in it is compressed with zstd")
case("zip.gz", gzip.compress(one), "what is compressed in it is a zip archive, and not a tar archive")
