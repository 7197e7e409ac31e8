#!/bin/sh
# Builds the binary to ship, dist/hoist, and lists the licences of what it contains: static.sh
# Or builds another program in the same way: static.sh ARGUMENTS of cargo build
#
# The same commit makes the same bytes wherever and whenever it is built: no path of this machine is in the binary, and no
# date or folder of OpenSSL's build. That date is a fixed one: Cargo builds OpenSSL once, and reuses it for later commits.
set -eu
cd -P "$(dirname "$0")/.."
: "${CARGO:=cargo}"
triple=$(rustc -vV | sed -n 's/^host: //p')
target=$(realpath -ms "${CARGO_TARGET_DIR:-target}")
built=$target/$triple/release
for_targets=$target/$triple/for-targets

# Prints the flags of rustc as a list of TOML. Cargo adds it to the flags of .cargo/config.toml, in whose place it would
# take those of the environment: they are in the list.
rustflags() {
	set -f
	flags=${RUSTFLAGS-}
	if [ -n "${CARGO_ENCODED_RUSTFLAGS+set}" ]; then
		flags=$CARGO_ENCODED_RUSTFLAGS
		IFS=$(printf '\037')
	fi
	# shellcheck disable=SC2086 # a list of words
	set -- $flags
	for remapped in "$PWD=/hoist" "$target=/target" "${CARGO_HOME:-$HOME/.cargo}=/cargo" \
		"$(rustc --print sysroot)/lib/rustlib/src/rust=/rustc/$(rustc -vV | sed -n 's/^commit-hash: //p')"; do
		set -- "$@" "--remap-path-prefix=$remapped"
	done
	for flag; do
		printf '"%s", ' "$(printf '%s' "$flag" | sed 's/["\\]/\\&/g')"
	done
}
flags=$(rustflags)
unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS
export SOURCE_DATE_EPOCH=0 GNUMAKEFLAGS="ENGINESDIR=/nonexistent MODULESDIR=/nonexistent"

build() { # PROFILE ARGUMENTS
	profile=$1
	shift
	"$CARGO" build --locked --profile "$profile" --target "$triple" --target-dir "$target" \
		--config "target.$triple.rustflags=[$flags]" "$@"
}

# A program that needs the dynamic linker or a library does not run on targets with another system.
must_be_static() { # PROGRAM
	needed=$(LC_ALL=C readelf -ldW "$1" |
		sed -n 's/.*program interpreter: \(.*\)\]$/\1/p; s/.*(NEEDED).*\[\(.*\)\]$/\1/p' | paste -sd, | sed 's/,/, /g')
	[ -z "$needed" ] || {
		echo "static.sh: $1 is linked dynamically, it needs $needed; dist/ is left as it was." \
			"See that .cargo/config.toml has the flags for $triple, and that no variable CARGO_TARGET_*_RUSTFLAGS" \
			"undoes them" >&2
		exit 1
	}
}

if [ $# -gt 0 ]; then
	build release "$@"
	exit
fi
# What targets get is built first, since the binary to ship contains it.
build for-targets --features for-targets --bin hoist-for-targets
must_be_static "$for_targets/hoist-for-targets"
# A window that a processor's cache holds: with one of the whole program it would be a thirtieth smaller, and most of what
# is copied from it would come from memory. Measured with 16 at a time on two processors: 59 ms instead of 41.
zstd -qc --ultra -22 --zstd=wlog=18 "$for_targets/hoist-for-targets" >"$for_targets/hoist.new"
cmp -s "$for_targets/hoist.new" "$for_targets/hoist.zst" || mv "$for_targets/hoist.new" "$for_targets/hoist.zst"
HOIST_FOR_TARGETS=$for_targets/hoist.zst build release --bin hoist
must_be_static "$built/hoist"
mkdir -p dist
CARGO=$CARGO tools/third_party.py >dist/THIRD-PARTY.new
mv dist/THIRD-PARTY.new dist/THIRD-PARTY
cp -f "$built/hoist" dist/hoist
ls -l dist/hoist
