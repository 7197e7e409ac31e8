//! Inventories that Ansible and Hoist read.

/// An inventory, and patterns to choose from it.
pub struct Case {
    pub files: &'static [(&'static str, &'static str)],
    /// The inventory among the files: one of them, or their folder.
    pub path: &'static str,
    pub patterns: &'static [&'static str],
}

const fn ini(files: &'static [(&'static str, &'static str)], patterns: &'static [&'static str]) -> Case {
    Case { files, path: "hosts", patterns }
}

const PLAIN: &str = "\
lone.example.org
; a comment
[web]
web[01:04].example.org ansible_user=deploy zone=a   # the old ones
Web5.example.org:2222 zone=b rack=7

[db]
db-[a:c] ansible_host=10.0.0.1
[db:vars]
rack = \"r 1\"
ansible_port=2022

[site:children]
web
db
[site:vars]
ansible_user=site
zone=z
";

pub const ALL: &[Case] = &[
    ini(
        &[("hosts", PLAIN)],
        &[
            "all",
            "web",
            "db",
            "site",
            "ungrouped",
            "site:!db",
            "site:&web",
            "web[0]",
            "web[-1]",
            "web[1:2]",
            "web[2:]",
            "web[0:0]",
            "w*",
            "*.example.org",
            "~web0[12]",
            "~.*-[ab]$",
            "db-a,lone.example.org",
            "all:!web:!db-b",
            "!db",
            "&site",
            "web0?.example.org",
            "web,db,!db-c",
            "[dw]eb*",
            "web:db:&site:!web02.example.org",
        ],
    ),
    // A regular expression ends where any term does.
    ini(
        &[("hosts", "[web]\nweb[1:4]\n[canary]\nweb1\n[db]\ndb[1:2]\n[site:children]\nweb\ndb\n")],
        &[
            "~web.*:!canary",
            "~(web|db)[12]:!canary",
            "!~web[12]$:web",
            "!~web[12]:&web",
            "!~.*1:web",
            "~web\\d:&canary",
            "!~.*1 :web",
            "~web.*,!canary",
            "web:!~.*1",
            "!~.*1:web:db",
            "!~.*1:web[0]:db",
            "!~.*1:&web",
            "!~.*1:&web:db",
            "!~.*[13] :web",
            "!~.*1:web[0:1]",
            "~web\\d:web",
            "!~.*1",
            "&~.*1:!db",
            "~w.*[^1]$:~db",
            "!~.*1:~web:~db",
            "~db1 ~web2",
            "!~[a-d]:&~.*[12]",
            "~(w|d)[eb]+1, !db",
            "!~.*1:site",
            "web1:22",
            "web:1",
            "!web1 :web",
            "web : !web1",
            "web !web1",
        ],
    ),
    // A section may come before those that it names, and more than once.
    ini(
        &[(
            "hosts",
            "[top:children]\nmiddle\n[top:vars]\nzone=top\n[middle:children]\nlow\n[low]\na\n[middle:vars]\nzone=mid\n[low]\nb zone=own\n[other]\nb\n",
        )],
        &["top", "middle", "low", "all", "other"],
    ),
    // Groups of the same depth count in the order of their names, or of their priority.
    ini(
        &[(
            "hosts",
            "[beta]\nx\n[alpha]\nx\n[alpha:vars]\nzone=alpha\nrack=1\n[beta:vars]\nzone=beta\nrack=2\n[gamma]\nx\n[gamma:vars]\nrack=3\nansible_group_priority=0\n",
        )],
        &["x", "all"],
    ),
    // Values, quotes and comments.
    ini(
        &[(
            "hosts",
            "a zone='x y' rack=\"1\"\nb zone=0x rack=01\nc zone=x#y\nd zone=\"a \\\" b\"\ne ansible_ssh_host=h1 ansible_host=h2 ansible_ssh_user=u1 ansible_user=u2 ansible_ssh_port=1 ansible_port=2\nf zone=a=b\n[g]\ng1\n[g:vars]\nzone='in quotes'\nrack=with # sign\n",
        )],
        &["all"],
    ),
    // Ranges.
    ini(&[("hosts", "w[1:9:4]-[x:z].a\nn[08:11]\nm[:2]\n[A:C]x\n10.0.0.[5:6]\nq[9:11]\n")], &["all", "n*", "10.0.0.*"]),
    // Addresses.
    ini(&[("hosts", "[::1]:2222\n2001:db8::7 ansible_port=23\n10.1.1.1:24\n")], &["all"]),
    // A port behind the name of a host that is known already.
    ini(
        &[(
            "hosts",
            "h1\n[db]\nh1:2222\nh2:2222\n[x]\nh2:2233\nh1 ansible_port=2201\n[y]\nh1:24\n[z]\nh3 ansible_port=2201\nh4:25 ansible_port=26\n[db]\nh3:22\nh4:27\nh[5:6]:28\n[w]\nh[5:7]:29\n",
        )],
        &["all", "db", "w"],
    ),
    Case {
        files: &[(
            "hosts.yml",
            "a:\n  hosts:\n    h1:\n    h2:2222:\n    h3: {ansible_port: 2201}\n    h4:25: {ansible_port: 26}\nb:\n  hosts:\n    h1:22:\n    h2:23:\n    h3:24:\n    h4:27:\n    h2:28: {ansible_port: 29}\n",
        )],
        path: "hosts.yml",
        patterns: &["all", "b"],
    },
    // The first file of a folder names a host first.
    Case {
        files: &[("inv/1.ini", "[a]\nh1:2201\nh2\n"), ("inv/2.yml", "a:\n  hosts:\n    h1:2202:\n    h2:2203:\n")],
        path: "inv",
        patterns: &["all"],
    },
    // A host in no group, and one that is in two.
    ini(&[("hosts", "a\nb\n[g]\na\n[all]\nc\n[all:vars]\nzone=everywhere\n")], &["all", "ungrouped", "g"]),
    // What Ansible refuses.
    ini(&[("hosts", "[web:host]\na\n")], &["all"]),
    ini(&[("hosts", "[web:children]\nnothing\n")], &["all"]),
    ini(&[("hosts", "[web:vars]\na=b\n")], &["all"]),
    ini(&[("hosts", "[we b]\na\n")], &["all"]),
    ini(&[("hosts", "[web]\na zone\n")], &["all"]),
    ini(&[("hosts", "[web]\na zone='x\n")], &["all"]),
    ini(&[("hosts", "[web]\nw[01:100]\n")], &["all"]),
    ini(&[("hosts", "[web]\nw[1:\n")], &["all"]),
    ini(&[("hosts", "[web]\na:\n")], &["all"]),
    ini(&[("hosts", "[a:children]\nb\n[b:children]\na\n")], &["all"]),
    ini(&[("hosts", "[web]\na\n[web:vars]\nzone\n")], &["all"]),
    // YAML.
    Case {
        files: &[(
            "hosts.yml",
            "all:\n  hosts:\n    lone:\n  vars:\n    ansible_user: root\n  children:\n    web:\n      hosts:\n        web[1:3]:\n          zone: a\n        web4:2222:\n          rack: 12\n          zone: true-ish\n      vars:\n        ansible_user: deploy\n    db:\n      hosts: db1\n      children:\n        replica:\n          hosts:\n            db2: {ansible_host: 10.0.0.2, zone: b}\n    empty:\n",
        )],
        path: "hosts.yml",
        patterns: &["all", "web", "db", "replica", "all:!db", "ungrouped", "web:&all", "empty"],
    },
    Case {
        files: &[("hosts.json", "{\"web\": {\"hosts\": {\"a\": {\"zone\": 1}, \"b\": null}}}")],
        path: "hosts.json",
        patterns: &["all", "web"],
    },
    // Without an ending, the content decides.
    ini(&[("hosts", "---\nweb:\n  hosts:\n    a:\n      zone: y\n")], &["web"]),
    Case { files: &[("hosts.yml", "- a\n- b\n")], path: "hosts.yml", patterns: &["all"] },
    Case { files: &[("hosts.yml", "web:\n  hosts:\n    - a\n")], path: "hosts.yml", patterns: &["all"] },
    Case { files: &[("hosts.yml", "web:\n  hosts:\n    a: {b: [\n")], path: "hosts.yml", patterns: &["all"] },
    Case { files: &[("hosts.yml", "web:\n  children:\n    web:\n")], path: "hosts.yml", patterns: &["all"] },
    // Variables beside the inventory, and templates.
    Case {
        files: &[
            (
                "hosts.ini",
                "[web]\na zone=host\nb\nc\n[db]\nd\n[site:children]\nweb\ndb\n[web:vars]\nrack=inventory\nzone=web\n",
            ),
            (
                "group_vars/all.yml",
                "domain: example.org\nansible_host: \"{{ inventory_hostname }}.{{ domain }}\"\nrack: all\n",
            ),
            ("group_vars/site/main.yml", "ansible_user: site\nansible_port: 2200\n"),
            ("group_vars/site/port.yaml", "ansible_port: 2201\n"),
            ("group_vars/site/notes.txt", "not: [read\n"),
            ("group_vars/web", "zone: file\n"),
            (
                "host_vars/b.yml",
                "zone: \"{{ group_names | first }}\"\nansible_user: \"{{ 'x' ~ inventory_hostname_short }}\"\n",
            ),
            ("host_vars/c.json", "{\"rack\": 9, \"ansible_host\": \"10.0.0.3\"}"),
        ],
        path: "hosts.ini",
        patterns: &["all", "web", "site:!web"],
    },
    // What Ansible says of a host itself: names of groups are sorted, and an address has no shorter name.
    ini(
        &[(
            "hosts",
            "[prod:children]\neast\n[east]\nNodeA.example.org\n10.0.0.1\n2001:db8::7\n[Zeta]\n10.0.0.1\n[all:vars]\nzone=\"{{ group_names | join('-') }}\"\nrack=\"{{ inventory_hostname_short }} {{ group_names[0] }}\"\n",
        )],
        &["all", "prod"],
    ),
    // A folder of inventories.
    Case {
        files: &[
            ("inv/01-web.ini", "[web]\na zone=first\nb\n"),
            (
                "inv/02-more.yml",
                "web:\n  hosts:\n    a: {zone: second}\n    c:\nall:\n  children:\n    site:\n      children:\n        web:\n",
            ),
            ("inv/03-group", "[site:vars]\nrack=s\n[site:children]\nweb\n"),
            ("inv/skipped.cfg", "[web]\nnever1\n"),
            ("inv/old~", "[web]\nnever2\n"),
            ("inv/.hidden", "[web]\nnever3\n"),
            ("inv/sub/more", "[db]\nd\n"),
            ("inv/group_vars/web.yml", "ansible_port: 99\n"),
        ],
        path: "inv",
        patterns: &["all", "web", "site", "db"],
    },
    // Ranges with everything else that a line may have: letters, steps, ports, several, addresses.
    ini(
        &[(
            "hosts",
            "[a]\nw[01:05:2].x[a:c:2]:2222 zone='q r'\ndb-[A:C]\n[b]\n10.0.[0:1].[7:9:2]:24\n[2001:db8::[1:3]]:2022\nn[007:009]\n",
        )],
        &["a", "b", "all", "w0[15]*", "10.0.1.*", "db-B"],
    ),
    ini(&[("hosts", "2001:db8::[1:3]\n[fe80::1]\n")], &["all"]),
    ini(&[("hosts", "w[1:3:0]\n")], &["all"]),
    ini(&[("hosts", "w[b:a]\n")], &["all"]),
    // Groups that are named in the hosts of others, with tabs, blank lines, and sections that repeat.
    ini(
        &[(
            "hosts",
            "\t[web]  # first\n\tw1\tzone=a\track='1 2'\n\n[all:children]\nweb\nlone\n[lone]\n[web:vars]\nrack = 5\n[web]\nw1 zone=b\nw2\n",
        )],
        &["all", "web", "lone", "ungrouped"],
    ),
    // A group with two parents, and priorities; what is deeper wins whatever is named first.
    ini(
        &[(
            "hosts",
            "[leaf]\nx\ny\n[p1:children]\nleaf\n[p2:children]\nleaf\n[top:children]\np1\n[p1:vars]\nzone=p1\n[p2:vars]\nzone=p2\n[top:vars]\nzone=top\nrack=top\n[all:vars]\nrack=all\nansible_user=all\n[p2]\nz\n",
        )],
        &["leaf", "p1:&p2", "top", "all:!leaf", "p2"],
    ),
    // Templates that need other variables, of other levels.
    Case {
        files: &[
            ("hosts", "[web]\na base=20\nb\n[web:vars]\nbase=10\nansible_port=\"{{ base | int + 2200 }}\"\n"),
            ("group_vars/all/10.yml", "zone: \"{{ rack }}-{{ inventory_hostname }}\"\nrack: early\n"),
            ("group_vars/all/20.yml", "rack: late\n"),
            ("group_vars/all/deep/30.yml", "ansible_user: \"{{ 'u' if base | int > 15 else 'v' }}\"\n"),
            ("host_vars/a/one.yml", "rack: own\n"),
        ],
        path: "hosts",
        patterns: &["all", "web"],
    },
    // YAML with anchors, merges, nested `all.children`, and hosts in several groups.
    Case {
        files: &[(
            "hosts.yaml",
            "all:\n  children:\n    eu:\n      vars: &vars\n        zone: eu\n        rack: 1\n      children:\n        web:\n          hosts:\n            a: &host {ansible_port: 2200}\n            b:\n              <<: *host\n              rack: 2\n    us:\n      vars:\n        <<: *vars\n        zone: us\n      hosts:\n        c: *host\n        b:\n    plain:\n      hosts: d\n  hosts:\n    e:\n",
        )],
        path: "hosts.yaml",
        patterns: &["all", "eu", "us", "web:&us", "plain", "ungrouped", "all:!eu"],
    },
    Case {
        files: &[("hosts.yml", "all:\n  hosts:\n    w[1:2]:2222:\n    x:\n  hosts2:\n    y:\n")],
        path: "hosts.yml",
        patterns: &["all"],
    },
    Case { files: &[("hosts.yml", "all:\n  children:\n    - web\n")], path: "hosts.yml", patterns: &["all"] },
    // Numbers as Python has them.
    ini(
        &[(
            "hosts",
            "a rack=1.50 zone=1e3\nb rack=0x1F zone=1_000\nc rack=0b11 zone=0o17\nd rack=-0 zone=+5\ne rack=.5 zone=5.\nf rack=99999999999999999999 zone=1.0e-7\ng rack=\"'q'\" zone=b\n",
        )],
        &["all"],
    ),
    // Values that YAML has a type for.
    Case {
        files: &[(
            "hosts.yml",
            "web:\n  hosts:\n    a: {zone: yes, rack: no}\n    b: {zone: 2026-01-02, rack: 2026-01-02T03:04:05Z}\n    c: {zone: 1:30, rack: 99999999999999999999}\n    d: {zone: \"x{# not shown #}y\", rack: \"{{ true }}\"}\n",
        )],
        path: "hosts.yml",
        patterns: &["all"],
    },
    // Tags of Ansible's, wherever they stand.
    Case {
        files: &[(
            "hosts.yml",
            "web:\n  vars:\n    one:   !vault   |\n      $ANSIBLE_VAULT;1.1;AES256\n      6162\n    two: !vault\n      abc\n    three: [!unsafe x, !vault y]\n    four:\n      !unsafe\n      z\n  hosts:\n    a: {zone: !unsafe q}\n",
        )],
        path: "hosts.yml",
        patterns: &["all"],
    },
    // Unsafe text is no template, nor is what a template prints of it; its type is guessed even in quotes.
    Case {
        files: &[
            (
                "hosts.yml",
                "web:\n  vars:\n    alert: !unsafe '{{ $labels.x }} {% if'\n    list: !unsafe ['{{ one }}', {k: '{{ two }}'}]\n    c: inner\n    plain: \"{{ c }}\"\n  hosts:\n    a: {zone: !unsafe \"{{ rack }}\", rack: r7}\n    b: {zone: \"<{{ alert }}>\", rack: \"{{ list[0] ~ list[1].k }} {{ plain }}\"}\n    c: {zone: !unsafe \"0x1F\", rack: !unsafe |\n      {# text #}\n    }\n",
            ),
            ("host_vars/a.yml", "rack: !unsafe '{{ zone }}{'\n"),
        ],
        path: "hosts.yml",
        patterns: &["all"],
    },
    // What is JSON is read as JSON.
    Case {
        files: &[
            (
                "hosts.json",
                "{\n\t\"web\": {\"hosts\": {\"a\": {\"zone\": 1e2, \"rack\": [[[[[[[[[[1]]]]]]]]]]}, \"b\": {\"zone\": \"x !vault y\", \"rack\": 123456789012345678901234567890}}}\n}\n",
            ),
            ("host_vars/a.json", "{\"rack\":\t\"\\ud83d\\ude00\\/\"}"),
            ("host_vars/b", "{\"ansible_user\":\t\"u\"}"),
        ],
        path: "hosts.json",
        patterns: &["all"],
    },
    // Priorities as text, and those that are none.
    Case {
        files: &[(
            "hosts.yml",
            "a:\n  hosts: {x: }\n  vars: {zone: a, ansible_group_priority: \"10\"}\nb:\n  hosts: {x: }\n  vars: {zone: b}\n",
        )],
        path: "hosts.yml",
        patterns: &["x"],
    },
    ini(&[("hosts", "[a]\nx\n[a:vars]\nansible_group_priority=high\n")], &["all"]),
    // Escapes in quotes.
    ini(
        &[(
            "hosts",
            "[web]\na x='\"q\\tr\"'\n[web:vars]\nzone=\"a\\\\b \\x41\\u00e9\\q\"\nrack='it\\'s'\n[db]\nb zone='\"a\\\\b\"'\n",
        )],
        &["all"],
    ),
    // Hosts ahead of their groups.
    ini(&[("hosts", "a\nb\nc\n[web]\nc\na\n[ungrouped]\nd\nb\n")], &["ungrouped", "web", "all"]),
    // The group of hosts that are in no other.
    ini(&[("hosts", "b\n[ungrouped:children]\nweb\n[web]\na\n")], &["all", "ungrouped", "web"]),
    ini(&[("hosts", "b\n[ungrouped:vars]\nzone=1\n[web]\na\n")], &["all", "ungrouped"]),
    ini(&[("hosts", "[g:children]\nall\n[web]\na\n")], &["all"]),
    ini(&[("hosts", "b\n[all:children]\nweb\n[web]\na\n")], &["all", "web", "ungrouped"]),
    // Ends of lines.
    ini(&[("hosts", "[web]\ra zone=1\rb\r[web:vars]\rrack=2\r")], &["all"]),
    ini(&[("hosts", "[web]\r\na zone=1\r\nb zone=\"q\"\r\n[web:vars]\r\nrack='x'\r\n")], &["all"]),
    ini(&[("hosts", "[web]\na zone=1\x0bb\x0cc\x1cd\u{85}e\u{2028}f\n\r[db]\n\rg")], &["all", "db"]),
    Case {
        files: &[("hosts.yml", "web:\r\n  hosts:\r\n    a:\r\n      zone: \"1\"\r\n      rack: !unsafe x\r\n")],
        path: "hosts.yml",
        patterns: &["all"],
    },
    Case {
        files: &[("hosts.yml", "web:\r  hosts:\r    a:\r      zone: \"1\"\r      rack: !unsafe x\r")],
        path: "hosts.yml",
        patterns: &["all"],
    },
    // Literals of Python.
    ini(
        &[(
            "hosts",
            "[web]\na zone=\"'p' 'q'\" rack=\"'''t'''\"\nb zone=\"r'a\\\\n'\" rack=\"b'x'\"\n[db]\nc\n[db:vars]\nzone=\"\"\"tri\"ple\"\"\"\nrack='a' \"b\" # c\n[e]\nd\n[e:vars]\nzone=5 # five\nrack='a\\101\\55'\n[f]\nx\n[f:vars]\nzone=1 + 2\nrack='a' b # c\n",
        )],
        &["all"],
    ),
    ini(
        &[(
            "hosts",
            "[web]\na\n[web:vars]\nlist=['a', ('b' 'c'), {'d': [1, -2]}]\npair=1, 'x'\nmap={1: 'one', 'two': None}\nzone={{ list[1] }}-{{ list[2].d[1] }}-{{ pair[1] }}-{{ pair | length }}\nrack={{ map[1] }}-{{ map.two is none }}\n",
        )],
        &["all"],
    ),
];
