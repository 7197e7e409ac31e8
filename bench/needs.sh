#!/bin/sh
# Installs the tools that Hoist is measured against, saying so: those of Debian with apt-get, those of PyPI into a
# virtual environment. What is there already is left alone.
#
#   needs.sh VENV      VENV is the folder of the virtual environment
set -eu
[ $# = 1 ] || {
	echo "usage: bench/needs.sh VENV" >&2
	exit 2
}
venv=$1

missing=
need() { # COMMAND PACKAGE
	command -v "$1" >/dev/null 2>&1 || missing="$missing $2"
}
need pdsh pdsh
need clush clustershell
need parallel-ssh pssh
need python3 python3
need rsync rsync
need zstd zstd
need tc iproute2
python3 -c 'import ensurepip' 2>/dev/null || missing="$missing python3-venv"
if [ -n "$missing" ]; then
	if ! command -v apt-get >/dev/null 2>&1; then
		echo "apt-get not found: please install$missing" >&2
		exit 1
	fi
	echo "installing with apt-get:$missing"
	as_root=
	[ "$(id -u)" -eq 0 ] || as_root=sudo
	export DEBIAN_FRONTEND=noninteractive
	$as_root apt-get update -q
	# shellcheck disable=SC2086 # a list of words
	$as_root apt-get install -q -y --no-install-recommends $missing
fi

if [ ! -x "$venv/bin/ansible" ] || [ ! -e "$venv/parallel-ssh" ]; then
	echo "installing with pip into $venv: ansible-core parallel-ssh"
	python3 -m venv "$venv"
	"$venv/bin/pip" install -q --disable-pip-version-check ansible-core parallel-ssh
	# Marks that both are there: the library has no program of its own.
	touch "$venv/parallel-ssh"
fi
