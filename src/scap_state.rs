//! What Scap's own `deploy-local` goes by: `.git/DEPLOY_HEAD` on the deploy host, `.config` on targets.
//!
//! Both are one mapping in YAML. It is written as JSON, every text of which is YAML too once the characters are escaped
//! that YAML has as escapes alone.

use indexmap::IndexMap;
use serde_json::{Value, json};

use crate::wire::{Check, CheckPoint, CheckType, OutputFormat, StageRequest};

/// The mapping for what a request deploys; `None` in a repository that Scap does not deploy. `tag`: the deployment's.
pub fn text(request: &StageRequest, tag: Option<&str>) -> Option<String> {
    let mapping = mapping(request, tag)?;
    Some(escaped(&serde_json::to_string_pretty(&mapping).ok()?) + "\n")
}

fn mapping(request: &StageRequest, tag: Option<&str>) -> Option<IndexMap<&'static str, Value>> {
    let scap = request.scap.as_ref()?;
    let revision = request.revision.as_str();
    let mut mapping = IndexMap::new();
    let mut set = |key, value: Value| {
        if !value.is_null() {
            mapping.insert(key, value);
        }
    };
    set("tag", json!(tag));
    set("commit", json!(revision));
    set("user", json!(request.header.holder.user));
    set("timestamp", json!(request.header.holder.since.trim_end_matches('Z')));
    set("original_origin", json!(scap.origin));
    set("log_json", json!(true));
    // Scap counts the live one among them.
    set("cache_revs", json!(request.cache_revs + 1));
    set("config_deploy", json!(request.config_files.is_some()));
    set("config_files", config_files(request));
    set("environment", json!(request.environment));
    set("git_deploy_dir", json!(request.header.deploy_dir));
    set("git_fat", json!(scap.git_binary_manager == ["git-fat"]));
    let managers = scap.git_binary_manager.join(",");
    set("git_binary_manager", if managers.is_empty() { Value::Null } else { json!(managers) });
    set("git_server", json!(scap.git_server));
    set("git_scheme", json!(scap.git_scheme));
    set("git_repo", json!(request.header.repo));
    set("git_rev", json!(revision));
    set("git_submodules", json!(scap.git_submodules));
    set("git_upstream_submodules", json!(scap.git_upstream_submodules));
    set("nrpe_dir", json!(request.nrpe_dir));
    set("perform_checks", json!(!request.checks.is_empty()));
    let checks = checks(request);
    set("checks", if checks.is_empty() { Value::Null } else { Value::Object(checks) });
    set("require_valid_service", json!(request.service.require_valid));
    set("service_name", services(request));
    set("service_port", json!(request.service.port));
    set("service_timeout", json!(request.service.timeout));
    Some(mapping)
}

fn config_files(request: &StageRequest) -> Value {
    let Some(files) = &request.config_files else { return Value::Null };
    let file = |file: &crate::wire::ConfigFile| {
        let mut mapping = serde_json::Map::new();
        mapping.insert("name".into(), json!(file.path));
        mapping.insert("template".into(), json!(request.templates.get(&file.template)));
        mapping.insert("erb_syntax".into(), json!(file.erb_syntax));
        mapping.insert("output_format".into(), json!((file.format == OutputFormat::Yaml).then_some("yaml")));
        if let Some(vars) = &file.remote_vars {
            mapping.insert("remote_vars".into(), json!(vars));
        }
        Value::Object(mapping)
    };
    json!({ "files": files.iter().map(file).collect::<Vec<_>>(), "override_vars": request.vars })
}

/// By name; one that runs at two points is one check here.
fn checks(request: &StageRequest) -> serde_json::Map<String, Value> {
    let mut found: serde_json::Map<String, Value> = serde_json::Map::new();
    for (name, mut body) in request.checks.iter().map(|it| (it.name.clone(), check(it))) {
        if let Some(Value::Object(earlier)) = found.get_mut(&name) {
            earlier.append(&mut body);
        } else {
            found.insert(name, Value::Object(body));
        }
    }
    found
}

fn check(check: &Check) -> serde_json::Map<String, Value> {
    let kind = match check.kind {
        CheckType::Command => "command",
        CheckType::Script => "script",
        CheckType::Nrpe => "nrpe",
    };
    let (when, stage) = match check.at {
        CheckPoint::Before(stage) => ("before", stage),
        CheckPoint::After(stage) => ("after", stage),
    };
    let seconds = check.timeout.as_secs_f64();
    let timeout = if seconds.fract() == 0.0 { json!(check.timeout.as_secs()) } else { json!(seconds) };
    let mut mapping = serde_json::Map::new();
    mapping.insert("type".into(), json!(kind));
    mapping.insert(when.into(), json!(stage.name()));
    if let Some(group) = &check.group {
        mapping.insert("group".into(), json!(group));
    }
    mapping.insert("timeout".into(), timeout);
    mapping.insert("command".into(), json!(check.command));
    mapping.insert("shell".into(), json!(check.shell));
    mapping
}

fn services(request: &StageRequest) -> Value {
    let one = |service: &crate::wire::ServiceName| match (service.action.as_str(), service.disable_secondary) {
        ("restart", false) => service.name.clone(),
        (action, false) => format!("{}={action}", service.name),
        (action, true) => format!("{}={action}:disable-secondary", service.name),
    };
    let names: Vec<String> = request.service.names.iter().map(one).collect();
    if names.is_empty() { Value::Null } else { json!(names.join(",")) }
}

/// JSON that is YAML as well: what YAML has as escapes alone stands in strings only, where JSON may escape it too.
fn escaped(json: &str) -> String {
    let mut text = String::with_capacity(json.len() + 1);
    for c in json.chars() {
        match c {
            '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => {
                text.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => text.push(c),
        }
    }
    text
}
