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

build() { # ARGUMENTS
	"$CARGO" build --locked --release --target "$triple" --target-dir "$target" \
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
	build "$@"
	exit
fi
# What targets get is built first, since the binary to ship contains it. It is a tenth smaller because it does not unwind:
# only the deployer has to go on when a thread panics.
build --config 'profile.release.panic="abort"' --features for-targets --bin hoist-for-targets
must_be_static "$built/hoist-for-targets"
zstd -qc --ultra -22 "$built/hoist-for-targets" >"$built/for-targets.new"
cmp -s "$built/for-targets.new" "$built/for-targets.zst" || mv "$built/for-targets.new" "$built/for-targets.zst"
HOIST_FOR_TARGETS=$built/for-targets.zst build --bin hoist
must_be_static "$built/hoist"
mkdir -p dist
CARGO=$CARGO tools/third_party.py >dist/THIRD-PARTY.new
mv dist/THIRD-PARTY.new dist/THIRD-PARTY
cp -f "$built/hoist" dist/hoist
ls -l dist/hoist
