"""Renders what standard input asks for with Python's own jinja2, and reads YAML and INI with Python's own readers."""

import configparser
import datetime
import fnmatch
import io
import json
import re
import shlex
import sys

import jinja2
import jinja2.meta
import yaml


def finalize_yaml(value):
    """Only a value that is printed by itself is put in YAML's words, as Scap does it."""
    if value is None:
        return "null"
    if value is True:
        return "true"
    if value is False:
        return "false"
    return value


def outcome(work):
    try:
        return {"ok": work()}
    except Exception as error:  # whatever stops Python has to stop Hoist
        text = "%s: %s" % (type(error).__name__, error)
        return {"error": text.encode("utf-8", "replace").decode()}


ENVIRONMENTS = {}


def render(case, templates, variables):
    options = {}
    if case["erb"]:
        options.update(
            block_start_string="<%", block_end_string="%>", variable_start_string="<%=",
            variable_end_string="%>", comment_start_string="<%#", comment_end_string="%>")
    if case["yaml"]:
        options.update(finalize=finalize_yaml)
    beside = case.get("templates", templates)
    known = (case["erb"], case["yaml"], json.dumps(beside))
    if known not in ENVIRONMENTS:
        ENVIRONMENTS[known] = jinja2.Environment(loader=jinja2.DictLoader(dict(beside)), cache_size=0, **options)
    environment = ENVIRONMENTS[known]
    environment.loader.mapping["the.j2"] = case["template"]
    # The variables are read anew, since a template can change them.
    given = yaml.load(case.get("variables", variables), Loader=LOADER)
    return environment.get_template("the.j2").render(given)


# PyYAML has the same reader once more in C, which is faster.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def plain(value):
    """Values as JSON can say them, with their types where JSON has none."""
    if isinstance(value, str) and value != value.encode("utf-8", "replace").decode():
        return {"other": "half a character"}
    if isinstance(value, dict):
        return {"map": [[plain(key), plain(item)] for key, item in value.items()]}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, float) and (value != value or abs(value) == float("inf")):
        return {"float": repr(value)}
    if isinstance(value, (datetime.date, datetime.datetime)):
        return {"date": str(value)}
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 1 << 53:
        return {"int": str(value)}
    if isinstance(value, (str, int, float, bool)) or value is None:
        return value
    return {"other": type(value).__name__}


def ini(text):
    # Not strict: of a key that stands twice the later one counts.
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    # As a file is read, whose lines may end in any way.
    parser.read_file(io.TextIOWrapper(io.BytesIO(text.encode()), encoding="utf-8"))
    return [[section, [[key, parser[section][key]] for key in parser[section]]] for section in parser.sections()]


asked = json.load(sys.stdin)
answer = {
    "render": [outcome(lambda: render(case, asked["templates"], asked["variables"])) for case in asked["render"]],
    "yaml": [outcome(lambda: plain(yaml.safe_load(text))) for text in asked["yaml"]],
    "undeclared": [outcome(lambda: sorted(jinja2.meta.find_undeclared_variables(jinja2.Environment().parse(text))))
                   for text in asked.get("undeclared", [])],
    "words": [outcome(lambda: shlex.split(text)) for text in asked.get("words", [])],
    "ini": [outcome(lambda: ini(text)) for text in asked["ini"]],
    "globs": [[name for name in asked.get("names", []) if fnmatch.fnmatchcase(name, glob)]
              for glob in asked.get("globs", [])],
    "expressions": [[name for name in asked.get("names", []) if re.match(regex, name)]
                    for regex in asked.get("expressions", [])],
}
json.dump(answer, sys.stdout)
