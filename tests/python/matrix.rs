//! Every filter, test, function and operator with every kind of value, wrong ones included: what stops Jinja2 stops Hoist,
//! and what does not gives the same.

use std::collections::BTreeMap;

use crate::oracle::{Case, differences};

/// A value of each kind, as templates write it.
const VALUES: &[&str] = &[
    "nosuch",
    "none",
    "true",
    "0",
    "-7",
    "2.5",
    "'ab c'",
    "''",
    "'12'",
    "[3, 1, 2]",
    "[]",
    "[1, 'a']",
    "['b', none]",
    "(1, 2)",
    "{'a': 1, 'b': 2}",
    "{}",
    "range(3)",
    "[{'a': 1}, {'b': 2}]",
    "('<x>'|e)",
    "([1, 2]|map('string'))",
    "{'a': 1}.items()",
    "namespace(a=1)",
    "[[1, 2], [3, 4]]",
];

const FILTERS: &[&str] = &[
    "abs",
    "attr",
    "batch",
    "capitalize",
    "center",
    "count",
    "d",
    "default",
    "dictsort",
    "e",
    "escape",
    "filesizeformat",
    "first",
    "float",
    "forceescape",
    "format",
    "groupby",
    "indent",
    "int",
    "items",
    "join",
    "last",
    "length",
    "list",
    "lower",
    "map",
    "max",
    "min",
    "pprint",
    "reject",
    "rejectattr",
    "replace",
    "reverse",
    "round",
    "safe",
    "select",
    "selectattr",
    "slice",
    "sort",
    "string",
    "striptags",
    "sum",
    "title",
    "tojson",
    "trim",
    "truncate",
    "unique",
    "upper",
    "urlencode",
    "wordcount",
    "wordwrap",
    "xmlattr",
];

/// What filters are given.
const ARGUMENTS: &[&str] = &["", "nosuch", "none", "2", "'a'", "[1]", "2.0", "attribute='a'"];

const TESTS: &[&str] = &[
    "boolean",
    "callable",
    "defined",
    "divisibleby",
    "eq",
    "equalto",
    "escaped",
    "even",
    "false",
    "filter",
    "float",
    "ge",
    "greaterthan",
    "gt",
    "in",
    "integer",
    "iterable",
    "le",
    "lessthan",
    "lower",
    "lt",
    "mapping",
    "ne",
    "none",
    "number",
    "odd",
    "sameas",
    "sequence",
    "string",
    "test",
    "true",
    "undefined",
    "upper",
];

const OPERATORS: &[&str] =
    &["+", "-", "*", "/", "//", "%", "**", "~", "==", "!=", "<", ">=", "in", "not in", "and", "or"];

fn compared(templates: Vec<String>) {
    let case = |template: String| Case {
        place: "matrix".into(),
        template,
        erb: false,
        yaml: false,
        own: Some((BTreeMap::new(), "{}".into())),
    };
    let wrong = differences(templates.into_iter().map(case).collect());
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn every_filter_takes_or_refuses_every_kind_of_value_as_jinja2_does() {
    // A generator is shown by its items.
    let shown =
        "{% if x is iterable and x is not string and x is not sequence %}{{ x|list }}{% else %}{{ x }}{% endif %}";
    let calls: Vec<String> =
        FILTERS.iter().flat_map(|filter| ARGUMENTS.iter().map(move |given| format!("{filter}({given})"))).collect();
    let of =
        |value: &&str| calls.iter().map(|call| format!("{{% set x = {value}|{call} %}}{shown}")).collect::<Vec<_>>();
    compared(VALUES.iter().flat_map(of).collect());
}

#[test]
fn every_test_answers_every_kind_of_value_as_jinja2_does() {
    let arguments = ["", "(nosuch)", "(none)", "(2)", "('a')", "([1, 2, 3])"];
    let tests = TESTS.iter().flat_map(|test| arguments.map(|arguments| format!("{test}{arguments}")));
    let of = |test: String| VALUES.iter().map(move |value| format!("{{{{ {value} is {test} }}}}"));
    compared(tests.flat_map(of).collect());
}

#[test]
fn every_operator_joins_every_two_kinds_of_values_as_jinja2_does() {
    let mut templates = Vec::new();
    for a in VALUES {
        for operator in OPERATORS {
            for b in VALUES {
                // What a generator prints is an address in memory.
                let whole = format!("({a} {operator} {b})");
                templates.push(format!(
                    "{{% set x = {whole} %}}{{{{ x if x is not iterable or x is sequence else 'lazy' }}}}"
                ));
            }
        }
        for rest in ["[0]", "['a']", "[none]", "[1:]", "[::-1]", "[nosuch]", ".a", ".items()", "()", ".upper()"] {
            templates.push(format!("{{{{ {a}{rest} }}}}"));
        }
        for sign in ["-", "+", "not "] {
            templates.push(format!("{{{{ {sign}{a} }}}}"));
        }
        for statement in [
            "{% for x in V %}{{ x }},{% endfor %}",
            "{% for x, y in V %}{{ x }}{% endfor %}",
            "{% for x in V %}{{ loop.index }}/{{ loop.length }}{{ x }}{% if not loop.last %},{% endif %}{% endfor %}",
            "{% set a, b = V %}{{ a }}",
            "{% include V %}",
            "{% include V ignore missing %}",
            "{% import V as x %}",
            "{% extends V %}",
            "{{ range(V)|list }}",
            "{{ dict(V) }}",
            "{{ cycler(V).next() }}",
            "{{ namespace(V).a }}",
            "{% macro m(a, b=2) %}{{ a }}{{ b }}{% endmacro %}{{ m(*V) }}|{{ m(**V) }}",
            "{% call V() %}{% endcall %}",
        ] {
            templates.push(statement.replace('V', a));
        }
    }
    compared(templates);
}
