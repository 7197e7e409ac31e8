//! Rendering templates as Jinja2 does.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::ValueKind;
use minijinja::{Environment, Error, ErrorKind, Value};
use serde_json::{Map, Value as Json};

use crate::wire::{ConfigFile, OutputFormat, Request};

use super::fault::Fault;

/// Renders a configuration file's template with `vars`.
///
/// An error names template and line, and says no more than the kind of trouble where more could tell a variable's value.
pub fn render(request: &Request, file: &ConfigFile, vars: &Map<String, Json>) -> Result<String, Fault> {
    let name = file.template.as_str();
    let fault = |error: Error| Fault::Failed(format!("{}: {}", file.path, describe(name, &error)));
    if !request.templates.contains_key(name) {
        return Err(Fault::Failed(format!("{}: template {name} did not come with the request", file.path)));
    }
    let mut environment = environment(file).map_err(fault)?;
    let templates = request.templates.clone();
    environment.set_loader(move |name| Ok(templates.get(name).cloned()));
    let template = environment.get_template(name).map_err(fault)?;
    template.render(value_of(&Json::Object(vars.clone()))).map_err(fault)
}

/// A variable as templates see it; the keys of a mapping keep their order.
fn value_of(json: &Json) -> Value {
    match json {
        Json::Null => Value::from(()),
        Json::Bool(yes) => Value::from(*yes),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(whole), _) => Value::from(whole),
            (None, Some(whole)) => Value::from(whole),
            (None, None) => Value::from(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(items) => Value::from(items.iter().map(value_of).collect::<Vec<_>>()),
        Json::Object(keys) => Value::from_pairs(keys.iter().map(|(key, value)| (key.as_str(), value_of(value)))),
    }
}

fn environment(file: &ConfigFile) -> Result<Environment<'static>, Error> {
    let mut environment = Environment::new();
    if file.erb_syntax {
        let syntax = SyntaxConfig::builder()
            .block_delimiters("<%", "%>")
            .variable_delimiters("<%=", "%>")
            .comment_delimiters("<%#", "%>")
            .build()?;
        environment.set_syntax(syntax);
    }
    // Configuration files are no web pages, whatever their names end in.
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    let format = file.format;
    environment.set_formatter(move |out, _, value| {
        let mut text = String::new();
        print(value, format, &mut text);
        out.write_str(&text).map_err(|_| Error::new(ErrorKind::WriteFailure, "cannot write"))
    });
    Ok(environment)
}

/// Prints a value as Python would, since that is what templates are written for; YAML's own words where it is asked for.
fn print(value: &Value, format: OutputFormat, text: &mut String) {
    match value.kind() {
        ValueKind::Undefined => {}
        ValueKind::String => text.push_str(&value.to_string()),
        ValueKind::None if format == OutputFormat::Yaml => text.push_str("null"),
        ValueKind::Bool if format == OutputFormat::Yaml => {
            text.push_str(if value.is_true() { "true" } else { "false" })
        }
        _ => represent(value, text),
    }
}

/// Python's `repr`.
fn represent(value: &Value, text: &mut String) {
    match value.kind() {
        ValueKind::Undefined => {}
        ValueKind::None => text.push_str("None"),
        ValueKind::Bool => text.push_str(if value.is_true() { "True" } else { "False" }),
        ValueKind::String => quote(&value.to_string(), text),
        ValueKind::Seq => {
            let (open, close) = match (value.is_tuple(), value.len()) {
                (true, Some(1)) => ("(", ",)"),
                (true, _) => ("(", ")"),
                (false, _) => ("[", "]"),
            };
            text.push_str(open);
            for (index, item) in value.try_iter().into_iter().flatten().enumerate() {
                text.push_str(if index == 0 { "" } else { ", " });
                represent(&item, text);
            }
            text.push_str(close);
        }
        ValueKind::Map => {
            text.push('{');
            for (index, key) in value.try_iter().into_iter().flatten().enumerate() {
                text.push_str(if index == 0 { "" } else { ", " });
                represent(&key, text);
                text.push_str(": ");
                represent(&value.get_item(&key).unwrap_or_default(), text);
            }
            text.push('}');
        }
        _ => text.push_str(&value.to_string()),
    }
}

fn quote(string: &str, text: &mut String) {
    let mark = if string.contains('\'') && !string.contains('"') { '"' } else { '\'' };
    text.push(mark);
    for c in string.chars() {
        match c {
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            '\\' => text.push_str("\\\\"),
            c if c == mark => {
                text.push('\\');
                text.push(c);
            }
            c if c.is_control() => text.push_str(&format!("\\x{:02x}", u32::from(c))),
            c => text.push(c),
        }
    }
    text.push(mark);
}

/// Where and what, but never a value: the detail is told only for those kinds that stem from the template's own text.
fn describe(name: &str, error: &Error) -> String {
    // The innermost error is the one to correct: the outer ones only say which template included which.
    let mut error = error;
    while let Some(inner) = std::error::Error::source(error).and_then(|source| source.downcast_ref::<Error>()) {
        error = inner;
    }
    let place = error.name().unwrap_or(name);
    let line = error.line().map(|line| format!(" line {line}")).unwrap_or_default();
    let from_the_text = matches!(
        error.kind(),
        ErrorKind::SyntaxError | ErrorKind::UnknownFilter | ErrorKind::UnknownTest | ErrorKind::UnknownFunction
    );
    let detail = error.detail().filter(|_| from_the_text).map(|detail| format!(": {detail}")).unwrap_or_default();
    format!("template {place}{line}: {}{detail}", error.kind())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::tests::request;

    fn try_render(template: &str, erb_syntax: bool, format: OutputFormat, vars: Json) -> Result<String, Fault> {
        let mut request = request();
        request.templates.insert("t.j2".to_owned(), template.to_owned());
        request.templates.insert("part".to_owned(), "[{{ name }}]\n".to_owned());
        request.templates.insert("broken".to_owned(), "fine\n{{ name | nope }}".to_owned());
        let (path, template) = ("/etc/x".to_owned(), "t.j2".to_owned());
        let file = ConfigFile { path, template, remote_vars: None, erb_syntax, format };
        render(&request, &file, vars.as_object().unwrap())
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
        let vars = || serde_json::json!({"secret": "hunter2", "name": "hunter2", "n": 1});
        let reason = |template| try_render(template, false, OutputFormat::Text, vars()).unwrap_err().reason();
        assert!(reason("a\n{% if %}").starts_with("/etc/x: template t.j2 line 2: syntax error"));
        assert!(reason("\n\n{{ x.y.z }}").contains("template t.j2 line 3: undefined value"));
        assert!(reason("{% include 'broken' %}").contains("template broken line 2: unknown filter"));
        for template in
            ["{{ secret + 1 }}", "{{ n[secret]() }}", "{% include secret %}", "{{ secret | int }}", "{{ secret() }}"]
        {
            let reason = reason(template);
            assert!(!reason.contains("hunter2"), "{reason}");
        }
    }
}
