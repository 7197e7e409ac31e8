#!/bin/sh
# Puts Python's readers of templates and YAML with their test suites, SciPy, Ansible, and readers of JUnit, HTML and
# OpenTelemetry into target/python, saying so. Nothing of them is part of this repository: tests/python runs the suites
# and gives Hoist what they read, tests/gates holds Hoist's statistics to SciPy's, tests/pipeline reads JUnit reports and pipelines,
# tests/report reads pages and traces, and tests/inventory compares inventories with Ansible's reading.
set -eu
cd "$(dirname "$0")/../.."
folder=target/python
jinja2=3.1.6
pyyaml=6.0.3
scipy=1.17.1
readers="junitparser==5.0.3 html5lib==1.1 opentelemetry-proto==1.45.2 ansible-core==2.19.14 dnslib==0.9.26"
stamp="$folder/ready-$jinja2-$pyyaml-$scipy-$(echo "$readers" | tr ' ' -)"
[ -e "$stamp" ] && exit 0

echo "putting jinja2 $jinja2, PyYAML $pyyaml with their tests, SciPy $scipy, and $readers into $folder"
rm -rf "$folder"
mkdir -p "$folder"
python3 -m venv "$folder/venv"
pip() {
	"$folder/venv/bin/pip" "$@" -q --disable-pip-version-check
}
# flit_core, setuptools and Cython only tell pip what the source packages are.
# shellcheck disable=SC2086
pip install "jinja2==$jinja2" "pyyaml==$pyyaml" "scipy==$scipy" $readers pytest trio flit_core setuptools wheel cython
pip download --no-deps --no-build-isolation --no-binary :all: -d "$folder" "jinja2==$jinja2" "pyyaml==$pyyaml"
for package in "jinja2-$jinja2" "pyyaml-$pyyaml"; do
	mkdir "$folder/${package%-*}"
	tar -xzf "$folder/$package.tar.gz" -C "$folder/${package%-*}" --strip-components=1
done
touch "$stamp"
