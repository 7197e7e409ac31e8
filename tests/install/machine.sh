#!/bin/sh
# As tests/systemd/machine.sh, and what is written to /usr, /etc and /var there is gone with the machine: packages can be
# installed. None of this system's own units is there. Must run as root.
set -eu
if [ "${2:-}" != inside ]; then
    exec unshare --mount --propagation private "$0" "$1" inside
fi
mkdir "$1/layers"
mount -t tmpfs tmpfs "$1/layers"
for part in usr etc var; do
    layer=$1/layers/$part
    mkdir -p "$layer/upper" "$layer/work"
    mount -t overlay overlay -o "lowerdir=/$part,upperdir=$layer/upper,workdir=$layer/work" "/$part"
done
# And no rule of this system's says that a package may not stop units.
rm -f /usr/sbin/policy-rc.d
rm -rf /etc/systemd/system/* /usr/lib/systemd/system/* /var/lib/systemd/timers
MORE_UNITS=/etc/systemd/system:/usr/lib/systemd/system
export MORE_UNITS
exec "$(dirname "$0")/../systemd/machine.sh" "$1"
