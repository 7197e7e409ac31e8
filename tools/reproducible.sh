#!/bin/sh
# Builds and packs a commit in two folders, and says whether the files in dist/ are the same bytes: reproducible.sh COMMIT.
set -eu
cd "$(dirname "$0")/.."
commit=$(git rev-parse --verify "$1^{commit}")

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Two names of different length, since a path may decide how bytes are laid out.
for folder in "$work/one" "$work/another-folder"; do
	git clone -q . "$folder"
	git -C "$folder" checkout -q --detach "$commit"
	# Each with a target folder of its own.
	(cd "$folder" && unset CARGO_TARGET_DIR && make static && make deb && make rpm && make dist)
done

cd "$work/one/dist"
differ=
for file in *; do
	cmp "$file" "$work/another-folder/dist/$file" || differ="$differ $file"
done
if [ -n "$differ" ]; then
	echo "reproducible.sh: two builds of $commit differ:$differ" >&2
	exit 1
fi
sha256sum -- *
echo "two builds of $commit are the same bytes"
