"""Runs a peer's own test suite and writes down, as JSON, the texts that it reads.

    record.py jinja2 FOLDER     templates of Jinja2's tests, each with its variables and the templates beside it
    record.py configparser      INI files of CPython's test_configparser

Only what needs nothing but itself is written down: no settings of the reader's other than its own, and no variables that
YAML has no word for.
"""

import json
import os
import sys


def plain(value):
    """Whether a value can be written as JSON and read as the same."""
    if type(value) is dict:
        return all(type(key) is str and plain(item) for key, item in value.items())
    if type(value) is list:
        return all(map(plain, value))
    return value is None or type(value) in (bool, int, float, str)


def jinja2_cases(folder):
    import jinja2
    import pytest
    from jinja2 import defaults

    cases = []
    usual = jinja2.Environment()
    settings = [
        "block_start_string", "block_end_string", "variable_start_string", "variable_end_string",
        "comment_start_string", "comment_end_string", "line_statement_prefix", "line_comment_prefix", "trim_blocks",
        "lstrip_blocks", "newline_sequence", "keep_trailing_newline", "undefined", "finalize", "autoescape", "is_async",
        "sandboxed", "policies"]

    def is_usual(environment):
        return (
            type(environment) is jinja2.Environment
            and not environment.extensions
            and all(getattr(environment, name) == getattr(usual, name) for name in settings)
            and environment.filters == defaults.DEFAULT_FILTERS
            and environment.tests == usual.tests
            and environment.globals == usual.globals)

    from_string, render = jinja2.Environment.from_string, jinja2.Template.render

    def note(environment, source, variables):
        loader = environment.loader
        beside = dict(loader.mapping) if type(loader) is jinja2.DictLoader else {}
        if not is_usual(environment) or not plain(variables) or not isinstance(source, str):
            return
        case = {"template": source, "templates": beside, "variables": json.dumps(variables)}
        if loader is not None and not beside and any(word in source for word in ("include", "import", "extends")):
            return
        if case not in cases:
            cases.append(case)

    def recorded_from_string(self, source, *args, **kwargs):
        try:
            template = from_string(self, source, *args, **kwargs)
        except Exception:
            note(self, source, {})
            raise
        template.written_as = source
        return template

    def recorded_render(self, *args, **kwargs):
        source = getattr(self, "written_as", None)
        loader = self.environment.loader
        if source is None and type(loader) is jinja2.DictLoader:
            source = loader.mapping.get(self.name)
        if source is not None and len(args) <= 1 and all(isinstance(it, dict) for it in args):
            note(self.environment, source, dict(*args, **kwargs))
        return render(self, *args, **kwargs)

    jinja2.Environment.from_string = recorded_from_string
    jinja2.Template.render = recorded_render
    os.chdir(folder)
    quiet = os.dup(1)
    os.dup2(2, 1)
    pytest.main(["-q", "-p", "no:cacheprovider", "--ignore=tests/test_async.py", "--ignore=tests/test_async_filters.py",
                 "tests"])
    os.dup2(quiet, 1)
    return cases


def configparser_cases():
    import configparser
    import unittest

    from test import test_configparser

    cases = []
    read = configparser.RawConfigParser._read

    def recorded(self, lines, name):
        lines = [line if isinstance(line, str) else "" for line in lines]
        text = "".join(line if line.endswith("\n") else line + "\n" for line in lines)
        if text not in cases:
            cases.append(text)
        return read(self, lines, name)

    configparser.RawConfigParser._read = recorded
    suite = unittest.defaultTestLoader.loadTestsFromModule(test_configparser)
    unittest.TextTestRunner(stream=sys.stderr).run(suite)
    return cases


cases = jinja2_cases(sys.argv[2]) if sys.argv[1] == "jinja2" else configparser_cases()
json.dump(cases, sys.stdout)
