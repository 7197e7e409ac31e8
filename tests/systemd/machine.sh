#!/bin/sh
# A host of the farm with a systemd of its own: the first process of namespaces of its own, with no unit but those of the
# host's folder. Must run as root.
#
#   machine.sh HOST     HOST is the host's folder on the farm; its units are in HOST/units. Those in the folders of the
#                       variable MORE_UNITS, with colons between, come after these.
#
# It does not return: systemd is the one child of what it becomes. HOST/cgroup has the folder of the machine's control
# groups, for whoever removes them.
set -eu

host=$1
if [ "${2:-}" != inside ]; then
    # The first mount of the unified hierarchy, wherever this system has it, and where this process is in it.
    root=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/self/mounts)
    [ -n "$root" ] || { echo "no cgroup2 file system is mounted" >&2; exit 1; }
    own=$(sed -n 's/^0:://p' /proc/self/cgroup)
    cgroup=${root%/}${own%/}/hoist-farm-$$
    mkdir "$cgroup"
    echo "$cgroup" >"$host/cgroup"
    echo $$ >"$cgroup/cgroup.procs"
    exec unshare --mount --pid --cgroup --uts --ipc --fork --mount-proc --propagation private "$0" "$host" inside
fi

mount --bind "$host/srv" /srv
mount -t tmpfs tmpfs /run
# Of what all machines share it changes nothing.
mount --bind /proc/sys /proc/sys
mount -o remount,ro,bind /proc/sys
mount -o remount,ro,bind /sys
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir /run/units
cp "$host"/units/* /run/units
for program in /usr/lib/systemd/systemd /lib/systemd/systemd; do
    [ ! -x "$program" ] || break
done
# systemd is asked by nobody from without.
exec env -i PATH="$PATH" HOIST_FARM="${HOIST_FARM:-}" container=hoist SYSTEMD_UNIT_PATH="/run/units${MORE_UNITS:+:$MORE_UNITS}" \
    SYSTEMD_GENERATOR_PATH=/nowhere SYSTEMD_ENVIRONMENT_GENERATOR_PATH=/nowhere \
    "$program" --system --unit=basic.target --log-target=null --show-status=no
