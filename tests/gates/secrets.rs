//! Tokens, passwords and certificates of gates, and proxies on the way.

use std::fs;
use std::process::{Command, Stdio};

use crate::asking::{ask, project};
use crate::common::{ports, wait_for};
use crate::server::{Response, Server};

const TOKEN: &str = "s3cret-t0ken-0123456789";

#[test]
fn a_token_reaches_its_server_and_nobody_else() {
    let elsewhere = Server::on("127.0.0.2:0", |_| Response::Status("401 Unauthorized", "who is it?".into()));
    let other = format!("http://127.0.0.2:{}/", elsewhere.port);
    let next_door = Server::start(|_| Response::Status("401 Unauthorized", "who is it?".into()));
    let other_port = format!("//127.0.0.1:{}/", next_door.port);
    let server = Server::start(move |request| match request.path() {
        "/away" => Response::Redirect(other.clone()),
        "/next" => Response::Redirect(other_port.clone()),
        "/home" => Response::Redirect("/echo".into()),
        _ => Response::Status("403 Forbidden", format!("no: {:?}", request.headers)),
    });
    let folder = tempfile::tempdir().unwrap();
    let (token, password) = (folder.path().join("token"), folder.path().join("password"));
    fs::write(&token, format!("{TOKEN}\n")).unwrap();
    fs::write(&password, TOKEN).unwrap();
    let bearer = format!("bearer_token_file: {}", token.display());
    let basic = format!("username: me, password_file: {}", password.display());
    let url = |path: &str| format!("url: 'http://127.0.0.1:{}{path}', when: before, timeout: 20", server.port);
    let gates = format!(
        "gates:\n  bearer: {{type: http, {}, {bearer}}}\n  basic: {{type: http, {}, {basic}}}\n  away: {{type: http, {}, \
         {bearer}}}\n  home: {{type: http, {}, {bearer}}}\n  next: {{type: http, {}, {bearer}}}\n  alerts: {{type: alertmanager, {}, {bearer}, matchers: \
         'a=\"b\"'}}\n  query: {{type: prometheus, {}, {bearer}, query: up, require: '> 0'}}\n",
        url("/a"),
        url("/b"),
        url("/away"),
        url("/home"),
        url("/next"),
        url(""),
        url("")
    );
    let project = project(&gates);
    let mut command = project.hoist(&["gates"]);
    let ran =
        crate::common::Ran::of(command.env("HOIST_LOG", "trace").env_remove("http_proxy").output().unwrap()).ends(1);
    let seen = server.requests();
    let authorized =
        |wanted: &str| seen.iter().filter(|request| request.header("authorization") == Some(wanted)).count();
    // Each gate, and the redirect that stays on the server.
    assert_eq!(authorized(&format!("Bearer {TOKEN}")), 7, "{seen:?}");
    let pair = "bWU6czNjcmV0LXQwa2VuLTAxMjM0NTY3ODk=";
    assert_eq!(authorized(&format!("Basic {pair}")), 1, "{seen:?}");
    for other in [elsewhere.requests(), next_door.requests()] {
        assert_eq!((other.len(), other[0].header("authorization")), (1, None));
    }
    let json = ask(&project, &["--format", "json"]);
    for text in [&ran.out, &ran.err, &json.out, &json.err] {
        assert!(!text.contains(TOKEN) && !text.contains(pair), "{text}");
    }
    assert!(ran.out.contains("no: "), "{}", ran.out);

    // What is wrong with the file is said without what is in it.
    fs::write(&token, format!("{TOKEN}\nX-Evil: yes\n")).unwrap();
    let ran = ask(&project, &["bearer"]).ends(1).says("inconclusive").says("contains more than one line");
    assert!(!ran.out.contains(TOKEN));
    fs::write(&token, "t\u{f6}k").unwrap();
    ask(&project, &["bearer"]).ends(1).says("inconclusive").says("token contains a character that is not ASCII");
    fs::remove_file(&token).unwrap();
    ask(&project, &["bearer"]).ends(1).says("token: No such file or directory");
    project.run(&["check-config"]).ends(2).says("hoist/gates.yaml:2: gate \"bearer\": the file ");
}

#[test]
fn a_server_is_trusted_by_the_certificates_of_ca_file() {
    let folder = tempfile::tempdir().unwrap();
    let (key, certificate) = (folder.path().join("key.pem"), folder.path().join("ca.pem"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"])
        .args(["-addext", "subjectAltName=IP:127.0.0.1"])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(made.success());
    let port = ports::free();
    let mut server = Command::new("openssl")
        .args(["s_server", "-quiet", "-www", "-accept", &format!("127.0.0.1:{port}")])
        .arg("-key")
        .arg(&key)
        .arg("-cert")
        .arg(&certificate)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_for("the server", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    let gate = |name: &str, more: &str| {
        format!("  {name}: {{type: http, when: before, url: 'https://127.0.0.1:{port}/'{more}, timeout: 60}}\n")
    };
    let ca = format!(", ca_file: {}", certificate.display());
    let project = project(&format!("gates:\n{}{}", gate("trusted", &ca), gate("unknown", "")));
    ask(&project, &["trusted"]).ends(0).says("pass  trusted  200");
    ask(&project, &["unknown"]).ends(1).says(": TLS: ").says("certificate verify failed");
    server.kill().unwrap();
    server.wait().unwrap();
    let openssl = |arguments: &[&str]| Command::new("openssl").args(arguments).output().unwrap().stdout;
    let der = openssl(&["x509", "-outform", "DER", "-in", certificate.to_str().unwrap()]);
    let pem = fs::read(&certificate).unwrap();
    let secret = fs::read(&key).unwrap();
    let key_line = String::from_utf8(secret.clone()).unwrap().lines().nth(1).unwrap().to_owned();
    let of_nothing = b"-----BEGIN CERTIFICATE-----\nbm8gY2VydGlmaWNhdGU=\n-----END CERTIFICATE-----\n";
    for (bytes, why) in [
        (&b"no certificate\n"[..], "contains no certificate in PEM format"),
        (b"", "is empty: write certificates in PEM format into it"),
        (b" \n", "is empty"),
        (b"\0\xff\xfe", "contains no certificate in PEM format"),
        (&secret, "contains a private key and no certificate: name the file of the certificate"),
        (
            &der,
            "contains no certificate in PEM format; if it is one in DER format, convert it with `openssl x509 -inform DER",
        ),
        (&pem[..pem.len() / 2], "contains no certificate that is whole: copy it again"),
        (of_nothing, "contains no certificate that is whole"),
    ] {
        fs::write(&certificate, bytes).unwrap();
        let said = format!("{} {why}", certificate.display());
        let asked = ask(&project, &["trusted"]).ends(1).says(why);
        let checked =
            project.run(&["check-config"]).ends(2).says("hoist/gates.yaml:2: gate \"trusted\": bad ca_file: ");
        assert!(checked.out.contains(&said), "{}", checked.out);
        assert!(!asked.out.contains(&key_line) && !checked.out.contains(&key_line), "{}{}", asked.out, checked.out);
    }
    fs::remove_file(&certificate).unwrap();
    ask(&project, &["trusted"]).ends(1).says("ca.pem: No such file or directory");
    fs::create_dir(&certificate).unwrap();
    ask(&project, &["trusted"]).ends(1).says("it is not a regular file");
    project.run(&["check-config"]).ends(2).says("ca.pem is not a regular file: correct the key");
    fs::remove_dir(&certificate).unwrap();
    assert!(Command::new("mkfifo").arg(&certificate).status().unwrap().success());
    ask(&project, &["trusted"]).ends(1).says("it is not a regular file");
    project.run(&["check-config"]).ends(2).says("ca.pem is not a regular file: correct the key");
}

#[test]
fn a_proxy_is_found_in_the_environment_and_its_password_is_not_shown() {
    let proxy = Server::start(|_| Response::Status("403 Forbidden", "not here".into()));
    let project = project("gates:\n  far: {type: http, when: before, url: 'http://far.example.org/', timeout: 20}\n");
    let address = format!("http://me:{TOKEN}@127.0.0.1:{}", proxy.port);
    let mut command = project.hoist(&["gates"]);
    command.env("http_proxy", &address).env("HOIST_LOG", "trace").env_remove("no_proxy").env_remove("NO_PROXY");
    let ran = crate::common::Ran::of(command.output().unwrap()).ends(1);
    // Who it is that does not answer is said.
    assert!(ran.out.contains(&format!("far.example.org through the proxy 127.0.0.1:{}", proxy.port)), "{}", ran.out);
    assert!(proxy.requests()[0].line.starts_with("CONNECT far.example.org:80 "), "{:?}", proxy.requests());
    assert!(!ran.out.contains(TOKEN) && !ran.err.contains(TOKEN), "{}{}", ran.out, ran.err);
}

#[test]
fn a_server_with_an_address_of_ipv6_is_asked() {
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        eprintln!("this machine has no IPv6: left out");
        return;
    }
    let server = Server::on("[::1]:0", |_| Response::Ok("six".into()));
    let gate =
        format!("  six: {{type: http, when: before, url: 'http://[::1]:{}/', body: six, timeout: 20}}\n", server.port);
    ask(&project(&format!("gates:\n{gate}")), &[]).ends(0).says("pass  six  200");
}
