#!/bin/sh
# Builds and packs a commit twice, and says which files of dist/ are not the same bytes: reproducible.sh COMMIT.
#
# The builds differ in what must not matter: the folders of the checkout, of what is built and of Cargo's sources, the
# time, the time zone, and who may read new files. The compilers are the same.
set -eu
cd "$(dirname "$0")/.."
commit=$(git rev-parse --verify "$1^{commit}")
cargo_home=${CARGO_HOME:-$HOME/.cargo}

work=$(mktemp -d "${TMPDIR:-/tmp}/hoist-reproducible-XXXXXX")
trap 'rm -rf "$work"' EXIT

build() { # CHECKOUT TARGET_DIR CARGO_HOME UMASK TZ
	(
		umask "$4"
		git clone -q --no-checkout . "$1"
		git -C "$1" checkout -q --detach "$commit"
		for task in static deb rpm dist; do
			CARGO_TARGET_DIR=$2 CARGO_HOME=$3 TZ=$5 make -C "$1" "$task"
		done
	)
}

# The names have different lengths, since that of a path may decide how bytes are laid out.
mkdir "$work/sources-of-another-user"
for part in config.toml config registry git; do
	[ ! -e "$cargo_home/$part" ] || cp -a "$cargo_home/$part" "$work/sources-of-another-user"
done
build "$work/one" "$work/built" "$cargo_home" 022 UTC
build "$work/another-checkout" "$work/somewhere/else" "$work/sources-of-another-user" 077 Asia/Tokyo

cd "$work/one/dist"
differ=
for file in *; do
	cmp "$file" "$work/another-checkout/dist/$file" || differ="$differ $file"
done
if [ -n "$differ" ]; then
	echo "reproducible.sh: two builds of $commit differ:$differ" >&2
	exit 1
fi
cat SHA256SUMS
echo "two builds of $commit are the same bytes"
