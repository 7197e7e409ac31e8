//! The readers, each reached the way that the program reaches it.

use std::cell::OnceCell;
use std::fmt::Display;
use std::path::{Path, PathBuf};

use hoist::config::{Config, Options};
use hoist::fleet::ssh::Marker;
use hoist::targets::{FailureLimit, HostPattern, Target, fold, read_target_file};
use hoist::wire::{Record, Request, StageRequest, TargetEvent};
use tempfile::TempDir;

/// A reader: it takes bytes and says in short what came of them, so that new ways of answering are noticed.
pub struct Reader {
    pub name: &'static str,
    pub read: fn(&[u8]) -> String,
    /// Words that mean something to this reader.
    pub words: &'static [&'static str],
}

pub const ALL: &[Reader] = &[
    Reader {
        name: "archive",
        read: archive,
        words: &["PK\u{1}\u{2}", "PK\u{3}\u{4}", "ustar", "12 path=../x\n", "../", ".git/"],
    },
    Reader {
        name: "config",
        read: config,
        words: &[
            "[global]",
            "canary_",
            "_timeout",
            "_failure_limit",
            "server_groups",
            "group_size",
            "service_name",
            "10%",
        ],
    },
    Reader {
        name: "checks",
        read: checks,
        words: &[
            "checks:",
            "stage: promote",
            "before:",
            "type: script",
            "timeout:",
            "shell:",
            "!!binary",
            "? ",
            "<<: *a",
        ],
    },
    Reader {
        name: "gates",
        read: gates,
        words: &[
            "gates:",
            "when: soak",
            "type: compare",
            "url: http://",
            "{{ new_hosts }}",
            "require: '< 1e999'",
            "a=~",
        ],
    },
    Reader {
        name: "hooks",
        read: hooks,
        words: &[
            "hooks:",
            "on: [started, finished]",
            "type: webhook",
            "url_file: /x",
            "body: '{{ time + 30m }}'",
            "header_files: {X: /x}",
            "required: true",
            "timeout: 1e99",
        ],
    },
    Reader {
        name: "steps",
        read: steps,
        words: &[
            "steps:",
            "command:",
            "undo:",
            "on: deploy-host",
            "on: first",
            "when: before",
            "when: after",
            "group: default",
            "stage: promote",
            "timeout: 5m",
            "irreversible: true",
            "once: true",
            "[a, b]",
        ],
    },
    Reader {
        name: "config_files",
        read: config_files,
        words: &["template:", "remote_vars:", "output_format: yaml", "erb_syntax:", "/etc/x:", "../"],
    },
    Reader { name: "targets", read: targets, words: &["web", "::1", "[::1]:22", "root@", ":0", ":65536"] },
    Reader {
        name: "inventory",
        read: inventory,
        words: &[
            "[web]",
            "[web:vars]",
            "[web:children]",
            ":!",
            "w[01:10]",
            "ansible_host=",
            "zone=",
            "{{ ",
            "\n  hosts:\n",
            "all:\n",
            "children:",
            "!vault |",
        ],
    },
    Reader {
        name: "host_list",
        read: host_list,
        words: &["{\"name\":", "\"_meta\":", "\"hostvars\":", "\"children\":", "\"labels\":", "[\"", "web1\n"],
    },
    Reader { name: "dns_answer", read: dns_answer, words: &["\x04_app\x04_tcp", "\x00!\x00\x01", "\x00\x21"] },
    Reader {
        name: "pattern",
        read: pattern,
        words: &["[1:99999999]", "[01:10]", "web[", "~(a|b)*", "~(a*)*", "{1000}", ",!"],
    },
    Reader { name: "limit", read: limit, words: &["100%", "0.2", "+1", "%%"] },
    Reader {
        name: "request",
        read: request,
        words: &["\"protocol\":1", "\"action\":\"ask\"", "null", "[[", "{\"a\":"],
    },
    Reader {
        name: "event",
        read: event,
        words: &["{\"event\":", "\"ended\":\"ok\"", "\"state\":{", "\"record\":\"running\"", "hoist-"],
    },
    Reader { name: "journal", read: journal, words: &["{\"record\":\"returned\"}\n", "\"closed\"", "\"host\":"] },
    Reader {
        name: "log",
        read: log,
        words: &["{\"event\":", "\"created\": 1e308", "\"levelno\":", "\"hosts\":[\"a\"]", "\"asctime\": \"", "\n"],
    },
    Reader {
        name: "expression",
        read: expression,
        words: &["host", "==", "msg ~ ", "level >= ", "\"", "'", "\\\"", "(a*)*", "{999}", "[", "\n"],
    },
    Reader {
        name: "known_hosts",
        read: known_hosts,
        words: &["|1|", "@revoked ", "!*", "ssh-ed25519", "[127.*]:22", "AAAA"],
    },
    Reader {
        name: "kexinit",
        read: kexinit,
        words: &["SSH-2.0-", "\r\n", "\0\0\0\u{4}", "\u{14}", ",", "ssh-ed25519"],
    },
    Reader { name: "certificate", read: certificate, words: &["\0\0\0\u{4}", "-cert-v01@openssh.com", "ssh-rsa"] },
    Reader { name: "git_index", read: git_index, words: &["DIRC", "TREE", "FSMN", "link", "\0\0\0\u{2}", ".git/x"] },
    Reader {
        name: "gitmodules",
        read: gitmodules,
        words: &["submodule.", ".path\n", ".url\n", "\0", "../", "ext::", "file://", "git@h:", ".git", "https://"],
    },
    Reader {
        name: "pointer",
        read: pointer,
        words: &["version https://git-lfs.github.com/spec/v1\n", "oid sha256:", "size ", "-1", "../"],
    },
];

thread_local! {
    static FOLDER: OnceCell<TempDir> = const { OnceCell::new() };
}

/// A repository of this thread's own, in memory, with a configuration that is in order.
fn folder() -> PathBuf {
    FOLDER.with(|cell| {
        let make = || {
            let dir =
                tempfile::Builder::new().prefix("hoist-fuzz-").tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
            let dir = dir.unwrap();
            std::fs::create_dir_all(dir.path().join(".git")).unwrap();
            std::fs::create_dir_all(dir.path().join("hoist/templates")).unwrap();
            std::fs::create_dir_all(dir.path().join("hoist/scripts")).unwrap();
            let text = "[global]\ngit_repo: app\ndsh_targets: default\nconfig_deploy: True\n";
            std::fs::write(dir.path().join("hoist/hoist.cfg"), text).unwrap();
            std::fs::write(dir.path().join("hoist/default"), "web1\n").unwrap();
            std::fs::write(dir.path().join("hoist/scripts/test.sh"), "").unwrap();
            std::fs::write(dir.path().join("hoist/templates/app.j2"), "{{ colour }}\n").unwrap();
            std::fs::write(dir.path().join("global.cfg"), "[global]\n").unwrap();
            dir
        };
        cell.get_or_init(make).path().to_owned()
    })
}

fn load(top: &Path) -> Result<Config, String> {
    let options = Options { start: top.to_owned(), global_file: Some(top.join("global.cfg")), ..Options::default() };
    Config::load(&options).map_err(shape)
}

/// An error without the names and numbers in it. Every one has words, and is one line.
fn shape(error: impl Display) -> String {
    let text = format!("{error:#}");
    assert!(!text.trim().is_empty(), "an error without words");
    let mut shape = String::new();
    let mut quoted = false;
    for letter in text.chars() {
        match letter {
            '"' => quoted = !quoted,
            letter if quoted || letter.is_ascii_digit() => {}
            letter => shape.push(letter),
        }
        if shape.len() > 80 {
            break;
        }
    }
    shape
}

/// How much there is of something, roughly.
fn about(count: usize) -> u32 {
    usize::BITS - count.leading_zeros()
}

fn archive(bytes: &[u8]) -> String {
    // Checksums of headers are made right, or little would ever be read behind the first one.
    let mut fixed = bytes.to_owned();
    for block in fixed.chunks_exact_mut(512).filter(|block| block[257..].starts_with(b"ustar")) {
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
    match hoist::fuzzing::archive(&fixed) {
        Ok(found) => found,
        // Names in messages differ without end.
        Err(why) => why.split('"').next().unwrap_or_default().to_owned(),
    }
}

fn config(bytes: &[u8]) -> String {
    let top = folder();
    std::fs::write(top.join("hoist/hoist.cfg"), bytes).unwrap();
    let answer = load(&top).map(|config| {
        let groups = config.groups(None).map(|(groups, notes)| format!("{} {}", groups.len(), notes.len()));
        format!("{} {} {groups:?}", about(config.explain().len()), about(config.notes.len()))
    });
    answer.unwrap_or_else(|error| error)
}

/// The configuration with these bytes as a file in its control folder.
fn with_file(name: &str, bytes: &[u8]) -> Config {
    let top = folder();
    std::fs::write(top.join("hoist").join(name), bytes).unwrap();
    load(&top).unwrap()
}

/// How many entries there are, and what there is to say of the last one.
fn entries<T>(entries: &[T], about_last: impl Fn(&T) -> String) -> String {
    let last = |entry| format!("{} {}", about(entries.len()), about_last(entry));
    entries.last().map_or_else(|| "none".to_owned(), last)
}

fn checks(bytes: &[u8]) -> String {
    let checks = with_file("checks.yaml", bytes).checks();
    checks.map_or_else(shape, |(checks, _)| entries(&checks, |check| format!("{:?}{:?}", check.kind, check.at)))
}

fn gates(bytes: &[u8]) -> String {
    let gates = with_file("gates.yaml", bytes).gates();
    gates.map_or_else(shape, |(gates, _)| entries(&gates, |gate| format!("{}{:?}", gate.source.name(), gate.scope.at)))
}

fn steps(bytes: &[u8]) -> String {
    let config = with_file("steps.yaml", bytes);
    let steps = config.groups(None).and_then(|(groups, _)| config.steps(&groups));
    steps.map_or_else(shape, |(steps, _)| entries(&steps, |step| format!("{}{}", step.on, step.when)))
}

fn hooks(bytes: &[u8]) -> String {
    let hooks = with_file("hooks.yaml", bytes).hooks();
    hooks.map_or_else(shape, |(hooks, _)| entries(&hooks, |hook| format!("{}{}", hook.action.name(), hook.retries)))
}

fn config_files(bytes: &[u8]) -> String {
    let top = folder();
    std::fs::write(top.join("hoist/config-files.yaml"), bytes).unwrap();
    std::fs::write(top.join("hoist/vars.yaml"), bytes).unwrap();
    let config = load(&top).unwrap();
    let whole =
        config.config_files().map_or_else(shape, |(files, _)| format!("{:?}", files.map(|it| about(it.files.len()))));
    std::fs::write(top.join("hoist/config-files.yaml"), "a:\n  template: app.j2\n").unwrap();
    let vars =
        config.config_files().map_or_else(shape, |(files, _)| format!("{:?}", files.map(|it| about(it.vars.len()))));
    whole + &vars
}

fn targets(bytes: &[u8]) -> String {
    let top = folder();
    std::fs::write(top.join("hoist/fuzzed"), bytes).unwrap();
    let read = read_target_file("fuzzed", &[top.join("hoist")], &|_| "fuzzed".into(), &|_| Ok(()));
    read.map_or_else(shape, |file| {
        for target in &file.targets {
            assert_eq!(&target.to_string().parse::<Target>().unwrap(), target, "a target is read back as another");
        }
        let problems: Vec<String> = file.problems.iter().map(shape).collect();
        format!("{} {} {problems:?}", about(file.targets.len()), about(fold(&file.targets).len()))
    })
}

/// The first line is a host pattern, the rest an inventory.
fn inventory(bytes: &[u8]) -> String {
    let top = folder();
    let line = bytes.iter().position(|b| *b == b'\n').unwrap_or(bytes.len());
    let (pattern, text) = (String::from_utf8_lossy(&bytes[..line]), &bytes[line..]);
    std::fs::write(top.join("hoist/fuzzed"), text).unwrap();
    std::fs::write(top.join("hoist/hoist.cfg"), "[global]\ngit_repo: app\ninventory: fuzzed\n").unwrap();
    let defines = vec![format!("inventory_hosts:{pattern}")];
    let invocation = hoist::invocation::Invocation { defines, ..Default::default() };
    let (start, global_file) = (top.clone(), Some(top.join("global.cfg")));
    let options = Options { start, global_file, invocation, ..Options::default() };
    let read = Config::load(&options).and_then(|config| config.groups(None));
    read.map_or_else(shape, |(groups, notes)| {
        let targets: Vec<&Target> = groups.iter().flat_map(|group| &group.targets).collect();
        assert!(targets.iter().all(|target| !target.address().starts_with('-')));
        format!("{} {}", about(targets.len()), about(notes.len()))
    })
}

fn dns_answer(bytes: &[u8]) -> String {
    hoist::fuzzing::dns_answer(bytes).map_or_else(shape, |count| about(count).to_string())
}

fn host_list(bytes: &[u8]) -> String {
    hoist::fuzzing::host_list(bytes).map_or_else(shape, |count| about(count).to_string())
}

fn pattern(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let hosts: Vec<Target> = ["web1", "web09.example.org", "db-2", "127.0.0.1"].map(|it| it.parse().unwrap()).into();
    text.parse::<HostPattern>().map_or_else(shape, |pattern| {
        let matched: Vec<bool> = hosts.iter().map(|host| pattern.matches("", host)).collect();
        format!("{matched:?} {}", about(pattern.unmatched(&hosts).len()))
    })
}

fn limit(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.parse::<FailureLimit>().map_or_else(shape, |limit| {
        for group in [0, 1, 10, 1_000_000] {
            let most = limit.of(group);
            assert!(!limit.exceeded_by(most, group) && !limit.exceeded_by(0, group));
            limit.resolved(group);
        }
        limit.to_string()
    })
}

fn request(bytes: &[u8]) -> String {
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let _ = serde_json::from_slice::<Record>(line);
    // What targets and git servers keep, by this build and by those before it.
    if let Ok(kept) = serde_json::from_slice::<StageRequest>(line) {
        let again: StageRequest = serde_json::from_slice(&serde_json::to_vec(&kept).unwrap()).unwrap();
        assert_eq!(again, kept, "a kept request is read back as another");
    }
    match serde_json::from_slice::<Request>(line) {
        Ok(request) => {
            let again: Request = serde_json::from_slice(&serde_json::to_vec(&request).unwrap()).unwrap();
            assert_eq!(again, request, "a request is read back as another");
            format!("{:?}", std::mem::discriminant(&request))
        }
        // What is no request is answered, and touches nothing.
        Err(error) => {
            let (status, said) = serve(bytes.to_vec());
            assert_eq!(status, 1, "{said}");
            let last = said.lines().last().unwrap_or_default();
            assert!(matches!(serde_json::from_str(last), Ok(TargetEvent::Ended { .. })), "the last line is {last:?}");
            shape(error)
        }
    }
}

/// The target's side with this input; its status and what it said.
fn serve(input: Vec<u8>) -> (u8, String) {
    #[derive(Clone, Default)]
    struct Shared(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);
    impl std::io::Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let said = Shared::default();
    let status = hoist::local::serve(std::io::Cursor::new(input), said.clone());
    let text = String::from_utf8(said.0.lock().unwrap().clone()).unwrap();
    (status, text)
}

fn event(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let marker = Marker::parse(&text).is_some();
    for shown in [hoist::report::sanitize(&text, true), hoist::report::sanitize(&text, false)] {
        assert!(!shown.contains('\u{1b}') && !shown.contains('\0'), "a terminal would act on {shown:?}");
    }
    match serde_json::from_slice::<TargetEvent>(bytes) {
        Ok(event) => {
            let again: TargetEvent = serde_json::from_slice(&serde_json::to_vec(&event).unwrap()).unwrap();
            assert_eq!(again, event, "an event is read back as another");
            let kind: String = format!("{event:?}").chars().take_while(|it| it.is_alphabetic()).collect();
            format!("{kind} {marker}")
        }
        Err(error) => format!("{} {marker}", shape(error)),
    }
}

fn journal(bytes: &[u8]) -> String {
    let parsed = hoist::journal::parse(bytes);
    let length = parsed.read.ends.last().copied().unwrap_or_default() as usize;
    assert!(length <= bytes.len());
    // What was kept is whole: cut there, the journal says the same.
    let again = hoist::journal::parse(&bytes[..length]);
    assert_eq!((&again.read.records, &again.read.ends), (&parsed.read.records, &parsed.read.ends));
    assert_eq!(again.read.damage, None);
    let last: String = format!("{:?}", parsed.read.records.last()).chars().take(12).collect();
    let damaged = parsed.read.damage.is_some();
    format!("{} {} {damaged} {last}", parsed.opened.is_ok(), about(parsed.read.records.len()))
}

fn log(bytes: &[u8]) -> String {
    let mut entries = Vec::new();
    let on = &mut |entry| {
        entries.push(entry);
        true
    };
    hoist::logs::read_whole(bytes, on).unwrap();
    let filter = hoist::logs::Filter::parse(&["host == w* level > 20 msg ~ 'a'".to_owned()]).unwrap();
    let matching = entries.iter().filter(|entry| filter.matches(entry)).count();
    let last = entries.last().map(|it| {
        (
            matches!(it.line, hoist::logs::LogLine::Json(_)),
            it.time.as_ref().is_some_and(|time| time.clock.is_some()),
            it.level.map(|level| level.min(50) / 10),
            it.about.group.is_some(),
        )
    });
    format!("{} {} {last:?}", about(entries.len()), about(matching))
}

fn expression(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let arguments: Vec<String> = text.split('\n').map(str::to_owned).collect();
    let entry = hoist::logs::LogReader::default()
        .read(b"{\"msg\": \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaa\", \"host\": \"web\"}")
        .unwrap();
    match hoist::logs::Filter::parse(&arguments) {
        Ok(filter) => format!("{} {}", filter.names_a_level(), filter.matches(&entry)),
        Err(why) => {
            let (quoted, why) = why.rsplit_once(", at character ").expect("an error says where");
            let (at, why) = why.split_once(": ").unwrap();
            let at: usize = at.parse().unwrap();
            assert!(at <= text.chars().count() + 1, "{quoted} {at}");
            shape(why)
        }
    }
}

fn known_hosts(bytes: &[u8]) -> String {
    let path = folder().join("known_hosts");
    std::fs::write(&path, bytes).unwrap();
    let notes = hoist::fuzzing::known_hosts(&path, "web1.example.org", &bytes[..bytes.len().min(51)]);
    format!("{} {}", about(notes.len()), notes.last().map_or_else(String::new, shape))
}

fn kexinit(bytes: &[u8]) -> String {
    hoist::fuzzing::kexinit(bytes).map_or_else(|| "none".to_owned(), |count| about(count).to_string())
}

fn certificate(bytes: &[u8]) -> String {
    hoist::fuzzing::certificate(bytes).map_or_else(|| "none".to_owned(), shape)
}

fn git_index(bytes: &[u8]) -> String {
    let each = [20, 32].map(|name| match hoist::fuzzing::git_index(bytes, name) {
        Some((entries, files, same)) => {
            assert!(same, "what was read is written as something else");
            format!("{} {}", about(entries), about(files))
        }
        None => "none".to_owned(),
    });
    each.join(" ")
}

fn gitmodules(bytes: &[u8]) -> String {
    match hoist::fuzzing::gitmodules(&String::from_utf8_lossy(bytes)) {
        Ok(found) => about(found.len()).to_string(),
        Err(error) => shape(error),
    }
}

fn pointer(bytes: &[u8]) -> String {
    format!("{}", hoist::fuzzing::pointer(&String::from_utf8_lossy(bytes)).is_some())
}
