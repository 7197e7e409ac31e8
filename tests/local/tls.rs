//! Which servers of https a target downloads from. The servers are Python's, whose TLS is OpenSSL.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use hoist::wire::{ArtifactRules, ArtifactSource, Fetch, Stage, StageRequest};

use crate::harness::*;

const RULES: ArtifactRules = ArtifactRules { strip_components: 0, max_bytes: 1 << 30, outside_links: false };

/// Serves the files of its directory: certificate, key, and the newest version of TLS that it has.
const SERVER: &str = r#"
import http.server, ssl, sys
server = http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1], sys.argv[2])
context.maximum_version = ssl.TLSVersion[sys.argv[3]]
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_port, flush=True)
server.serve_forever()
"#;

/// Certificates: those of an authority, what it signed, and some that signed themselves, as `openssl req -x509` makes them.
const MAKE: &str = r#"
new() { openssl req -newkey "$1" -nodes -keyout "$2.key" -subj "/CN=$2" "${@:3}" 2>/dev/null; }
here=subjectAltName=IP:127.0.0.1
new rsa:2048 authority -x509 -days 9 -out authority.pem
new rsa:2048 signed-rsa -out signed-rsa.csr
new ec signed-ec -pkeyopt ec_paramgen_curve:P-256 -out signed-ec.csr
for name in signed-rsa signed-ec; do
    openssl x509 -req -in $name.csr -CA authority.pem -CAkey authority.key -CAcreateserial -days 9 \
        -extfile <(echo $here) -out $name.pem 2>/dev/null
done
new rsa:2048 itself -x509 -days 9 -addext $here -out itself.pem
new rsa:2048 other-name -x509 -days 9 -addext subjectAltName=IP:127.0.0.2 -out other-name.pem
touch index.txt
printf '[ca]\ndefault_ca=own\n[own]\ndatabase=index.txt\nnew_certs_dir=.\nrand_serial=yes\ndefault_md=sha256\npolicy=any\n' >ca.cnf
printf 'x509_extensions=of_server\n[any]\ncommonName=supplied\n[of_server]\nbasicConstraints=CA:TRUE\n%s\n' $here >>ca.cnf
new rsa:2048 expired -out expired.csr
openssl ca -batch -config ca.cnf -selfsign -keyfile expired.key -in expired.csr -notext -out expired.pem \
    -startdate 20200101000000Z -enddate 20200201000000Z 2>/dev/null
"#;

/// A server that ends with the test.
struct Server(Child, u16);

impl Server {
    fn of(dir: &Path, name: &str, version: &str) -> Server {
        let mut command = Command::new("python3");
        command.args(["-c", SERVER, &format!("{name}.pem"), &format!("{name}.key"), version]).current_dir(dir);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        Server(child, line.trim().parse().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn an_archive_comes_from_servers_that_the_system_trusts_and_from_no_others() {
    let dir = tempfile::tempdir().unwrap();
    let made = Command::new("bash").args(["-ec", MAKE]).current_dir(dir.path()).status().unwrap();
    assert!(made.success());
    let pack = "mkdir app store; echo 1 >app/a; tar -C app -czf app.tgz .; git init -q --bare store";
    assert!(Command::new("sh").args(["-ec", pack]).current_dir(dir.path()).status().unwrap().success());
    let archive = dir.path().join("app.tgz");
    let imported = hoist::artifact::import(&archive, &dir.path().join("store"), &RULES, &|| Ok(())).unwrap();
    let bytes = Some(fs::metadata(&archive).unwrap().len());
    let (sha256, revision) = (imported.sha256.unwrap(), imported.commit.parse().unwrap());
    let fetched = |run: &str, server: &Server, trusted: &str| {
        let (url, sha256) = (format!("https://127.0.0.1:{}/app.tgz", server.1), sha256.clone());
        let source = Some(Box::new(ArtifactSource { url, sha256, bytes, proxy: None, rules: RULES }));
        let target = Target::new();
        let fetch = Some(Fetch { artifact: source, ..Fetch::default() });
        let request = StageRequest { fetch, ..target.request(run, &revision) };
        let store = dir.path().join(trusted).display().to_string();
        let nowhere = dir.path().join("nowhere").display().to_string();
        let environment = [("SSL_CERT_FILE", store.as_str()), ("SSL_CERT_DIR", nowhere.as_str())];
        let reply = reply(spawn_with(&asked(&request, Stage::Fetch, 0), &environment));
        let is_there = target.rev(&revision).join("a").exists();
        assert_eq!(reply.ended().0.is_ok(), is_there, "{reply:?}");
        reply
    };
    let trusted = [
        ("signed-rsa", "TLSv1_3", "authority.pem"),
        ("signed-rsa", "TLSv1_2", "authority.pem"),
        ("signed-ec", "TLSv1_3", "authority.pem"),
        ("signed-ec", "TLSv1_2", "authority.pem"),
        ("itself", "TLSv1_3", "itself.pem"),
        ("itself", "TLSv1_2", "itself.pem"),
    ];
    for (name, version, store) in trusted {
        println!("{name} with {version}, {store}");
        fetched("r1", &Server::of(dir.path(), name, version), store).ok();
    }
    let others = [
        ("signed-rsa", "itself.pem", "this host does not trust who has issued it"),
        ("itself", "authority.pem", "it is an authority's, and not itself among the trusted ones"),
        ("other-name", "other-name.pem", "certificate not valid for name \"127.0.0.1\""),
        ("expired", "expired.pem", "certificate expired"),
        ("expired", "itself.pem", "certificate expired"),
    ];
    for (name, store, why_not) in others {
        let reply = fetched("r1", &Server::of(dir.path(), name, "TLSv1_3"), store);
        let why = reply.reason();
        println!("{name}, {store}: {why}");
        assert!(why.contains(&format!("TLS: certificate verify failed: {why_not}")), "{name}, {store}: {why}");
    }
    // A store that is not there is no store that everybody is in.
    let reply = fetched("r1", &Server::of(dir.path(), "itself", "TLSv1_3"), "nowhere");
    let why = reply.reason();
    assert!(why.contains("this host trusts no certificates: install ca-certificates"), "{why}");
}
