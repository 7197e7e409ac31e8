#!/bin/sh
# The stages of a deployment as a process of OpenSSH's client for each host and stage, and a git server; deploys.py calls it.
#
#   stages.sh HOSTS SSH_CONFIG BATCH GIT_PORT REVISION
set -eu
[ $# = 5 ] || {
	echo "usage: bench/stages.sh HOSTS SSH_CONFIG BATCH GIT_PORT REVISION" >&2
	exit 2
}
hosts=$1 config=$2 batch=$3 port=$4 revision=$5
base=/srv/deployment/bench/app-cache

on_each() {
	xargs -a "$hosts" -P "$batch" -I'{}' ssh -n -F "$config" '{}' "set -e; mkdir -p $base/revs; cd $base; $1"
}

on_each "[ -e cache ] || git clone -q --no-checkout git://127.0.0.1:$port/app cache
	git -C cache fetch -q origin
	[ -e revs/$revision ] || git -C cache worktree add -q --detach $base/revs/$revision $revision"
on_each "sed 's/{{ title }}/An application/' revs/$revision/hoist/templates/app.conf.j2 > revs/$revision/app.conf"
on_each "ln -sfn revs/$revision current && ln -sfn $base/current/app.conf /srv/app.conf"
on_each "ln -sfn revs/$revision .done"
