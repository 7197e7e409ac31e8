//! From the variables of a host to its target: where to connect, as whom, and the labels.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use indexmap::IndexMap;

use crate::jinja;
use crate::problem::Problem;
use crate::targets::{Details, Target};
use crate::wire::{ConfigFile, Level};
use crate::yaml::UNSAFE_BRACE;

use super::hosts::port;
use super::pattern::select;
use super::values::text;
use super::{FileVars, Inventory, Vars};

/// How often a value that a template gives may be a template again.
const MOST_ROUNDS: usize = 10;
/// Variables of Ansible that say how to connect and that are not read, and what is to be done instead.
const UNREAD: [(&str, &str); 7] = [
    ("ansible_ssh_common_args", "set proxy_jump, or write it in OpenSSH's configuration"),
    ("ansible_ssh_extra_args", "write it in OpenSSH's configuration"),
    ("ansible_ssh_private_key_file", "set identity_file"),
    ("ansible_private_key_file", "set identity_file"),
    ("ansible_password", "log in with a key"),
    ("ansible_ssh_pass", "log in with a key"),
    ("ansible_become", "log in as the user that deploys"),
];
/// What `ansible_connection` is called for connections by SSH.
const SSH: [&str; 7] = [
    "ssh",
    "smart",
    "paramiko",
    "paramiko_ssh",
    "ansible.builtin.ssh",
    "ansible.builtin.paramiko_ssh",
    "ansible.netcommon.libssh",
];
const VAULT: &str = "$ANSIBLE_VAULT";

impl Inventory {
    /// The hosts that a pattern names, with those of their variables that are `labels`, and remarks.
    ///
    /// # Errors
    /// A bad pattern (`named` is what messages call it), or a host that cannot be deployed to.
    pub fn targets(
        &self,
        pattern: &str,
        named: &str,
        labels: &[String],
    ) -> Result<(Vec<Target>, Vec<Problem>), Problem> {
        let (hosts, unmatched) =
            select(self, pattern).map_err(|why| Problem::new(format!("{named}: bad pattern {pattern:?}: {why}")))?;
        let mut remarks: Vec<Problem> = self.remarks.clone();
        for term in unmatched {
            let why = format!("{named}: {term:?} in {pattern:?} matches no group and no host");
            remarks.push(Problem::new(why).remark(Level::Warning));
        }
        let mut unread: BTreeSet<(&str, &str)> = BTreeSet::new();
        let mut targets = Vec::new();
        for host in hosts {
            let vars = self.vars_of(host);
            unread.extend(UNREAD.iter().filter(|(name, _)| vars.contains_key(*name)));
            targets.push(self.target(host, &vars, labels).map_err(|why| self.hosts[host].place.problem(why))?);
        }
        let said = |(name, instead)| {
            Problem::new(format!("{named}: {name} of the inventory is not used: {instead}")).remark(Level::Warning)
        };
        remarks.extend(unread.into_iter().map(said));
        Ok((targets, remarks))
    }

    /// Those of its hosts that have the name of one of these, with those of their variables that are `labels`.
    ///
    /// # Errors
    /// A host that cannot be deployed to.
    pub fn named(&self, targets: &[Target], labels: &[String]) -> Result<Vec<Target>, Problem> {
        let wanted: HashSet<&str> = targets.iter().map(|target| target.host.as_str()).collect();
        let hosts = self.hosts.iter().filter(|(host, _)| wanted.contains(host.to_ascii_lowercase().as_str()));
        hosts
            .map(|(name, host)| self.target(name, &self.vars_of(name), labels).map_err(|why| host.place.problem(why)))
            .collect()
    }

    fn target(&self, host: &str, vars: &Vars, labels: &[String]) -> Result<Target, String> {
        // A host's name is never split: what looks like a port is a part of it.
        let mut target: Target = host.parse()?;
        if target.user.is_some() || target.port.is_some() {
            return Err(format!("bad host name {host:?}: it must have no user and no port"));
        }
        let get = |names: &[&str]| -> Result<Option<String>, String> {
            let Some((name, value)) = names.iter().find_map(|name| Some((*name, vars.get(*name)?))) else {
                return Ok(None);
            };
            let value = self.rendered(host, vars, name, value).map_err(|why| match self.file_of(host, name) {
                Some(file) => format!("{name} of {host} in {file}: {why}"),
                None => format!("{name} of {host}: {why}"),
            })?;
            Ok(value.filter(|value| !value.is_empty()))
        };
        if let Some(connection) = get(&["ansible_connection"])?.filter(|it| !SSH.contains(&it.as_str())) {
            return Err(format!(
                "ansible_connection of {host} is {connection:?}, and hoist connects by SSH only: leave the host out of \
                 the pattern (!{host})"
            ));
        }
        let mut details = Details {
            address: get(&["ansible_ssh_host", "ansible_host"])?,
            user: get(&["ansible_ssh_user", "ansible_user"])?,
            port: get(&["ansible_ssh_port", "ansible_port"])?
                .map(|text| port(&text).map_err(|why| format!("ansible_port of {host}: {why}")))
                .transpose()?,
            groups: self.groups_of(host).into_iter().map(str::to_owned).collect(),
            ..Details::default()
        };
        for label in labels {
            if let Some(value) = get(&[label])? {
                details.labels.insert(label.clone(), value);
            }
        }
        details.address.take_if(|address| address.eq_ignore_ascii_case(host));
        details.check().map_err(|why| format!("host {host}: {why}"))?;
        target.details = Some(Arc::new(details));
        Ok(target)
    }

    /// The variables of a host, by Ansible's precedence: groups from `all` downwards, then the host's own; files beside the
    /// inventory over the inventory itself.
    fn vars_of(&self, host: &str) -> Vars {
        let groups = self.groups_of(host);
        let in_inventory = |group: &str| self.groups.get(group).map(|group| &group.vars);
        let mut vars = Vars::new();
        let all = ["all"].into_iter();
        let layers = all.clone().chain(groups.iter().copied()).filter_map(in_inventory);
        let files = all.chain(groups.iter().copied()).filter_map(|group| self.group_files.get(group));
        let files = files.map(|file| &file.vars);
        let own =
            [Some(&self.hosts[host].vars), self.host_files.get(host).map(|file| &file.vars)].into_iter().flatten();
        layers.chain(files).chain(own).for_each(|layer| vars.extend(layer.clone()));
        vars
    }

    /// The file beside the inventory that a variable of a host is from; `None`: it is from the inventory itself.
    fn file_of(&self, host: &str, name: &str) -> Option<&str> {
        let has = |files: Option<&'_ FileVars>| files.and_then(|files| files.files.get(name)).is_some();
        let of_group = || {
            let groups = self.groups_of(host).into_iter().rev().chain(["all"]);
            groups.map(|group| self.group_files.get(group)).find(|files| has(*files)).flatten()
        };
        let from = match self.host_files.get(host).filter(|files| has(Some(files))) {
            Some(files) => Some(files),
            None if self.hosts[host].vars.contains_key(name) => None,
            None => of_group(),
        };
        from.and_then(|files| files.files.get(name)).map(|file| &**file)
    }

    /// A variable as text, with the templates in it rendered.
    fn rendered(
        &self,
        host: &str,
        vars: &Vars,
        name: &str,
        value: &serde_json::Value,
    ) -> Result<Option<String>, String> {
        let as_text = match value {
            // As Python prints it, and the templates here as well.
            serde_json::Value::Bool(value) => Some(if *value { "True".into() } else { "False".into() }),
            value => text(value),
        };
        let Some(mut value) = as_text else {
            return if value.is_null() { Ok(None) } else { Err("it is a list or a mapping, not text".into()) };
        };
        let is_template = |text: &str| ["{{", "{%", "{#"].iter().any(|mark| text.contains(mark));
        let mut rounds = 0;
        while is_template(&value) {
            rounds += 1;
            if rounds > MOST_ROUNDS {
                return Err("its template refers to itself".into());
            }
            value = self.render(host, vars, name, value)?;
        }
        if value.starts_with(VAULT) {
            return Err("it is encrypted with ansible-vault, which hoist does not read: write it in the clear".into());
        }
        Ok(Some(value.replace(UNSAFE_BRACE, "{")))
    }

    fn render(&self, host: &str, vars: &Vars, name: &str, template: String) -> Result<String, String> {
        let mut vars = vars.clone();
        let mut groups: Vec<&str> = self.groups_of(host);
        groups.sort_unstable();
        let short = match host.parse::<std::net::IpAddr>() {
            Ok(_) => host,
            Err(_) => host.split('.').next().unwrap_or(host),
        };
        vars.insert("inventory_hostname".into(), host.into());
        vars.insert("inventory_hostname_short".into(), short.into());
        vars.insert("group_names".into(), groups.into());
        let file = ConfigFile { path: name.to_owned(), template: name.to_owned(), ..ConfigFile::default() };
        let templates: IndexMap<String, String> = [(name.to_owned(), template)].into();
        let jinja::Output { text, undefined, .. } = jinja::render(&templates, &file, &vars, &Default::default())?;
        match undefined.is_empty() {
            true => Ok(text),
            false => Err("its template prints a variable that is not defined".into()),
        }
    }
}
