# Prints the cases of a JUnit report as JSON, as junitparser reads them: suite, class, name, how it ended, message, text.
import json
import sys

from junitparser import JUnitXml

cases = []
report = JUnitXml.fromfile(sys.argv[1])
for suite in report:
    assert suite.tests == len(list(suite)), f"{suite.name}: {suite.tests} tests"
    for case in suite:
        result = case.result[0] if case.result else None
        kind = type(result).__name__.lower() if result is not None else "passed"
        message = result.message if result is not None else None
        text = result.text if result is not None else None
        cases.append([suite.name, case.classname, case.name, kind, message or "", text or "", case.time])
counts = {"tests": report.tests, "failures": report.failures, "errors": report.errors, "skipped": report.skipped}
properties = {it.name: it.value for suite in report for it in suite.properties()}
print(json.dumps({"cases": cases, "counts": counts, "properties": properties}))
