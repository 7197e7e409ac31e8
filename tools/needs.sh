#!/bin/sh
# Installs the programs that the build, the tests and the demo need, with the system's package manager, saying so.
# Programs that are there already are left alone.
#
# needs.sh        what the build, the tests and the demo need
# needs.sh demo   what the build and the demo need
# needs.sh build  what the build alone needs
set -eu
cd "$(dirname "$0")/.."

# `make` may be run by sudo, for a root that has no Rust.
if ! command -v "${CARGO:-cargo}" >/dev/null 2>&1; then
	echo "cargo not found: install Rust 1.95 or later (https://rustup.rs), and run make as the user who has it" >&2
	exit 1
fi

what=${1:-all}
missing=
need() { # COMMAND PACKAGE
	command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ] || missing="$missing $2"
}

# OpenSSL and libssh2 are built from source: a C compiler with its headers, make, and more of Perl than perl-base has.
need cc gcc
echo '#include <stdio.h>' | cc -E - >/dev/null 2>&1 || missing="$missing libc6-dev"
need make make
# It tells that what was built is static.
need readelf binutils
# It packs the build for targets.
need zstd zstd
# It lists the licences of the crates.
need python3 python3
perl -MFindBin -MIPC::Cmd -MFile::Compare -e 1 >/dev/null 2>&1 || missing="$missing perl"

if [ "$what" != build ]; then
	need git git
	need sshd openssh-server
	need ssh-keygen openssh-client
	need unshare util-linux
	need pgrep procps
fi
if [ "$what" = all ]; then
	need git-lfs git-lfs
	need column bsdextrautils
	need strace strace
	need mandoc mandoc
	need shellcheck shellcheck
	need file file
	need ip iproute2
	need runsv runit
	need systemctl systemd
	need sudo sudo
	need haproxy haproxy
	need nginx nginx-light
	need socat socat
	# The benchmark is tried, with what it compares the transfers to.
	need rsync rsync
	need openssl openssl
	need prometheus prometheus
	need prometheus-alertmanager prometheus-alertmanager
	need curl curl
	need dpkg-deb dpkg
	need lintian lintian
	need rpmbuild rpm
	need rpmlint rpmlint
	# Their completions are tried in the shells themselves.
	need zsh zsh
	need fish fish
	python3 -c "import ensurepip, venv" >/dev/null 2>&1 || missing="$missing python3-venv"
	# Python's own tests: tests/python takes the INI files of test_configparser from them. Debian has a package for each
	# version.
	python3 -c "import test.test_configparser" >/dev/null 2>&1 || missing="$missing libpython3-testsuite"
fi

finish() {
	[ "$what" != all ] || tests/python/needs.sh
	exit 0
}

[ -n "$missing" ] || finish
as_root=
[ "$(id -u)" -eq 0 ] || as_root=sudo
command -v ${as_root:-true} >/dev/null || {
	echo "sudo not found: run make as root, or install these Debian packages:$missing" >&2
	exit 1
}
if ! command -v apt-get >/dev/null 2>&1; then
	echo "apt-get not found: install the equivalents of these Debian packages:$missing" >&2
	exit 1
fi
export DEBIAN_FRONTEND=noninteractive
# Tests start the services of these packages themselves: none is to run for it on this machine.
policy=/usr/sbin/policy-rc.d
if [ "$what" != build ] && [ ! -e "$policy" ]; then
	trap '$as_root rm -f "$policy"' EXIT
	printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null
	$as_root chmod 755 "$policy"
fi
$as_root apt-get update -q
python=$(apt-cache show --no-all-versions python3 | sed -n 's/^Version: \(3\.[0-9]*\)[^0-9].*/\1/p')
missing=$(echo "$missing" | sed "s/libpython3-testsuite/libpython$python-testsuite/")
echo "installing with apt-get:$missing"
# shellcheck disable=SC2086 # a list of words
$as_root apt-get install -q -y --no-install-recommends $missing
finish
