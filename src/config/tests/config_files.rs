use serde_json::json;

use super::*;
use crate::config::ConfigFiles;
use crate::wire::OutputFormat;

fn with(files: &[(&str, &str)]) -> Repo {
    let repo = Repo::configured("config_deploy: true\n");
    for (path, text) in files {
        repo.write(path, text);
    }
    repo
}

fn read(repo: &Repo) -> ConfigFiles {
    repo.config().config_files().unwrap().0.unwrap()
}

fn fails(text: &str) -> String {
    let files = [("hoist/config-files.yaml", text), ("hoist/templates/t.j2", "x")];
    chain(with(&files).config().config_files())
}

#[test]
fn nothing_is_read_unless_config_deploy_is_on_and_then_the_file_must_be_there() {
    let repo = Repo::configured("");
    repo.write("hoist/config-files.yaml", "- nonsense\n");
    assert_eq!(repo.config().config_files().unwrap().0, None);
    let error = chain(with(&[]).config().config_files());
    assert!(error.contains("hoist/config-files.yaml does not exist"), "{error}");
}

#[test]
fn files_keep_their_order_and_their_names_decide_the_format() {
    let repo = with(&[
        (
            "hoist/config-files.yml",
            "/etc/app/z.conf:\n  template: z.conf.j2\n/etc/app/a.yaml:\n  \
             template: a.j2\n  remote_vars: /etc/app/vars.yaml\n  \
             erb_syntax: true\nconfig/b:\n  template: sub/b.yml.j2\nc.yaml: {template: a.j2, output_format: text}\n",
        ),
        ("hoist/templates/z.conf.j2", "z"),
        ("hoist/templates/a.j2", "a"),
        ("hoist/templates/sub/b.yml.j2", "b"),
        ("hoist/templates/unused", "u"),
    ]);
    fs::write(repo.top().join("hoist/templates/logo.png"), [0xff, 0xfe]).unwrap();
    let ConfigFiles { files, templates, vars } = read(&repo);
    let paths: Vec<_> = files.iter().map(|file| (file.path.as_str(), file.format)).collect();
    assert_eq!(
        paths,
        [
            ("/etc/app/z.conf", OutputFormat::Text),
            ("/etc/app/a.yaml", OutputFormat::Yaml),
            ("config/b", OutputFormat::Text),
            ("c.yaml", OutputFormat::Text)
        ]
    );
    assert_eq!((files[1].remote_vars.as_deref(), files[1].erb_syntax), (Some("/etc/app/vars.yaml"), true));
    assert_eq!(templates.keys().collect::<Vec<_>>(), ["a.j2", "sub/b.yml.j2", "unused", "z.conf.j2"]);
    assert!(vars.is_empty());
}

#[test]
fn the_environment_s_files_and_templates_win_and_its_variables_are_merged_key_by_key() {
    let repo = with(&[
        ("hoist/config-files.yaml", "/etc/a: {template: t.j2}\n"),
        ("hoist/templates/t.j2", "repository"),
        ("hoist/templates/u.j2", "kept"),
        ("hoist/vars.yaml", "debug: no\nmode: 0755\nport: {http: 80, https: 443}\n"),
        ("hoist/environments/beta/templates/t.j2", "environment"),
        ("hoist/environments/beta/vars.yaml", "port: {http: 8080}\nextra: y\n"),
    ])
    .environment("beta");
    let found = read(&repo);
    assert_eq!(found.files[0].path, "/etc/a");
    assert_eq!((found.templates["t.j2"].as_str(), found.templates["u.j2"].as_str()), ("environment", "kept"));
    let vars = json!({"debug": false, "mode": 493, "port": {"http": 8080}, "extra": "y"});
    assert_eq!(serde_json::Value::Object(found.vars), vars);
    repo.write("hoist/environments/beta/config-files.yaml", "/etc/b: {template: u.j2}\n");
    let found = read(&repo);
    assert_eq!(found.files.iter().map(|file| file.path.as_str()).collect::<Vec<_>>(), ["/etc/b"]);
}

#[test]
fn a_wrong_entry_is_told_with_file_and_line() {
    told_by_line("config-files.yaml", include_str!("wrong/config-files.yaml"), fails);
}

#[test]
fn what_scap_passes_over_in_a_file_s_entry_is_no_error_in_a_repository_of_scaps() {
    let repo = Repo::new(&[
        ("scap/scap.cfg", "[global]\ngit_repo: app\nconfig_deploy: yes\n"),
        ("scap/config-files.yaml", "/etc/a:\n  template: t.j2\n  backup: yes\n"),
        ("scap/templates/t.j2", "x"),
        ("scap/checks.yaml", "version: 1\nchecks: {}\n"),
    ]);
    let (files, notes) = repo.config().config_files().unwrap();
    assert_eq!(files.unwrap().files.len(), 1);
    let what = "scap/config-files.yaml:3: /etc/a: unknown key \"backup\" is ignored: the keys are template, remote_vars, \
                erb_syntax, output_format, mode, owner, group, secret";
    assert_eq!(notes, [(Level::Warning, what.into())]);
    let (_, notes) = repo.config().checks().unwrap();
    let what = "scap/checks.yaml:1: unknown key \"version\" is ignored: the only key here is `checks`";
    assert_eq!(notes, [(Level::Warning, what.into())]);
}

#[test]
fn a_template_that_is_no_text_is_an_error_only_where_it_is_used() {
    let repo = with(&[("hoist/config-files.yaml", "/etc/a: {template: t.j2}\n"), ("hoist/templates/t.j2", "")]);
    fs::write(repo.top().join("hoist/templates/t.j2"), [b'a', 0xff]).unwrap();
    let error = chain(repo.config().config_files());
    assert!(error.contains("template hoist/templates/t.j2 is not UTF-8"), "{error}");
}

#[test]
fn folders_of_templates_that_lead_in_circles_come_to_an_end() {
    let repo = with(&[("hoist/config-files.yaml", "/etc/a: {template: t.j2}\n"), ("hoist/templates/t.j2", "x")]);
    std::os::unix::fs::symlink(".", repo.top().join("hoist/templates/loop")).unwrap();
    assert_eq!(read(&repo).files.len(), 1);
}

#[test]
fn a_variable_s_value_is_in_no_error() {
    for text in
        ["password: hunter2\n  x: y\n", "password: \"hunter2\n", "hunter2\n", "- hunter2\n", "a: &x hunter2\nb: *y\n"]
    {
        let repo = with(&[
            ("hoist/config-files.yaml", "/etc/a: {template: t.j2}\n"),
            ("hoist/templates/t.j2", "x"),
            ("hoist/vars.yaml", text),
        ]);
        let error = chain(repo.config().config_files());
        assert!(error.starts_with("hoist/vars.yaml:") && !error.contains("hunter2"), "{text}\n{error}");
    }
}

#[test]
fn a_variable_that_no_vars_yaml_sets_is_named_with_file_line_and_the_nearest_known_one() {
    let template = "{% extends 'base.j2' %}{% import 'lib.j2' as lib %}{% from 'lib.j2' import shown as show with context %}\n\
        {% block body %}{{ colour }}\n{{ port_nubmer }} {{ lib.m(1) }} {{ show() }}\n\
        {% for host, weight in hosts.items() %}{{ host }}{{ weight }}{{ loop.index }}{{ wieght }}{% endfor %}\n\
        {% set here = 1 %}{% with x = here %}{{ x }}{% endwith %}{{ range(3)|list }}{{ other.attribute }}\n\
        {{ maybe|default('x') }}{% if given is defined %}{{ given }}{% endif %}{% if flag %}{% endif %}{{ alt or 'x' }}\n\
        {% if port_nummer %}{% endif %}{% endblock %}";
    let repo = with(&[
        (
            "hoist/config-files.yaml",
            "/etc/a: {template: a.j2}\n/etc/b: {template: a.j2}\n/etc/c: {template: a.j2, remote_vars: /x}\n",
        ),
        ("hoist/templates/a.j2", template),
        ("hoist/templates/base.j2", "{{ port_number }}{% block body %}{% endblock %}\n{{ title }}"),
        (
            "hoist/templates/lib.j2",
            "{% macro m(given) %}{{ given }}{{ port_number }}{% endmacro %}{% macro shown() %}{{ port_number }}{% endmacro %}",
        ),
        ("hoist/vars.yaml", "color: red\nport_number: 80\nhosts: {}\n"),
    ]);
    let (_, notes) = repo.config().config_files().unwrap();
    let told: Vec<String> = notes.iter().map(|(_, note)| note.replace("hoist/templates/", "")).collect();
    let unset =
        |place: &str, name: &str, hint: &str| format!("{place}: {name} is undefined, and no vars.yaml sets it{hint}");
    let expected = [
        unset("a.j2:2", "colour", ": did you mean \"color\"?"),
        unset("a.j2:3", "port_nubmer", ": did you mean \"port_number\"?"),
        unset("a.j2:4", "wieght", ": did you mean \"weight\"?"),
        unset("a.j2:5", "other", ""),
        unset("a.j2:7", "port_nummer", ": did you mean \"port_number\"?"),
        unset("base.j2:2", "title", ""),
        "lib.j2:1: port_number is undefined: the template is imported without the context: write `with context`".into(),
    ];
    assert_eq!(told, expected);
    assert!(notes.iter().all(|(level, _)| *level == Level::Warning));
}

/// The mode, the owner and the group of a file with these lines, or why there is none.
fn access(lines: &str) -> Result<crate::wire::Access, String> {
    let text = format!("/etc/x:\n  template: t.j2\n{lines}");
    let repo = with(&[("hoist/config-files.yaml", &text), ("hoist/templates/t.j2", "x")]);
    match repo.config().config_files() {
        Ok((files, _)) => Ok(files.unwrap().files.remove(0).access),
        Err(error) => Err(format!("{error:#}")),
    }
}

/// A file with this value is refused.
#[track_caller]
fn is_refused(key: &str, written: &str, why: &str) {
    let error = access(&format!("  {key}: {written}\n")).unwrap_err();
    assert!(error.contains(why), "{written}: {error}");
}

#[test]
fn a_mode_is_an_octal_number_or_says_what_each_may_do() {
    for (written, mode) in [
        ("0640", 0o640),
        ("\"0640\"", 0o640),
        ("\"640\"", 0o640),
        ("0o600", 0o600),
        ("'0444'", 0o444),
        ("u=rw,g=r", 0o640),
        ("u=rw,go=r", 0o644),
        ("a=r,u=rwx", 0o744),
        ("u=rw,g=,o=", 0o600),
    ] {
        assert_eq!(access(&format!("  mode: {written}\n")).unwrap().mode, Some(mode), "{written}");
    }
    let decimal = "hoist/config-files.yaml:3: /etc/x: mode 640 is a decimal number in YAML: write \"0640\"";
    assert_eq!(access("  mode: 640\n").unwrap_err(), decimal);
    for (written, why) in [
        ("416", "decimal"),
        ("0x1a0", "is no octal number"),
        ("6:40", "is no octal number"),
        ("0b110", "is no octal number"),
        ("0689", "is not a mode"),
        ("6.4", "is no octal number"),
        ("'0888'", "is not a mode"),
        ("rw-r-----", "is not a mode"),
        ("u+r", "depends on an earlier mode"),
        ("=r", "for whom r is"),
        ("u=rwX", "is not a mode"),
        ("4755", "is no octal number"),
        ("'4755'", "more than permissions"),
        ("'77777777777777777'", "too large"),
        ("'0040'", "does not let the owner read"),
        ("g=r", "does not let the owner read"),
        ("'0646'", "lets everybody change"),
        ("[0640]", "mode is a list"),
        ("yes", "is no octal number"),
    ] {
        is_refused("mode", written, why);
    }
}

#[test]
fn an_owner_and_a_group_are_names_or_numbers() {
    let found = access("  owner: www-data\n  group: 33\n  mode:\n").unwrap();
    assert_eq!((found.owner.as_deref(), found.group.as_deref(), found.mode), (Some("www-data"), Some("33"), None));
    assert_eq!(access("  owner: EXAMPLE\\deploy$\n").unwrap().owner.as_deref(), Some("EXAMPLE\\deploy$"));
    for (written, why) in [
        ("root:adm", "two keys"),
        ("'-rf'", "is not a name"),
        ("'a b'", "is not a name"),
        ("''", "is not a name"),
        ("010", "neither a name nor a number"),
        ("4294967295", "neither a name nor a number"),
        ("33x", "neither a name nor a number"),
        ("[a]", "owner is a list"),
    ] {
        is_refused("owner", written, why);
    }
}

#[test]
fn a_file_that_seems_to_use_variables_of_a_command_is_told_to_be_private() {
    let repo = Repo::configured("config_deploy: true\nvars_command: cat /nonexistent\n");
    let files = "/etc/a: {template: a.j2}\n/etc/b: {template: a.j2, group: adm}\n/etc/c: {template: a.j2, mode: '0644'}\n\
                 /etc/d: {template: d.j2}\n";
    for (path, text) in [
        ("hoist/config-files.yaml", files),
        ("hoist/templates/a.j2", "{{ user }} {{ password }} {{ token }}"),
        ("hoist/templates/d.j2", "{{ user }}"),
        ("hoist/vars.yaml", "user: app\n"),
    ] {
        repo.write(path, text);
    }
    let told = |file: &str, mode: &str| {
        let why = format!(
            "/etc/{file} gets the mode {mode}, since it uses variables that only vars_command may set (password, token): \
             to change that, set its mode, owner or group"
        );
        (Level::Info, why)
    };
    assert_eq!(repo.config().config_files().unwrap().1, [told("a", "0600"), told("b", "0640")]);
}

#[test]
fn a_command_of_variables_is_refused_where_scap_renders_the_same_files() {
    let repo = Repo::new(&[
        ("scap/scap.cfg", "[global]\ngit_repo: app\nconfig_deploy: yes\nvars_command: cat x\n"),
        ("scap/config-files.yaml", "/etc/a: {template: t.j2}\n"),
        ("scap/templates/t.j2", "x"),
    ]);
    let error = chain(repo.config().config_files());
    assert!(error.contains("scap.cfg") && error.contains("Scap, which deploys this repository too"), "{error}");
}
