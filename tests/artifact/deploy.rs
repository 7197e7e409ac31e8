//! Deployments of artifacts to real hosts.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::common::{Farm, Project, Ran, WAITS, address, go, kill_at_check};
use super::sh;

/// A release of an application, with all that is easily lost.
const RELEASE: &str = r#"rm -rf app; mkdir -p app/bin app/lib/data; printf '#!/bin/sh\necho %s\n' "$V" >app/bin/run; chmod +x app/bin/run
    printf 'a\r\nb\r\n$Id$ %s\n' "$V" >app/lib/crlf.txt; printf '* text=auto eol=lf ident\n*.bin filter=lfs\n' >app/.gitattributes
    printf '[submodule "x"]\n\tpath = x\n\turl = ../x\n' >app/.gitmodules; printf 'same\0' >app/lib/data/same.bin
    ln -s ../lib/data app/bin/data; ln app/bin/run app/lib/hard; echo "$V" >"app/lib/with space"; mkdir app/empty"#;

fn release(dir: &Path, version: &str, pack: &str) -> PathBuf {
    sh(dir, &format!("V={version}; {RELEASE}; {pack}"));
    dir.to_owned()
}

/// What is live on a host is what tar extracts from an archive.
fn is_live(farm: &Farm, hosts: usize, dir: &Path, archive: &str) {
    sh(dir, &format!("rm -rf judge; mkdir judge; tar -C judge -xf {archive}; find judge -type d -empty -delete"));
    for n in 0..hosts {
        let live = farm.srv(&address(n)).join("deployment/app-cache/current");
        let live = live.canonicalize().unwrap_or(live);
        let live = live.to_string_lossy();
        sh(
            dir,
            &format!(
                "diff -r --no-dereference -x .git judge {live}
                 diff <(cd judge; find . -type f -perm -100 | sort) <(cd {live}; find . -path ./.git -prune -o -type f -perm -100 -print | sort)"
            ),
        );
    }
}

/// Python's web server over a directory.
struct Web {
    child: Child,
    port: u16,
    log: PathBuf,
}

impl Web {
    fn over(dir: &Path) -> Web {
        let log = dir.join("access.log");
        let mut child = Command::new("python3")
            .args(["-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory"])
            .arg(dir)
            .stdout(Stdio::piped())
            .stderr(fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.split("port ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
        Web { child, port, log }
    }

    /// How often a file was asked for.
    fn asked(&self, name: &str) -> usize {
        fs::read_to_string(&self.log).unwrap().lines().filter(|line| line.contains(&format!("GET /{name}"))).count()
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn deploy(project: &Project, artifact: &str, more: &[&str]) -> Ran {
    project.deploy(&[&["--artifact", artifact], more].concat())
}

fn digest(dir: &Path, file: &str) -> String {
    sh(dir, &format!("sha256sum {file}")).split(' ').next().unwrap().to_owned()
}

#[test]
fn an_artifact_is_deployed_shown_rolled_back_and_resumed_without_its_archive() {
    let farm = Farm::up();
    let project = Project::new(&farm, 1, 1);
    let head = project.commit("source");
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    release(
        dir,
        "one",
        "tar -C app -cf - . | zstd -q >one.tar.zst; tar -C app -cf one.tar .; (cd app; zip -qry ../one.zip .)",
    );
    let one = dir.join("one.tar.zst");
    deploy(&project, &one.to_string_lossy(), &["--source", "HEAD"])
        .ends(0)
        .says("artifact one.tar.zst (sha256 ")
        .says(&format!("built from {}", &head[..10]))
        .says("1 empty directory: empty; git keeps no directories");
    is_live(&farm, 2, dir, "one.tar");
    project.run(&["status", "--verify"]).ends(0).says("artifact one.tar.zst");
    project.run(&["history"]).ends(0).says("one.tar.zst");
    // The same files are the same revision.
    for same in ["one.zip", "app"] {
        deploy(&project, &dir.join(same).to_string_lossy(), &[]).ends(0).says("is already live");
    }
    // Without a fetch stage the run is about what was deployed last, not about the commit that the tag names.
    let about = "using artifact ";
    project.run(&["plan", "-s", "promote"]).ends(0).says(about).says("built from ");
    project.deploy(&["-s", "promote"]).ends(0).says(about);
    is_live(&farm, 2, dir, "one.tar");
    let refused = [
        (vec!["--artifact", "app", "-r", "HEAD"], "--artifact and --rev cannot be combined"),
        (vec!["--source", "HEAD"], "--source is of an artifact"),
        (vec!["--artifact", "missing.tgz"], "there is no such file or directory"),
        (vec!["--artifact", "."], "it contains the repository itself"),
        (vec!["--artifact", ".git"], "it is inside git's own directory"),
        (vec!["--artifact", "hoist"], "hoist has the configuration and the journals of Hoist, and is no artifact"),
        (vec!["--artifact", "hoist/state"], "hoist has the configuration and the journals of Hoist"),
        (vec!["--artifact", "hoist/hoist.cfg"], "hoist has the configuration and the journals of Hoist"),
        (vec!["--artifact", "ftp://h/a.tgz#sha256=00"], "http and https only"),
        (vec!["--artifact", "https://me:s3cret@h/a.tgz?s3cret"], "https://h/a.tgz: add #sha256=DIGEST"),
        (vec!["--artifact", "https://h/a.tgz#sha256=00"], "must have 64 hexadecimal digits"),
    ];
    for (flags, why) in refused {
        let ran = project.deploy(&flags).ends(2).says(why);
        assert!(!format!("{}{}", ran.out, ran.err).contains("s3cret"));
    }

    // A deployer that dies, and an archive that is gone.
    release(dir, "two", "tar -C app -cf two.tar .");
    project.check("waits", "promote", WAITS);
    let two = dir.join("two.tar").to_string_lossy().into_owned();
    kill_at_check(&farm, &project, &["deploy", "--yes", "--artifact", &two], 0);
    fs::copy(&two, dir.join("judge.tar")).unwrap();
    fs::remove_file(&two).unwrap();
    go(&farm, 2);
    project.run(&["resume", "--yes"]).ends(0).says("artifact two.tar");
    is_live(&farm, 2, dir, "judge.tar");

    // And back, to an archive that is gone as well.
    fs::remove_file(&one).unwrap();
    project.run(&["rollback", "--yes"]).ends(0);
    is_live(&farm, 2, dir, "one.tar");
}

#[test]
fn targets_download_an_artifact_by_themselves_and_verify_it() {
    let farm = Farm::up();
    let project = Project::new(&farm, 0, 2);
    project.commit("source");
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    release(dir, "one", "tar -C app -czf one.tgz .; tar -C app -cf one.tar .");
    let web = Web::over(dir);
    let url =
        |name: &str, digits: &str| format!("http://me:s3cret@127.0.0.1:{}/{name}?key=s3cret#sha256={digits}", web.port);
    deploy(&project, &url("one.tgz", &digest(dir, "one.tar")), &[]).ends(2).says("has the SHA-256");
    deploy(&project, &url("none.tgz", &digest(dir, "one.tgz")), &[]).ends(2).says("the server answered 404");
    // The archive is there beside its files, for which alone there would be room.
    sh(dir, "mkdir big; head -c 3000000 /dev/urandom >big/random; tar -C big -czf big.tgz .");
    let small = farm.srv(&address(1));
    sh(dir, &format!("mount -t tmpfs -o size=5m tmpfs {}", small.display()));
    let big = url("big.tgz", &digest(dir, "big.tgz"));
    let full = deploy(&project, &big, &[]);
    let known = deploy(&project, &big, &["--break-glass", "again"]);
    sh(dir, &format!("umount {}", small.display()));
    for ran in [full, known] {
        ran.ends(1)
            .says("127.0.0.2")
            .says("MiB free, the revision with its archive needs 6 MiB")
            .says("nothing was touched");
    }
    assert_eq!(web.asked("big.tgz"), 1, "no host has begun with it");
    let before = web.asked("one.tgz");
    let one = url("one.tgz", &digest(dir, "one.tgz"));
    deploy(&project, &one, &[]).ends(0).says(&format!("artifact http://127.0.0.1:{}/one.tgz (sha256 ", web.port));
    is_live(&farm, 2, dir, "one.tar");
    assert_eq!(web.asked("one.tgz") - before, 3, "once to this host, and once to each target");
    deploy(&project, &one, &["--force"]).ends(0);
    assert_eq!(web.asked("one.tgz") - before, 3, "all have it");
    let kept = sh(
        dir,
        &format!("grep -rl s3cret {} {} || true", farm.srv(&address(0)).display(), project.path("hoist").display()),
    );
    assert_eq!(kept, "", "no secret of the URL is kept");

    // This host knows what is in an archive that targets then do not get.
    release(dir, "two", "tar -C app -czf two.tgz .; tar -C app -cf two.tar .");
    let two = url("two.tgz", &digest(dir, "two.tgz"));
    project.run(&["plan", "--artifact", &two]).ends(0);
    fs::rename(dir.join("two.tgz"), dir.join("hidden.tgz")).unwrap();
    let ran = deploy(&project, &two, &[]).ends(1);
    ran.says("fetch failed: cannot download http://127.0.0.1:").says("two.tgz: the server answered 404");
    is_live(&farm, 2, dir, "one.tar");
    // Another file of the same size.
    let mut other = fs::read(dir.join("hidden.tgz")).unwrap();
    other.reverse();
    fs::write(dir.join("two.tgz"), other).unwrap();
    deploy(&project, &two, &["--break-glass", "again"]).ends(1).says("two.tgz has the SHA-256");
    let left = sh(&farm.srv(&address(0)), "find . -name '.tmp*' -o -name 'tmp_pack_*'");
    assert_eq!(left, "");
    fs::rename(dir.join("hidden.tgz"), dir.join("two.tgz")).unwrap();
    deploy(&project, &two, &["--break-glass", "again"]).ends(0);
    is_live(&farm, 2, dir, "two.tar");
    // By its name, it needs no server.
    drop(web);
    project.run(&["history", "--format", "json"]).ends(0).says("\"kind\":\"url\"").says("one.tgz");
    project.run(&["rollback", "--yes"]).ends(0);
    is_live(&farm, 2, dir, "one.tar");
}
