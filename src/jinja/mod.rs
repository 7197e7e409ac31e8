//! Templates as Jinja2 renders them, byte for byte, and what cannot be done as Jinja2 does it refused.
//!
//! `values` has Python's values and what can be done with them, `filters` Jinja2's filters and tests of them; `syntax`
//! reads a template, `check` finds its mistakes, and `render` renders it.

mod check;
mod error;
mod filters;
mod render;
mod syntax;
mod undefined;
mod values;

use indexmap::IndexMap;
use serde_json::{Map, Value as Json};

use crate::wire::ConfigFile;

use error::Error;
use render::context::{Context, Engine};
use render::load;
use syntax::ast::Template;
use syntax::lexer::{Delimiters, ERB, JINJA};
use values::object::Object;
use values::{Dict, Key, Value};

pub use syntax::undefined::Undefined;
pub use undefined::undefined;
pub use values::python::float;

/// A rendered file.
#[derive(Debug, PartialEq, Eq)]
pub struct Output {
    pub text: String,
    /// What was undefined and printed as nothing; not more than a few of them.
    pub undefined: Vec<Undefined>,
    /// One of the secrets was looked up.
    pub has_secrets: bool,
}

/// Renders a configuration file's template with `vars`, and with `secrets`, which win over them.
///
/// # Errors
/// One that names template and line, and says no more than the kind of trouble where more could tell a variable's value.
pub fn render(
    templates: &IndexMap<String, String>,
    file: &ConfigFile,
    vars: &Map<String, Json>,
    secrets: &Map<String, Json>,
) -> Result<Output, String> {
    if !templates.contains_key(&file.template) {
        return Err(format!("{}: template {} is missing from the request", file.path, file.template));
    }
    // Templates may call each other deeper than a thread's usual stack allows.
    let rendered = std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("template".into()).stack_size(STACK);
        thread.spawn_scoped(scope, || output_of(templates, file, [vars, secrets])).map(|thread| thread.join())
    });
    match rendered {
        Ok(Ok(rendered)) => rendered.map_err(|why| format!("{}: {why}", file.path)),
        Ok(Err(panic)) => std::panic::resume_unwind(panic),
        Err(error) => Err(format!("{}: cannot start a thread to render it: {error}", file.path)),
    }
}

/// Enough for the deepest calls that are allowed. Only what is used of it takes memory.
const STACK: usize = 128 << 20;

fn output_of(
    templates: &IndexMap<String, String>,
    file: &ConfigFile,
    [vars, secrets]: [&Map<String, Json>; 2],
) -> Result<Output, String> {
    let names = secrets.keys().map(|name| name.as_str().into()).collect();
    let engine = Engine::watching(templates, delimiters(file), file.format, names);
    let mut text = String::new();
    let rendered = load::named(&engine, &Value::text(&file.template)).and_then(|template| {
        let mut variables = load::globals();
        variables.extend(vars.iter().chain(secrets).map(|(name, value)| (name.as_str().into(), value_of(value))));
        let context = Context::new(&engine, &template, variables);
        render::template(&engine, &template, &context, &mut text)
    });
    rendered
        .map(|()| Output {
            text,
            undefined: engine.undefined.take().into_iter().collect(),
            has_secrets: engine.watched.seen.get(),
        })
        .map_err(|error| described(&error, &file.template))
}

fn delimiters(file: &ConfigFile) -> Delimiters {
    if file.erb_syntax { ERB } else { JINJA }
}

fn described(error: &Error, name: &str) -> String {
    match &error.place {
        Some((template, line)) => format!("template {template} line {line}: {}", error.why),
        None => format!("template {name}: {}", error.why),
    }
}

/// A template's name, a line of it from 1, and what is to be said about it.
pub type Finding = (String, usize, String);

/// What is wrong with the templates that `files` name, and with those that only other templates may name when all
/// files are of one syntax. Nothing is rendered.
pub fn check(templates: &IndexMap<String, String>, files: &[ConfigFile]) -> Vec<Finding> {
    let of = |(name, read): (&str, Result<Template, Error>)| {
        let mistakes = match read {
            Ok(template) => {
                let found = check::template(&template);
                found.mistakes.into_iter().chain(found.doubts).collect()
            }
            Err(error) => vec![(error.place.as_ref().map_or(1, |(_, line)| *line), error.why)],
        };
        mistakes.into_iter().map(|(line, why)| (name.to_owned(), line, why)).collect::<Vec<_>>()
    };
    read_all(templates, files).flat_map(of).collect()
}

/// What works here in the same templates, but not in current versions of Jinja2.
pub fn remarks(templates: &IndexMap<String, String>, files: &[ConfigFile]) -> Vec<Finding> {
    let of = |(name, read): (&str, Result<Template, Error>)| {
        let remarks = read.map(|template| check::template(&template).remarks).unwrap_or_default();
        remarks.into_iter().map(|(line, why)| (name.to_owned(), line, why)).collect::<Vec<_>>()
    };
    read_all(templates, files).flat_map(of).collect()
}

fn read_all<'a>(
    templates: &'a IndexMap<String, String>,
    files: &'a [ConfigFile],
) -> impl Iterator<Item = (&'a str, Result<Template, Error>)> {
    let mut wanted: IndexMap<&str, &ConfigFile> = IndexMap::new();
    if let Some(first) = files.first().filter(|first| files.iter().all(|file| file.erb_syntax == first.erb_syntax)) {
        wanted.extend(templates.keys().map(|name| (name.as_str(), first)));
    }
    wanted.extend(files.iter().map(|file| (file.template.as_str(), file)));
    wanted.into_iter().filter_map(|(name, file)| {
        let engine = Engine::new(templates, delimiters(file), file.format);
        Some((name, load::read(&engine, name, templates.get(name)?)))
    })
}

/// A variable as templates see it; the keys of a mapping keep their order.
fn value_of(json: &Json) -> Value {
    match json {
        Json::Null => Value::None,
        Json::Bool(yes) => Value::Bool(*yes),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(whole), _) => Value::Int(i128::from(whole)),
            (None, Some(whole)) => Value::Int(i128::from(whole)),
            (None, None) => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::text(text),
        Json::Array(items) => Value::list(items.iter().map(value_of).collect()),
        Json::Object(keys) => match keys.iter().next() {
            Some((key, value)) if keys.len() == 1 && key.starts_with('!') => tagged(key, value),
            _ => Value::dict(keys.iter().map(|(key, value)| (Key::text(key), value_of(value))).collect()),
        },
    }
}

/// What JSON has no word for; `yaml::Node::to_json` lists them.
fn tagged(tag: &str, value: &Json) -> Value {
    let text = value.as_str().unwrap_or_default();
    match tag {
        "!int" => text.parse().map_or_else(|_| Value::text(text), Value::Int),
        "!float" => Value::Float(text.parse().unwrap_or(f64::NAN)),
        "!date" => Value::object(Object::Date(text.to_owned())),
        _ => {
            let pairs = value.as_array().into_iter().flatten().filter_map(Json::as_array);
            let pair = |pair: &Vec<Json>| Some((Key(value_of(pair.first()?)), value_of(pair.get(1)?)));
            Value::dict(pairs.filter_map(pair).collect::<Dict>())
        }
    }
}

#[cfg(test)]
mod unit_tests {
    use super::*;
    use crate::wire::OutputFormat;

    fn try_render(template: &str, erb_syntax: bool, format: OutputFormat, vars: Json) -> Result<String, String> {
        let texts = [("t.j2", template), ("part", "[{{ name }}]\n"), ("broken", "fine\n{{ name | nope }}")];
        let templates = texts.map(|(name, text)| (name.to_owned(), text.to_owned())).into();
        let (path, template) = ("/etc/x".to_owned(), "t.j2".to_owned());
        let file = ConfigFile { path, template, erb_syntax, format, ..ConfigFile::default() };
        render(&templates, &file, vars.as_object().unwrap(), &Map::new()).map(|output| output.text)
    }

    fn text(template: &str, vars: Json) -> String {
        try_render(template, false, OutputFormat::Text, vars).unwrap()
    }

    #[test]
    fn one_newline_at_the_end_is_dropped_and_undefined_is_empty_as_in_jinja2() {
        assert_eq!(text("a {{ nothing }}b\n", serde_json::json!({})), "a b");
        assert_eq!(text("a\n\n", serde_json::json!({})), "a\n");
    }

    #[test]
    fn values_print_as_in_python_and_as_yaml_where_that_is_asked_for() {
        let vars =
            serde_json::json!({"no": null, "yes": true, "list": ["a'b", 1, 1.0, null, false], "map": {"k": "v"}});
        let template = "{{ no }} {{ yes }} {{ list }} {{ map }}";
        assert_eq!(text(template, vars.clone()), "None True [\"a'b\", 1, 1.0, None, False] {'k': 'v'}");
        let yaml = try_render("{{ no }} {{ yes }} {{ not yes }}", false, OutputFormat::Yaml, vars).unwrap();
        assert_eq!(yaml, "null true false");
    }

    #[test]
    fn nothing_is_escaped_and_python_methods_work() {
        let vars = serde_json::json!({"name": "<a & b>", "map": {"x": 1, "b": 2}});
        assert_eq!(text("{{ name }}", vars.clone()), "<a & b>");
        assert_eq!(text("{% for k, v in map.items() %}{{ k }}={{ v }};{% endfor %}", vars.clone()), "x=1;b=2;");
        assert_eq!(text("{% include 'part' %}", vars), "[<a & b>]");
    }

    #[test]
    fn erb_delimiters_replace_the_usual_ones() {
        let vars = serde_json::json!({"n": 2});
        let template = "<%# no %><% if n %><%= n %><% endif %> {{ n }} {% x %} {# y #}";
        assert_eq!(try_render(template, true, OutputFormat::Text, vars).unwrap(), "2 {{ n }} {% x %} {# y #}");
    }

    #[test]
    fn an_error_names_template_and_line_and_keeps_the_secret() {
        let vars = || serde_json::json!({"secret": "hunter2", "name": "hunter2", "n": 1, "of": {"hunter2": 1}});
        let reason = |template| try_render(template, false, OutputFormat::Text, vars()).unwrap_err();
        assert!(reason("a\n{% if %}").starts_with("/etc/x: template t.j2 line 2: syntax error"));
        assert!(reason("\n\n{{ x.y.z }}").contains("template t.j2 line 3: undefined value: x is not defined"));
        assert!(reason("{% include 'broken' %}").contains("template broken line 2: unknown filter nope"));
        for template in [
            "{{ secret + 1 }}",
            "{{ n[secret]() }}",
            "{% include secret %}",
            "{{ secret | abs }}",
            "{{ secret() }}",
            "{{ [n] | map(secret) | list }}",
            "{{ [n] | select(secret) | list }}",
            "{{ [n] | rejectattr('x', secret) | list }}",
            "{{ [n] | map(attribute=secret, default=n) | sum(**of) }}",
            "{% macro m(host) %}{% endmacro %}{{ m(**of) }}",
            "{% macro m() %}{{ caller(**of) }}{% endmacro %}{% call m() %}{% endcall %}",
            "{{ 'a'.replace(**of) }}",
            "{{ n | round(**of) }}",
            "{{ range(**of) }}",
            "{{ range | attr(secret) }}",
            "{{ secret | attr('__' ~ secret ~ '__') }}",
            "{{ ('{' ~ secret ~ '}').format(n) }}",
            "{{ ('{:' ~ secret ~ '}').format(n) }}",
            "{{ {}[secret].x }}",
            "{{ n | attr(secret) + 1 }}",
            "{% import secret as x %}",
            "{% extends secret %}",
        ] {
            let reason = reason(template);
            assert!(!reason.contains("unter2"), "{template}: {reason}");
        }
    }

    #[test]
    fn methods_that_dictionaries_had_in_python_2_work() {
        let vars = serde_json::json!({"map": {"a": 1, "b": 2}});
        let template = "{% for k, v in map.iteritems() %}{{ k }}{{ v }}{% endfor %}{{ map.iterkeys()|list }}\
            {{ map.itervalues()|list }}{{ map.has_key('a') }}{{ map.has_key('c') }}";
        assert_eq!(text(template, vars.clone()), "a1b2['a', 'b'][1, 2]TrueFalse");
        assert_eq!(text("{{ map.iteritems is defined }}", vars), "False");
    }

    #[test]
    fn what_has_no_end_or_would_fill_the_memory_is_an_error() {
        let nested = format!("{{{{ {}1{} }}}}", "(".repeat(10_000), ")".repeat(10_000));
        let (open, close) = ("[".repeat(90), "]".repeat(90));
        let lists = format!("{{% macro m() %}}{{% if {open}m(){close} %}}{{% endif %}}{{% endmacro %}}{{{{ m() }}}}");
        let twice = format!("{{% set x = 'ab' %}}{}", "{% set x = x ~ x %}".repeat(40));
        let row = |start: &str, part: &str, end: &str| format!("{{{{ {start}{}{end} }}}}", part.repeat(100_000));
        let (sum, filters, items) = (row("", "1 + ", "1"), row("1", "|abs", ""), row("x", "[0]", ""));
        let (calls, either, power) = (row("x", "()", ""), row("", "x or ", "1"), row("", "1 ** ", "1"));
        let row = "a chain of more than 500";
        for (template, why) in [
            ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "more than 400 deep"),
            ("{% include 't.j2' %}", "more than 400 deep"),
            ("{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}", "more than 400 deep"),
            (&nested, "nested deeper than 100"),
            (&sum, row),
            (&filters, row),
            (&items, row),
            (&calls, row),
            (&either, row),
            (&power, row),
            (&twice, "more than 10000000 bytes"),
            (&lists, "are nested"),
            ("{{ 'x' * 100000000000 }}", "more than 10000000"),
            ("{{ range(1000000000)|list }}", "more than 10000000"),
            ("{% set l = [] %}{% set _ = l.append([l]) %}", "would contain itself"),
        ] {
            let reason = try_render(template, false, OutputFormat::Text, serde_json::json!({})).unwrap_err();
            assert!(reason.contains(why), "{reason}");
        }
    }
    #[test]
    fn a_template_of_many_tags_is_read_in_one_go() {
        // Comments and variables stand nowhere in it: each tag would look for them up to the end.
        let many = "{% if 1 %}{% endif %}".repeat(100_000);
        assert_eq!(try_render(&many, false, OutputFormat::Text, serde_json::json!({})).as_deref(), Ok(""));
    }
}
