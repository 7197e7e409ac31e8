#!/usr/bin/env bash
# Two deployments to eight hosts behind a real sshd on this machine: 2 canaries and 6 others. Revision 1 succeeds.
# Revision 2 needs a library that two hosts do not have: their check fails, the failure limit is exceeded, and every host
# that was touched is rolled back to revision 1. At the end, the files on each host are read to verify that.
#
#   demo/run.sh HOIST      HOIST is the path of the binary
set -euo pipefail

say() {
    printf '\n\033[1m%s\033[0m\n' "$*"
}

die() {
    echo "demo: $*" >&2
    exit 1
}

[ $# = 1 ] || die "usage: demo/run.sh HOIST"
[ -x "$1" ] || die "cannot find $1: run make build"
hoist=$(realpath "$1")
cd "$(dirname "$(realpath "$0")")/.."
farm_sh=$PWD/tests/farm/farm.sh
if [ "$(id -u)" != 0 ]; then
    echo "each host gets its own /srv, which requires root: using sudo"
    exec sudo "$PWD/demo/run.sh" "$hoist"
fi

# A repository or an agent of the caller's must not get into this.
unset SSH_AUTH_SOCK GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE

work=$(mktemp -d /tmp/hoist-demo.XXXXXX)
farm=$work/farm
cleanup() {
    if [ -d "$farm" ]; then "$farm_sh" down "$farm" || true; fi
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

canaries=(127.0.0.11 127.0.0.12)
others=(127.0.0.21 127.0.0.22 127.0.0.23 127.0.0.24 127.0.0.25 127.0.0.26)
lacking=" 127.0.0.22 127.0.0.25 "

say "Starting 8 hosts: one sshd on the loopback network, with a separate /srv for each address"
# Without a home the login shell finds no start-up files of this machine's own root.
FARM_SSHD_OPTS='SetEnv HOME=/nonexistent' "$farm_sh" up "$farm"
for host in "${canaries[@]}" "${others[@]}"; do
    srv=$farm/hosts/$host/srv
    mkdir -p "$srv"
    touch "$srv/libpage-1"
    case $lacking in *" $host "*) ;; *) touch "$srv/libpage-2" ;; esac
    # In place of systemctl: the "service" notes which revision it was started with.
    cat >"$srv/ctl" <<'END'
#!/bin/sh
git -C /srv/deployment/demo/page rev-parse HEAD >/srv/page-runs
END
    chmod 755 "$srv/ctl"
done
echo "canary: ${canaries[*]}"
echo "default: ${others[*]}"

# What holds for all repositories of a deploy host; /etc/hoist.cfg on a real one.
export HOIST_GLOBAL_CONFIG=$work/global.cfg
cat >"$HOIST_GLOBAL_CONFIG" <<END
[global]
ssh_user: root
ssh_port: $(cat "$farm/port")
identity_file: $farm/id
known_hosts: $farm/known_hosts
lock_dir: $work
END

say "Creating a repository with a page, its requirements, a configuration file, and a check"
repo=$work/page
git init -q "$repo"
cd "$repo"
git config user.name demo
git config user.email demo@localhost
git config core.hooksPath /dev/null
mkdir -p hoist/templates hoist/scripts
cat >hoist/hoist.cfg <<'END'
[global]
git_repo: demo/page
server_groups: canary, default

canary_dsh_targets: canary
dsh_targets: default
failure_limit: 20%

config_deploy: yes
service_name: page
service_command: /srv/ctl {action} {service}
END
printf '%s\n' "${canaries[@]}" >hoist/canary
printf '%s\n' "${others[@]}" >hoist/default
cat >hoist/config-files.yaml <<'END'
/srv/page.conf:
  template: page.conf.j2
END
echo 'title = {{ title }}' >hoist/templates/page.conf.j2
echo 'title: A page' >hoist/vars.yaml
cat >hoist/checks.yaml <<'END'
checks:
  check-page:
    type: script
    stage: restart_service
    command: check-page
END
cat >hoist/scripts/check-page <<'END'
#!/bin/sh
library=$(cat wants)
[ -e "/srv/$library" ] || {
    echo "the page needs $library, which this host does not have"
    exit 1
}
END
chmod 755 hoist/scripts/check-page
echo '<h1>One</h1>' >index.html
echo libpage-1 >wants
git add .
git commit -qm 'The page'
one=$(git rev-parse HEAD)
cat hoist/hoist.cfg
say "hoist plan shows what a deployment would do"
"$hoist" plan

# Runs a deployment, which has to end with this exit status.
deploy() { # STATUS MESSAGE
    local status=0
    "$hoist" deploy --yes "$2" || status=$?
    [ "$status" = "$1" ] || die "hoist deploy exited with status $status instead of $1"
}

say "Deploying revision 1, ${one:0:10}"
deploy 0 "the first page"

echo '<h1>Two</h1>' >index.html
echo libpage-2 >wants
echo 'title = {{ title }} (new)' >hoist/templates/page.conf.j2
git commit -qam 'A better page'
two=$(git rev-parse HEAD)
say "Deploying revision 2, ${two:0:10}; its check will fail on${lacking% }"
deploy 1 "a better page"

say "Reading the files of each host (revision 1 is ${one:0:10}, revision 2 is ${two:0:10})"
wrong=0
row='%-8s %-12s %-11s %-11s %-11s %-11s %s\n'
# shellcheck disable=SC2059 # the one format of all rows
printf "$row" group host current .done config runs verdict
for host in "${canaries[@]}" "${others[@]}"; do
    srv=$farm/hosts/$host/srv
    cache=$srv/deployment/demo/page-cache
    group=default
    case " ${canaries[*]} " in *" $host "*) group=canary ;; esac
    current=$(basename "$(readlink "$cache/current" || echo none)")
    finalized=$(basename "$(readlink "$cache/.done" || echo none)")
    # …/revs/REVISION/.git/config-files/srv/page.conf
    config=$(readlink "$srv/page.conf" || echo none)
    config=${config#*/revs/}
    config=${config%%/*}
    runs=$(cat "$srv/page-runs" 2>/dev/null || echo none)
    verdict=good
    if [ "$current $finalized $config $runs" != "$one $one $one $one" ] ||
        [ "$(cat "$cache/revs/$one/.git/config-files/srv/page.conf")" != "title = A page" ] ||
        [ -e "$cache/.in-progress" ]; then
        verdict=WRONG
        wrong=$((wrong + 1))
    fi
    # shellcheck disable=SC2059
    printf "$row" "$group" "$host" "${current:0:10}" "${finalized:0:10}" "${config:0:10}" "${runs:0:10}" "$verdict"
done
[ "$wrong" = 0 ] || die "$wrong of 8 hosts do not run revision 1"
printf '\nAll 8 hosts run revision 1 again: links, configuration and service were checked. The demo took %s s.\n' "$SECONDS"
