//! Rendering templates as Jinja2 does, byte for byte. minijinja does the work; what Python does otherwise is here, and
//! what cannot be done as Python does is refused.

mod arguments;
mod filters;
mod format;
mod lexer;
mod lists;
mod methods;
mod numbers;
mod objects;
mod python;
mod syntax;
mod text;

use indexmap::IndexMap;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::ValueKind;
use minijinja::{Environment, Error, ErrorKind, Value};
use serde_json::{Map, Value as Json};

use crate::wire::{ConfigFile, OutputFormat};

use lexer::{Delimiters, ERB, JINJA};
use objects::Date;
use python::Refusal;

/// Renders a configuration file's template with `vars`.
///
/// # Errors
/// One that names template and line, and says no more than the kind of trouble where more could tell a variable's value.
pub fn render(
    templates: &IndexMap<String, String>,
    file: &ConfigFile,
    vars: &Map<String, Json>,
) -> Result<String, String> {
    let name = file.template.as_str();
    let fault = |error: Error| format!("{}: {}", file.path, describe(name, &error));
    if !templates.contains_key(name) {
        return Err(format!("{}: template {name} did not come with the request", file.path));
    }
    let environment = environment(templates, file).map_err(fault)?;
    let template = environment.get_template(name).map_err(fault)?;
    template.render(value_of(&Json::Object(vars.clone()))).map_err(fault)
}

/// What is wrong with the templates that `files` name, and with those that only other templates may name when all
/// files are of one syntax: the template's name, the line from 1, and why. Nothing is rendered.
pub fn check(templates: &IndexMap<String, String>, files: &[ConfigFile]) -> Vec<(String, usize, String)> {
    let mut mistakes = Vec::new();
    let mut wanted: IndexMap<&str, &ConfigFile> = IndexMap::new();
    if let Some(first) = files.first().filter(|first| files.iter().all(|file| file.erb_syntax == first.erb_syntax)) {
        wanted.extend(templates.keys().map(|name| (name.as_str(), first)));
    }
    wanted.extend(files.iter().map(|file| (file.template.as_str(), file)));
    for (name, file) in wanted {
        let read = environment(templates, file).and_then(|environment| {
            environment.get_template(name)?;
            Ok(unknown_words(&environment, &templates[name], if file.erb_syntax { &ERB } else { &JINJA }))
        });
        let unknown = read.as_ref().map(Vec::clone).unwrap_or_default();
        mistakes.extend(unknown.into_iter().map(|(line, why)| (name.to_owned(), line, why)));
        if let Err(error) = read {
            let refusal = std::error::Error::source(&error).and_then(|source| source.downcast_ref::<Refusal>());
            let place = refusal.and_then(|refusal| refusal.place.as_ref());
            let own_line = place.and_then(|place| place.rsplit(' ').next()?.parse().ok());
            let line = own_line.or(error.line()).unwrap_or(1);
            let text = describe(name, &error);
            let why = text.split_once(": ").map_or(text.as_str(), |(_, why)| why);
            mistakes.push((name.to_owned(), line, why.to_owned()));
        }
    }
    mistakes
}

/// Filters and tests that there are not, which a rendering would notice only when it comes by.
fn unknown_words(environment: &Environment, text: &str, delimiters: &Delimiters) -> Vec<(usize, String)> {
    let mut state = environment.empty_state();
    let mut unknown = Vec::new();
    for tag in lexer::tags(text, delimiters) {
        for (index, token) in tag.tokens.iter().enumerate().skip(1) {
            let before = |back: usize| index.checked_sub(back).map_or("", |at| tag.tokens[at].text);
            let error = match before(1) {
                _ if token.kind != lexer::Kind::Name => continue,
                "|" => state.apply_filter(token.text, &[]).err(),
                "is" if token.text != "not" => state.perform_test(token.text, &[]).err(),
                "not" if before(2) == "is" => state.perform_test(token.text, &[]).err(),
                _ => continue,
            };
            let line = text[..token.start].matches('\n').count() + 1;
            match error.map(|error| error.kind()) {
                Some(ErrorKind::UnknownFilter) => unknown.push((line, format!("there is no filter {}", token.text))),
                Some(ErrorKind::UnknownTest) => unknown.push((line, format!("there is no test {}", token.text))),
                _ => {}
            }
        }
    }
    unknown
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
        Json::Object(keys) => match keys.iter().next() {
            Some((key, value)) if keys.len() == 1 && key.starts_with('!') => tagged(key, value),
            _ => Value::from_pairs(keys.iter().map(|(key, value)| (key.as_str(), value_of(value)))),
        },
    }
}

/// What JSON has no word for; `yaml::Node::to_json` lists them.
fn tagged(tag: &str, value: &Json) -> Value {
    let text = value.as_str().unwrap_or_default();
    match tag {
        "!int" => text.parse::<i128>().map_or_else(|_| Value::from(text), Value::from),
        "!float" => Value::from(text.parse::<f64>().unwrap_or(f64::NAN)),
        "!date" => Value::from_object(Date(text.to_owned())),
        _ => {
            let pairs = value.as_array().into_iter().flatten().filter_map(Json::as_array);
            Value::from_pairs(pairs.filter_map(|pair| Some((value_of(pair.first()?), value_of(pair.get(1)?)))))
        }
    }
}

fn environment(templates: &IndexMap<String, String>, file: &ConfigFile) -> Result<Environment<'static>, Error> {
    let mut environment = Environment::new();
    let delimiters = if file.erb_syntax { &ERB } else { &JINJA };
    if file.erb_syntax {
        let syntax = SyntaxConfig::builder()
            .block_delimiters(ERB.block.0, ERB.block.1)
            .variable_delimiters(ERB.variable.0, ERB.variable.1)
            .comment_delimiters(ERB.comment.0, ERB.comment.1)
            .build()?;
        environment.set_syntax(syntax);
    }
    // Configuration files are no web pages, whatever their names end in.
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_unknown_method_callback(methods::call);
    filters::add(&mut environment);
    let format = file.format;
    environment.set_formatter(move |out, _, value| {
        let text = printed(value, format)?;
        out.write_str(&text).map_err(|_| Error::new(ErrorKind::WriteFailure, "cannot write"))
    });
    let templates = templates.clone();
    environment.set_loader(move |name| templates.get(name).map(|text| adapted(name, text, delimiters)).transpose());
    Ok(environment)
}

/// A template as minijinja should read it.
fn adapted(name: &str, text: &str, delimiters: &Delimiters) -> Result<String, Error> {
    // Jinja2 knows one line end; every other one is made that.
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    syntax::adapt(&text, delimiters).map_err(|refused| {
        let place = Some(format!("template {name} line {}", refused.line));
        Error::from(ErrorKind::SyntaxError).with_source(Refusal { place, why: refused.why })
    })
}

/// What `{{ value }}` writes: as Python would, since that is what templates are written for; YAML's own words where it is
/// asked for.
fn printed(value: &Value, format: OutputFormat) -> Result<String, Error> {
    match value.kind() {
        ValueKind::None if format == OutputFormat::Yaml => Ok("null".into()),
        ValueKind::Bool if format == OutputFormat::Yaml => {
            Ok(if value.is_true() { "true" } else { "false" }.to_owned())
        }
        _ => python::str(value),
    }
}

/// Where and what, but never a value: the detail is told only for those kinds that stem from the template's own text.
fn describe(name: &str, error: &Error) -> String {
    // The innermost error is the one to correct: the outer ones only say which template included which.
    let mut error = error;
    while let Some(inner) = std::error::Error::source(error).and_then(|source| source.downcast_ref::<Error>()) {
        error = inner;
    }
    let refusal = std::error::Error::source(error).and_then(|source| source.downcast_ref::<Refusal>());
    let line = error.line().map(|line| format!(" line {line}")).unwrap_or_default();
    let place = format!("template {}{line}", error.name().unwrap_or(name));
    if let Some(Refusal { place: own, why }) = refusal {
        return format!("{}: {why}", own.as_ref().unwrap_or(&place));
    }
    let from_the_text = matches!(
        error.kind(),
        ErrorKind::SyntaxError | ErrorKind::UnknownFilter | ErrorKind::UnknownTest | ErrorKind::UnknownFunction
    );
    let detail = error.detail().filter(|_| from_the_text).map(|detail| format!(": {detail}")).unwrap_or_default();
    format!("{place}: {}{detail}", error.kind())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn try_render(template: &str, erb_syntax: bool, format: OutputFormat, vars: Json) -> Result<String, String> {
        let texts = [("t.j2", template), ("part", "[{{ name }}]\n"), ("broken", "fine\n{{ name | nope }}")];
        let templates = texts.map(|(name, text)| (name.to_owned(), text.to_owned())).into();
        let (path, template) = ("/etc/x".to_owned(), "t.j2".to_owned());
        let file = ConfigFile { path, template, remote_vars: None, erb_syntax, format };
        render(&templates, &file, vars.as_object().unwrap())
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
        let reason = |template| try_render(template, false, OutputFormat::Text, vars()).unwrap_err();
        assert!(reason("a\n{% if %}").starts_with("/etc/x: template t.j2 line 2: syntax error"));
        assert!(reason("\n\n{{ x.y.z }}").contains("template t.j2 line 3: undefined value"));
        assert!(reason("{% include 'broken' %}").contains("template broken line 2: unknown filter"));
        for template in
            ["{{ secret + 1 }}", "{{ n[secret]() }}", "{% include secret %}", "{{ secret | abs }}", "{{ secret() }}"]
        {
            let reason = reason(template);
            assert!(!reason.contains("hunter2"), "{reason}");
        }
    }
}
