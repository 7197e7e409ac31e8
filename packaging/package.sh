#!/bin/sh
# Packs dist/hoist with its manual, completions and examples: package.sh deb, rpm, or tar.
#
# The same commit and binary give the same bytes: every time in a package is that of the commit, or SOURCE_DATE_EPOCH.
set -eu
cd "$(dirname "$0")/.."
umask 022
LC_ALL=C
TZ=UTC
export LC_ALL TZ

version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)
summary="deploys a git revision to groups of hosts over SSH"
homepage=$(sed -n 's/^repository = "\(.*\)"/\1/p' Cargo.toml)
# Whoever publishes a package gives an address that answers.
maintainer=${MAINTAINER:-The Hoist developers <hoist@hoist.invalid>}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Prints when the commit was made: git tells it of a checkout, whoever owns it, and packaging/commit of an archive by git.
commit_time() {
	if prefix=$(git -c safe.directory='*' rev-parse --show-prefix 2>"$work/git") && [ -z "$prefix" ]; then
		git -c safe.directory='*' log -1 --format=%ct
	else
		sed -n '2s/^[0-9][0-9]*$/&/p' packaging/commit
	fi
}
: "${SOURCE_DATE_EPOCH:=$(commit_time)}"
if [ -z "$SOURCE_DATE_EPOCH" ]; then
	reason=$(sed -n '1s/^fatal: //p' "$work/git")
	echo "package.sh: this is neither a git checkout (${reason:-it is a folder of another one}) nor an archive by git:" \
		"set SOURCE_DATE_EPOCH to the time of the release, in seconds since 1970" >&2
	exit 1
fi
export SOURCE_DATE_EPOCH

# Installs below $work/root, with /usr as the prefix.
stage() {
	if [ ! -s dist/THIRD-PARTY ]; then
		echo "package.sh: there is no dist/THIRD-PARTY: run \`make static\` first" >&2
		exit 1
	fi
	make -s install DESTDIR="$work/root" PREFIX=/usr >/dev/null
	find "$work/root/usr/share/man" -type f -exec gzip -9n {} +
}

# Gives everything the time of the commit, and lets everybody read it, whoever may read the checkout.
settle() {
	chmod -R a-s,a=rX,u+w "$1"
	find "$1" -print0 | xargs -0 touch -hd "@$SOURCE_DATE_EPOCH"
}

description() {
	cat <<-'END'
		Hoist deploys one git revision to groups of hosts over SSH, stage by stage.
		If more hosts of a group fail than its failure limit allows, every host that
		was touched is rolled back, and read back to verify that. A target needs
		git and sshd; Hoist copies itself there.
	END
}

deb() {
	arch=$(dpkg --print-architecture)
	stage
	root=$work/root
	doc=$root/usr/share/doc/hoist
	# Where Debian's zsh looks.
	mkdir -p "$root/usr/share/zsh/vendor-completions" "$root/DEBIAN" "$root/usr/share/lintian/overrides"
	mv "$root/usr/share/zsh/site-functions/_hoist" "$root/usr/share/zsh/vendor-completions/_hoist"
	rmdir "$root/usr/share/zsh/site-functions"
	gzip -9nc NEWS.md >"$doc/NEWS.gz"
	gzip -9nc dist/THIRD-PARTY >"$doc/THIRD-PARTY.gz"
	cp packaging/lintian-overrides "$root/usr/share/lintian/overrides/hoist"
	{
		cat packaging/copyright
		sed 's/^$/./; s/^/ /' LICENSE-MIT
	} >"$doc/copyright"
	{
		printf 'hoist (%s) unstable; urgency=medium\n\n  * See NEWS.gz for the changes.\n\n' "$version"
		printf ' -- %s  %s\n' "$maintainer" "$(date -Rd "@$SOURCE_DATE_EPOCH")"
	} | gzip -9nc >"$doc/changelog.gz"
	{
		printf 'Package: hoist\nVersion: %s\nArchitecture: %s\nMaintainer: %s\n' "$version" "$arch" "$maintainer"
		printf 'Installed-Size: %s\nSection: admin\nPriority: optional\n' "$(kibibytes "$root/usr")"
		[ -z "$homepage" ] || printf 'Homepage: %s\n' "$homepage"
		printf 'Depends: git\nRecommends: openssh-client\nDescription: %s\n' "$summary"
		description | sed 's/^/ /'
	} >"$root/DEBIAN/control"
	(cd "$root" && find usr -type f -print0 | sort -z | xargs -0 md5sum) >"$root/DEBIAN/md5sums"
	install -m 755 packaging/scripts/* "$root/DEBIAN"
	settle "$root"
	dpkg-deb --root-owner-group --build "$root" "dist/hoist_${version}_$arch.deb"
}

# As dpkg counts: each file in whole kibibytes, and one for each directory.
kibibytes() {
	find "$1" -type d -printf '1\n' -o -printf '%s\n' |
		awk '{ sum += $1 == 1 ? 1 : int(($1 + 1023) / 1024) } END { print sum }'
}

rpm() {
	case $work in
	*[[:space:]]*)
		echo "package.sh: rpmbuild cannot work in a folder with a space in its name, $work: set TMPDIR to another one" >&2
		exit 1
		;;
	esac
	arch=$(uname -m)
	stage
	doc=$work/root/usr/share/doc/hoist
	gzip -9nc NEWS.md >"$doc/NEWS.md.gz"
	gzip -9nc dist/THIRD-PARTY >"$doc/THIRD-PARTY.gz"
	cp LICENSE-MIT LICENSE-APACHE "$doc"
	settle "$work/root"
	{
		printf 'Name: hoist\nVersion: %s\nRelease: 1\nSummary: %s\n' "$version" "$(capitalized "$summary")"
		printf 'Packager: %s\n' "$maintainer"
		printf 'License: MIT OR Apache-2.0\nRequires: git\nRecommends: openssh-clients\nAutoReqProv: no\n'
		[ -z "$homepage" ] || printf 'URL: %s\n' "$homepage"
		printf '\n%%description\n'
		description
		printf '\n%%install\ncp -a %s/. %%{buildroot}\n\n%%files\n%%defattr(-,root,root)\n' "$work/root"
		find "$work/root" -type f -printf '/%P\n' | sort | sed 's,^/usr/share/doc/,%doc &,'
		printf '%%dir %s\n' /usr/share/doc/hoist
		(cd "$work/root" && find usr/share/doc/hoist -mindepth 1 -type d -printf '%%%%dir /%p\n') | sort
		# As packaging/scripts, but nothing outlives an erased package.
		cat <<-'END'

			%post
			[ ! -d /run/systemd/system ] || systemctl --system daemon-reload || :
			%preun
			if [ "$1" -eq 0 ]; then
			    [ ! -d /run/systemd/system ] || systemctl --system stop 'hoist-reconcile@*.timer' || :
			    rm -f /etc/systemd/system/*.wants/hoist-reconcile@*.timer
			    rm -f /var/lib/systemd/timers/stamp-hoist-reconcile@*.timer
			fi
			%postun
			[ ! -d /run/systemd/system ] || systemctl --system daemon-reload || :
		END
		printf '\n%%changelog\n* %s %s - %s-1\n- See NEWS.md.gz for the changes\n' \
			"$(date -d "@$SOURCE_DATE_EPOCH" '+%a %b %d %Y')" "$maintainer" "$version"
	} >"$work/hoist.spec"
	# xz can be unpacked by old systems too; the binary is stripped already.
	rpmbuild -bb --quiet --target "$arch" --buildroot "$work/buildroot" \
		--define "_topdir $work/rpmbuild" --define "_rpmdir $work/out" \
		--define "_binary_payload ${RPM_PAYLOAD:-w7.xzdio}" --define '__os_install_post %{nil}' \
		--define 'debug_package %{nil}' --define '_build_id_links none' --define '_buildhost localhost' \
		--define 'use_source_date_epoch_as_buildtime 1' --define 'clamp_mtime_to_source_date_epoch 1' \
		"$work/hoist.spec"
	cp "$work/out/$arch/hoist-$version-1.$arch.rpm" dist/
	echo "dist/hoist-$version-1.$arch.rpm"
}

tarball() {
	name=hoist-$version-linux-$(uname -m)
	stage
	mkdir "$work/$name"
	cp -a "$work/root/usr/." "$work/$name"
	cp README.md NEWS.md LICENSE-MIT LICENSE-APACHE dist/THIRD-PARTY "$work/$name"
	settle "$work/$name"
	tar -C "$work" --sort=name --format=gnu --owner=0 --group=0 --numeric-owner -cf - "$name" |
		gzip "-${GZIP_LEVEL:-9}n" >"dist/$name.tar.gz"
	(cd dist && find . -maxdepth 1 -type f ! -name SHA256SUMS -printf '%P\0' | sort -z | xargs -0 sha256sum) >"$work/sums"
	mv "$work/sums" dist/SHA256SUMS
	cat dist/SHA256SUMS
}

capitalized() {
	printf '%s' "$1" | sed 's/^./\U&/'
}

case ${1:-} in
deb) deb ;;
rpm) rpm ;;
tar) tarball ;;
*)
	echo "usage: package.sh deb|rpm|tar" >&2
	exit 2
	;;
esac
