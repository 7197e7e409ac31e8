//! The promises of the one static binary. Every build of this project is static, so the one under test is.

mod common;

use std::process::{Command, Stdio};

use common::names::{deploy_to_names, deploy_with, serve};
use common::{Farm, HOIST, Project, Ran};

/// The build for targets, which the binary to ship contains.
const FOR_TARGETS: &str = env!("CARGO_BIN_EXE_hoist-for-targets");

/// Whether an ELF file asks for a program interpreter, that is for the dynamic linker (PT_INTERP in its headers).
fn wants_an_interpreter(elf: &[u8]) -> bool {
    let number =
        |at: usize, bytes: usize| elf[at..at + bytes].iter().rev().fold(0usize, |n, b| n << 8 | usize::from(*b));
    assert_eq!(&elf[..5], b"\x7fELF\x02", "not a 64-bit ELF file");
    let (table, size, count) = (number(32, 8), number(54, 2), number(56, 2));
    (0..count).any(|index| number(table + index * size, 4) == 3)
}

#[test]
fn it_needs_no_dynamic_linker() {
    assert!([HOIST, FOR_TARGETS].iter().all(|program| !wants_an_interpreter(&std::fs::read(program).unwrap())));
    assert!(wants_an_interpreter(&std::fs::read("/bin/ls").unwrap()), "the test cannot tell");
}

#[test]
fn what_is_shipped_reads_json_with_the_same_features_as_what_is_tested() {
    let features = |edges: &str| {
        let mut command = Command::new(env!("CARGO"));
        command.args([
            "tree",
            "--locked",
            "--offline",
            "--depth",
            "1",
            "--prefix",
            "none",
            "--format",
            "{p}",
            "-e",
            edges,
        ]);
        let output = command.args(["-i", "serde_json"]).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
        let tree = Ran::of(output).ends(0).out;
        let features = tree.lines().filter(|line| line.starts_with("serde_json feature")).map(str::to_owned);
        features.collect::<std::collections::BTreeSet<String>>()
    };
    let shipped = features("normal,build,features");
    // Without it a number of many digits is read as its neighbour, and the crates of the tests switch it on for all.
    assert!(shipped.iter().any(|line| line.contains("\"float_roundtrip\"")), "{shipped:?}");
    assert_eq!(shipped, features("features"));
}

#[test]
fn it_runs_in_an_empty_root() {
    let root = tempfile::tempdir().unwrap();
    common::copy_hoist(&root.path().join("hoist"));
    let output = Command::new("chroot").arg(root.path()).args(["/hoist", "version"]).output().unwrap();
    Ran::of(output).ends(0).says(concat!("hoist ", env!("CARGO_PKG_VERSION")));
}

#[test]
fn the_build_for_targets_has_their_command_alone_and_no_ssh() {
    let run = |arguments: &[&str]| {
        let mut command = Command::new(FOR_TARGETS);
        Ran::of(command.args(arguments).env("HOIST_GLOBAL_CONFIG", "/etc/hoist.cfg").output().unwrap())
    };
    for name in ["deploy", "status", "run"] {
        run(&[name, "-h"]).ends(0);
        run(&[name, "true"][..if name == "run" { 2 } else { 1 }])
            .ends(2)
            .says(&format!("this copy of hoist is for targets, and has no {name}: install hoist"));
    }
    run(&["version"]).ends(0).says(concat!("hoist ", env!("CARGO_PKG_VERSION")));
    run(&["deploy-local", "-h"]).ends(0).says("--deploy-dir");
    run(&["deploy-local", "--repo=app"])
        .ends(2)
        .says("does not read /etc/hoist.cfg: name the git server with --server");
    let greets = |program| contains(&std::fs::read(program).unwrap(), b"SSH-2.0-libssh2");
    assert_eq!((greets(HOIST), greets(FOR_TARGETS)), (true, false));
}

/// Whether a file has these bytes.
fn contains(file: &[u8], bytes: &[u8]) -> bool {
    file.windows(bytes.len()).any(|window| window == bytes)
}

/// Runs a program without the system calls that are younger than Linux 3.10.
const OLD_KERNEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/farm/old_kernel");

/// Deploys two revisions to two new hosts with the kernel of Linux 3.10; `hoist` makes the command that deploys.
fn deploys_to_linux_3_10(hoist: impl Fn(&Project) -> Command) {
    let farm = Farm::up_with(&[("FARM_THROUGH", OLD_KERNEL)]);
    let project = Project::new(&farm, 0, 2);
    // Hoist copies itself there.
    project.configure("remote_binary:");
    project.check("good", "promote", "! grep bad index.html");
    let deploy = || Ran::of(hoist(&project).args(["deploy", "--yes"]).output().unwrap());
    let one = project.commit("one");
    deploy().ends(0);
    common::all_on(&farm, 2, &one);
    project.write("index.html", "bad\n");
    project.commit("two");
    deploy().ends(1).says("2 hosts were rolled back and verified");
    common::all_on(&farm, 2, &one);
}

#[test]
fn targets_may_run_linux_3_10() {
    deploys_to_linux_3_10(|project| project.hoist(&[]));
}

#[test]
fn the_deploy_host_may_run_linux_3_10() {
    // OpenSSL does without getrandom(2) only if the kernel says that it is as old: strace(1) makes it say that. It then
    // leaves a note for other programs in shared memory: not in that of this machine.
    let name: String = [("Linux", 65), ("old", 65), ("3.10.0", 7)]
        .iter()
        .flat_map(|(text, size)| text.bytes().chain(std::iter::repeat(0)).take(*size))
        .map(|byte| format!("{byte:02x}"))
        .collect();
    deploys_to_linux_3_10(|project| {
        let mut command = Command::new("unshare");
        command.args(["--ipc", OLD_KERNEL, "strace", "-f", "-qqq", "-o", "/dev/null", "-e", "trace=uname", "-e"]);
        command.args([&format!("inject=uname:poke_exit=@arg1={name}"), HOIST]);
        common::take_environment(&mut command, &project.hoist(&[]));
        command.current_dir(project.path("")).stdin(Stdio::null());
        command
    });
}

#[test]
fn it_resolves_names_from_the_hosts_file_and_from_dns() {
    let (farm, project) = Project::on_farm(0, 2);
    deploy_to_names(&farm, &project, &["one".to_owned(), "two".to_owned()]);
    let revision = project.git(&["rev-parse", "HEAD"]);
    let server = "127.255.255.53";
    serve(server, |socket, question| question.answer(socket, Some([127, 0, 0, 2])));
    let ran = deploy_with(&project, "127.0.0.1 one.farm.test\n", &format!("nameserver {server}\n"), &[]);
    ran.ends(0);
    common::all_on(&farm, 2, &revision);
}

#[test]
fn many_threads_shake_hands_at_once_and_nothing_is_corrupted() {
    let (farm, project) = Project::on_farm(0, 100);
    let revision = project.git(&["rev-parse", "HEAD"]);
    for _ in 0..4 {
        project.deploy(&["--force"]).ends(0);
    }
    common::all_on(&farm, 100, &revision);
}
