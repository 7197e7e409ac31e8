#!/bin/bash
# A farm of hosts on one machine: one sshd that answers on every 127.x address, each address with a /srv and a home of
# its own. Must run as root.
#
#   farm.sh up DIR     make the farm in DIR and start it; writes DIR/port, DIR/known_hosts and DIR/id (the user's key)
#   farm.sh down DIR   end its sshd and everything that was started through it
#
# What a host has on its disk is DIR/hosts/ADDRESS/srv (seen as /srv over there) and DIR/hosts/ADDRESS/home. A file
# DIR/hosts/ADDRESS/down makes that host refuse every command. A file DIR/hosts/ADDRESS/machine has the id of the first
# process of a machine that the host's commands are run in (tests/systemd/machine.sh).
#
# Environment, for up:
#   FARM_PORT         the port; a free one is looked for when it is unset
#   FARM_SSHD_OPTS    lines of sshd_config that win over the farm's own
#   FARM_PATH         folders, as hosts see them, that stand first in their search path
#   FARM_USER         the name of an account that is root's on all hosts, beside root
#   FARM_RSA          when set, hosts have an RSA key beside their ed25519 key; it takes long to make
#   FARM_HOSTNAMES    when set, a host's own name is its address with dashes, as in 127-0-0-1
#   FARM_THROUGH      a program that runs every command of a session, with the words of the command
#   FARM_SHARED_HOME  when set, all hosts have the one home DIR/home
set -eu

die() {
    echo "farm.sh: $*" >&2
    exit 1
}

accepts() {
    # An address that no test uses, so that connections to the others can be counted.
    (exec 3<>"/dev/tcp/127.255.255.254/$1") 2>/dev/null
}

write_config() {
    local dir=$1 port=$2
    {
        if [ -n "${FARM_SSHD_OPTS:-}" ]; then
            printf '%s\n' "$FARM_SSHD_OPTS"
        fi
        # For most keys the first of two lines counts; for this one it is the last.
        case ${FARM_SSHD_OPTS:-} in
        *MaxStartups*) ;;
        *) echo "MaxStartups 1000" ;;
        esac
        cat <<END
Port $port
ListenAddress 0.0.0.0
PidFile $dir/sshd.pid
HostKey $dir/host_ed25519
${FARM_RSA:+HostKey $dir/host_rsa}
AuthorizedKeysFile $dir/authorized_keys
ForceCommand ${FARM_THROUGH:+$FARM_THROUGH }$dir/wrapper
# bash reads ~/.bashrc ahead of the wrapper; what root has there is none of the farm's business, and may be slow.
SetEnv HOME=$dir
LogLevel VERBOSE
PermitRootLogin yes
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
StrictModes no
UseDNS no
PrintMotd no
END
    } >"$dir/sshd_config"
}

# Every command of a session goes through this: it makes the address that was connected to into a host.
write_wrapper() {
    local dir=$1
    {
        printf '#!/bin/sh\nfarm=%s shared_home=%s path=%s hostnames=%s\n' "'$dir'" "'${FARM_SHARED_HOME:-}'" \
            "'${FARM_PATH:-}'" "'${FARM_HOSTNAMES:-}'"
        cat <<'END'
set -eu
set -- $SSH_CONNECTION
host=$farm/hosts/$3
if [ -e "$host/down" ]; then
    echo "this host is down" >&2
    exit 255
fi
HOME=$host/home
if [ -n "$shared_home" ]; then HOME=$farm/home; fi
if [ -n "$path" ]; then PATH=$path:$PATH; fi
# A process less for every command but a host's first.
if ! [ -d "$host/srv" ] || ! [ -d "$HOME" ] || ! [ -d /srv ]; then mkdir -p "$host/srv" "$HOME" /srv; fi
HOIST_FARM=$farm
HOIST_FARM_HOST=$host
export HOME PATH HOIST_FARM HOIST_FARM_HOST
cd "$HOME"
if [ -n "$hostnames" ]; then
    HOIST_FARM_NAME=$(echo "$3" | tr . -)
    export HOIST_FARM_NAME
    exec unshare -m -u --propagation private sh -c \
        'hostname "$HOIST_FARM_NAME" && mount --bind "$HOIST_FARM_HOST/srv" /srv && exec sh -c "$SSH_ORIGINAL_COMMAND"'
fi
if [ -e "$host/machine" ]; then
    exec nsenter -t "$(cat "$host/machine")" -m -p -C sh -c 'cd "$HOME" && exec sh -c "$SSH_ORIGINAL_COMMAND"'
fi
# The mount is seen by this session alone and goes with its last process.
exec unshare -m --propagation private sh -c 'mount --bind "$HOIST_FARM_HOST/srv" /srv && exec sh -c "$SSH_ORIGINAL_COMMAND"'
END
    } >"$dir/wrapper"
    chmod 755 "$dir/wrapper"
}

start() {
    local dir=$1 port=$2 pid as_user
    write_config "$dir" "$port"
    mkdir -p /run/sshd
    as_user=()
    if [ -n "${FARM_USER:-}" ]; then
        # Another name for root, known to this sshd and what it starts, and to nobody else on this machine.
        { cat /etc/passwd; echo "$FARM_USER:x:0:0::/:/bin/sh"; } >"$dir/passwd"
        chmod 644 "$dir/passwd"
        # shellcheck disable=SC2016 # the inner shell expands these
        as_user=(unshare -m --propagation private sh -c 'mount --bind "$0" /etc/passwd && exec "$@"' "$dir/passwd")
    fi
    # A session of its own, so that a Ctrl-C at the terminal is not for it.
    setsid "${as_user[@]}" /usr/sbin/sshd -D -f "$dir/sshd_config" -E "$dir/sshd.log" </dev/null >/dev/null 2>"$dir/sshd.err" &
    pid=$!
    for _ in $(seq 500); do
        # Another program may listen on the port: the pid file says that it is ours.
        if [ -s "$dir/sshd.pid" ] && accepts "$port"; then
            return 0
        fi
        kill -0 "$pid" 2>/dev/null || return 1
        sleep 0.02
    done
    kill "$pid" 2>/dev/null || true
    return 1
}

up() {
    local dir=$1 port kind
    [ "$(id -u)" = 0 ] || die "the farm needs root"
    mkdir -p "$dir/hosts"
    dir=$(cd "$dir" && pwd)
    ssh-keygen -q -t ed25519 -N '' -C farm-host -f "$dir/host_ed25519"
    if [ -n "${FARM_RSA:-}" ]; then
        ssh-keygen -q -t rsa -b 2048 -N '' -C farm-host -f "$dir/host_rsa"
    fi
    ssh-keygen -q -t ed25519 -N '' -C farm-user -f "$dir/id"
    cp "$dir/id.pub" "$dir/authorized_keys"
    write_wrapper "$dir"
    if [ -n "${FARM_PORT:-}" ]; then
        port=$FARM_PORT
        start "$dir" "$port" || die "no sshd on port $port: $(cat "$dir/sshd.err" "$dir/sshd.log" 2>/dev/null)"
    else
        for _ in $(seq 20); do
            port=$((20000 + RANDOM % 12000))
            if accepts "$port"; then
                continue
            fi
            if start "$dir" "$port"; then
                break
            fi
            port=
        done
        [ -n "$port" ] || die "no sshd: $(cat "$dir/sshd.err" "$dir/sshd.log" 2>/dev/null)"
    fi
    for kind in "$dir"/host_*.pub; do
        read -r type key _ <"$kind"
        printf '[127.*]:%s %s %s\n' "$port" "$type" "$key"
    done >"$dir/known_hosts"
    echo "$port" >"$dir/port"
}

# The processes below $1, children before their own children.
below() {
    local child
    for child in $(pgrep -P "$1" || true); do
        echo "$child"
        below "$child"
    done
}

# What was started on a host and has left its session, known by its environment.
strays() {
    local file
    for file in $(grep -lzxF "HOIST_FARM=$1" /proc/[0-9]*/environ 2>/dev/null || true); do
        file=${file#/proc/}
        echo "${file%/environ}"
    done
}

down() {
    local dir pid pids
    [ -d "$1" ] || die "$1 is no farm"
    dir=$(cd "$1" && pwd)
    pid=$(cat "$dir/sshd.pid" 2>/dev/null || true)
    pids=
    # A process id is only ours while it is still an sshd.
    if [ -n "$pid" ] && [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = sshd ]; then
        pids="$pid $(below "$pid")"
    fi
    pids="$pids $(strays "$dir")"
    # A supervisor may start another one while it is ended itself.
    for _ in 1 2 3 4 5; do
        [ -n "${pids# }" ] || break
        for pid in $pids; do
            [ "$pid" = "$$" ] || kill -KILL "$pid" 2>/dev/null || true
        done
        pids=$(strays "$dir")
    done
    rm -f "$dir/sshd.pid"
}

case ${1:-} in
up | down)
    [ $# = 2 ] || die "usage: farm.sh up|down DIR"
    "$1" "$2"
    ;;
*) die "usage: farm.sh up|down DIR" ;;
esac
