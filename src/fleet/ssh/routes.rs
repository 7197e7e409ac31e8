//! Builds the routes to hosts from the target file, Hoist's configuration and OpenSSH's configuration.

use std::collections::HashMap;
use std::hash::Hash;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};

use super::connect;
use super::jump::bastion::Bastion;
use super::keys::auth::Keys;
use super::keys::identity::Identities;
use super::keys::key_memory::KeyMemory;
use super::keys::wanted::Wanted;
use super::known_hosts::{KeyType, KnownHosts};
use super::openssh::{ConfigReader, HostConfig, KnownHostsCommand, Tokens};
use super::route::{HostKeys, Network, Route, Way};
use super::transport::names::Family;
use super::transport::tcp::Keepalive;
use super::{Algorithms, SshOptions, options};
use crate::fleet::remarks::Remarks;
use crate::targets::Target;

/// How many silent intervals are allowed; the same as OpenSSH's default.
const SILENT_INTERVALS: u32 = 3;
/// The longest time that is accepted from OpenSSH's configuration: a week, as in Hoist's own.
const LONGEST: u64 = 7 * 24 * 60 * 60;
/// The maximum number of jump hosts in a row.
const MOST_HOPS: usize = 16;

/// A host to build a route to.
struct RouteRequest<'a> {
    host: &'a Target,
    /// A target of the deployment. User, port and jump hosts from Hoist's configuration apply only to targets.
    is_target: bool,
    /// The jump hosts to use, the last one next to the host; `None`: those of the configuration.
    through: Option<Vec<Target>>,
    /// The hosts, beginning with the target, that are reached through this one.
    trail: Vec<Target>,
}

/// The routes of a command, and their shared parts.
pub struct Routes {
    /// `None`: OpenSSH's configuration is not read.
    reader: Option<ConfigReader>,
    routes: Cached<Target, Route>,
    bastions: Cached<Vec<Target>, Bastion>,
    network: Arc<Network>,
    known_hosts: Cached<Vec<PathBuf>, KnownHosts>,
    keys: Cached<Wanted, Keys>,
}

/// Values that are created once and then shared.
type Cached<K, V> = Mutex<HashMap<K, Arc<V>>>;

fn shared<K: Eq + Hash, V>(
    map: &Cached<K, V>,
    key: K,
    make: impl FnOnce(&K) -> anyhow::Result<V>,
) -> anyhow::Result<Arc<V>> {
    if let Some(there) = map.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
        return Ok(there.clone());
    }
    // Created without the lock, since this may take a while, and may need another value of the same kind. If two
    // threads create one, the first is kept.
    let made = Arc::new(make(&key)?);
    Ok(map.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_insert(made).clone())
}

impl Routes {
    /// # Errors
    /// OpenSSH's configuration cannot be read, or has an option for all hosts that is not honoured.
    pub fn new(options: &SshOptions) -> anyhow::Result<Routes> {
        let remarks = Arc::new(Remarks::default());
        let reader = match &options.openssh {
            None => None,
            Some(openssh) => {
                let reader = ConfigReader::open(openssh.file.clone(), options::ssh_home().as_deref())?;
                if reader.is_none() {
                    remarks.debug(None, "no OpenSSH client is installed, so no OpenSSH configuration is read");
                }
                reader
            }
        };
        let keys = KeyMemory::load(options.key_memory.clone());
        let network = Arc::new(Network { keys, remarks, ..Network::default() });
        let (routes, bastions, known_hosts, keys) = Default::default();
        Ok(Routes { reader, routes, bastions, network, known_hosts, keys })
    }

    /// The reader of OpenSSH's configuration, if it is read.
    pub fn reader(&self) -> Option<&ConfigReader> {
        self.reader.as_ref()
    }

    /// Remarks about the routes for the operator.
    pub fn remarks(&self) -> &Remarks {
        &self.network.remarks
    }

    /// The route to a target; the same one each time.
    pub fn to(&self, options: &SshOptions, target: &Target) -> anyhow::Result<Arc<Route>> {
        shared(&self.routes, target.clone(), |target| {
            let request =
                RouteRequest { host: target, is_target: true, through: options.proxy_jump.clone(), trail: Vec::new() };
            self.make(options, request).with_context(|| format!("cannot connect to {target}"))
        })
    }

    /// Begins to look up the addresses of those targets that are connected to directly.
    pub fn look_up_ahead(&self, targets: &[Target]) {
        let routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        let direct = targets.iter().filter_map(|target| routes.get(target));
        let direct = direct.filter(|route| matches!(route.way, Way::Direct));
        self.network.names.look_up_ahead(direct.map(|route| route.host.clone()).collect());
    }

    /// The shortest keepalive interval of any route so far.
    pub fn shortest_keepalive(&self) -> Option<Duration> {
        let routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        routes.values().map(|route| route.keepalive.every).min()
    }

    /// The known_hosts of these files.
    pub fn known_hosts(&self, files: Vec<PathBuf>) -> anyhow::Result<Arc<KnownHosts>> {
        shared(&self.known_hosts, files, |files| {
            let known_hosts = KnownHosts::load(files);
            for note in known_hosts.notes() {
                self.remarks().debug(None, note);
            }
            Ok(known_hosts)
        })
    }

    /// The operator's keys.
    pub fn keys(&self, wanted: Wanted) -> anyhow::Result<Arc<Keys>> {
        shared(&self.keys, wanted, |wanted| {
            let identities = Identities::load(wanted)?;
            for note in &identities.notes {
                self.remarks().debug(None, note);
            }
            for warning in &identities.warnings {
                self.remarks().warn(None, warning);
            }
            Ok(Keys::new(identities))
        })
    }

    fn make(&self, options: &SshOptions, request: RouteRequest) -> anyhow::Result<Route> {
        let RouteRequest { host: called, is_target, .. } = request;
        let named_user = called.login_user().map(str::to_owned).or_else(|| options.user.clone().filter(|_| is_target));
        let named_port = called.login_port().or_else(|| (is_target && options.set.port).then_some(options.port));
        let answer = match &self.reader {
            Some(reader) => reader.ask(called.address(), named_user.as_deref(), named_port)?,
            None => HostConfig::default(),
        };
        let host = answer.get("hostname").unwrap_or(called.address()).to_owned();
        let default_port = if is_target { options.port } else { 22 };
        let port = named_port.or_else(|| answer.get("port")?.parse().ok()).unwrap_or(default_port);
        let user = match named_user.or_else(|| answer.get("user").map(str::to_owned)) {
            Some(user) => user,
            None => options::operator().context("your user name is unknown: set ssh_user")?,
        };
        let known_as = match answer.get("hostkeyalias") {
            // HostKeyAlias replaces both the host and its port.
            Some(alias) => (alias.to_owned(), 22),
            None => (host.clone(), port),
        };
        let (operator, home) = (options::operator().unwrap_or_default(), options::ssh_home());
        let tokens = Tokens {
            host: &host,
            name: called.address(),
            port,
            user: &user,
            known_as: &known_as.0,
            operator: &operator,
            home: home.as_deref(),
        };
        let command = match answer.get("knownhostscommand").filter(|line| *line != "none") {
            Some(line) if options.known_hosts.is_none() => {
                Some(KnownHostsCommand::new(line, &tokens).map_err(|why| anyhow!("KnownHostsCommand {why}"))?)
            }
            _ => None,
        };
        let host_keys = HostKeys {
            known: self.known_hosts(known_hosts_files(options, &answer))?,
            command,
            accept_new: self.accepts_new(options, &answer, called),
            types: key_types(&answer)?,
        };
        let keys = self.keys(wanted_keys(options, &answer, &tokens)?)?;
        let way = self.way(options, &request, &answer, &tokens)?;
        Ok(Route {
            name: called.host.clone(),
            target: is_target.then(|| called.clone()),
            host_keys,
            family: match answer.get("addressfamily") {
                Some("inet") => Family::Inet,
                Some("inet6") => Family::Inet6,
                _ => Family::Any,
            },
            algorithms: algorithms(options, &answer)?,
            keys,
            connect_timeout: match seconds(&answer, "connecttimeout").filter(|_| !options.set.connect_timeout) {
                Some(timeout) => timeout,
                None => options.timeouts.connect,
            },
            keepalive: keepalive(options, &answer),
            way,
            network: self.network.clone(),
            known_as,
            port,
            user,
            host,
        })
    }

    fn accepts_new(&self, options: &SshOptions, answer: &HostConfig, host: &Target) -> bool {
        match answer.get("stricthostkeychecking").filter(|_| !options.set.host_key_checking) {
            Some("accept-new") => true,
            Some("no" | "off" | "false") => {
                let message = "StrictHostKeyChecking no is taken as accept-new: a changed host key is refused";
                self.remarks().debug(Some(host), message);
                true
            }
            Some("yes" | "true" | "ask") => false,
            _ => options.accept_new,
        }
    }

    fn way(
        &self,
        options: &SshOptions,
        request: &RouteRequest,
        answer: &HostConfig,
        tokens: &Tokens,
    ) -> anyhow::Result<Way> {
        let hops = match &request.through {
            Some(hops) => hops.clone(),
            None => match answer.get("proxyjump").filter(|jump| *jump != "none") {
                Some(jump) => {
                    let jump = tokens.command(jump).map_err(|why| anyhow!("ProxyJump {why}"))?;
                    Target::hops(&jump).map_err(|why| anyhow!("ProxyJump of OpenSSH's configuration: {why}"))?
                }
                None => Vec::new(),
            },
        };
        if let Some((last, before)) = hops.split_last() {
            return self.bastion(options, request, last, before).map(Way::Behind);
        }
        match answer.get("proxycommand").filter(|command| request.through.is_none() && *command != "none") {
            Some(command) => tokens.command(command).map(Way::Command).map_err(|why| anyhow!("ProxyCommand {why}")),
            None => Ok(Way::Direct),
        }
    }

    /// The jump host `last` behind the hosts `before`. All routes through the same jump hosts share it.
    fn bastion(
        &self,
        options: &SshOptions,
        request: &RouteRequest,
        last: &Target,
        before: &[Target],
    ) -> anyhow::Result<Arc<Bastion>> {
        let mut trail = request.trail.clone();
        trail.push(request.host.clone());
        if trail.len() > MOST_HOPS || trail.iter().any(|passed| passed.host == last.host) && request.through.is_none() {
            bail!(
                "the route to {} goes through jump host {last}, and the route to that goes through {} again: exclude \
                 jump hosts from `ProxyJump` (Host * !{last})",
                trail[0],
                last.host
            );
        }
        let hops: Vec<Target> = before.iter().chain([last]).cloned().collect();
        // The first jump host is reached by the route in its own configuration.
        let through = (!before.is_empty()).then(|| before.to_vec());
        shared(&self.bastions, hops, |_| {
            let request = RouteRequest { host: last, is_target: false, through, trail };
            let route = self.make(options, request).with_context(|| format!("jump host {last}"))?;
            let (name, keepalive, remarks) = (route.name.clone(), route.keepalive, self.network.remarks.clone());
            Ok(Bastion::new(name, keepalive, remarks, Box::new(move || connect::open(&route))))
        })
    }
}

fn known_hosts_files(options: &SshOptions, answer: &HostConfig) -> Vec<PathBuf> {
    let usual = || KnownHosts::default_files(options::home().as_deref());
    if let Some(files) = &options.known_hosts {
        return files.clone();
    }
    let said = |option| {
        let words = answer.get(option)?.split_whitespace().filter(|word| *word != "none");
        Some(words.map(PathBuf::from).collect::<Vec<_>>())
    };
    let (of_user, of_system) = (said("userknownhostsfile"), said("globalknownhostsfile"));
    let is_system = |file: &PathBuf| file.starts_with("/etc/ssh");
    let of_user = of_user.unwrap_or_else(|| usual().into_iter().filter(|file| !is_system(file)).collect());
    let of_system = of_system.unwrap_or_else(|| usual().into_iter().filter(is_system).collect());
    of_user.into_iter().chain(of_system).collect()
}

fn wanted_keys(options: &SshOptions, answer: &HostConfig, tokens: &Tokens) -> anyhow::Result<Wanted> {
    let mut wanted = Wanted::of(options);
    let paths = |option: &str, spelled: &str| {
        let values = answer.all(option).iter().filter(|value| *value != "none");
        let paths: Result<Vec<PathBuf>, String> = values.map(|value| tokens.path(value)).collect();
        paths.map_err(|why| anyhow!("{spelled} {why}"))
    };
    if wanted.files.is_none() && !answer.all("identityfile").is_empty() {
        // As with OpenSSH, a file that is missing or cannot be used is skipped.
        wanted.files = Some(paths("identityfile", "IdentityFile")?);
    }
    wanted.no_others |= answer.get("identitiesonly") == Some("yes");
    wanted.certificates = paths("certificatefile", "CertificateFile")?;
    if options.agent.is_none() {
        wanted.agent = match answer.get("identityagent") {
            None | Some("SSH_AUTH_SOCK") => wanted.agent,
            Some("none") => None,
            Some(variable) if variable.starts_with('$') && !variable.starts_with("${") => {
                std::env::var_os(&variable[1..]).filter(|path| !path.is_empty()).map(PathBuf::from)
            }
            Some(socket) => Some(tokens.path(socket).map_err(|why| anyhow!("IdentityAgent {why}"))?),
        };
    }
    Ok(wanted)
}

fn key_types(answer: &HostConfig) -> anyhow::Result<Vec<KeyType>> {
    let Some(list) = answer.get("hostkeyalgorithms") else { return Ok(KeyType::ALL.to_vec()) };
    let mut types = Vec::new();
    for kind in list.split(',').filter_map(KeyType::of_algorithm) {
        if !types.contains(&kind) {
            types.push(kind);
        }
    }
    if types.is_empty() {
        bail!("HostKeyAlgorithms {list} of OpenSSH's configuration contains none that hoist supports");
    }
    Ok(types)
}

fn algorithms(options: &SshOptions, answer: &HostConfig) -> anyhow::Result<Algorithms> {
    let Algorithms { kex, ciphers, macs } = &options.algorithms;
    let usual = Algorithms::default();
    let choose = |option: &str, set: bool, ours: &[String], known: &[String]| {
        let Some(list) = answer.get(&option.to_ascii_lowercase()).filter(|_| !set) else { return Ok(ours.to_vec()) };
        let names: Vec<String> =
            list.split(',').filter(|name| known.iter().any(|it| it == name)).map(str::to_owned).collect();
        if names.is_empty() {
            bail!("{option} {list} of OpenSSH's configuration contains none that hoist supports: {}", known.join(", "));
        }
        Ok(names)
    };
    Ok(Algorithms {
        kex: choose("KexAlgorithms", options.set.kex, kex, &usual.kex)?,
        ciphers: choose("Ciphers", options.set.ciphers, ciphers, &usual.ciphers)?,
        macs: choose("MACs", options.set.macs, macs, &usual.macs)?,
    })
}

fn keepalive(options: &SshOptions, answer: &HostConfig) -> Keepalive {
    let own = Keepalive { every: options.timeouts.keepalive, count: SILENT_INTERVALS };
    if options.set.keepalive {
        return own;
    }
    Keepalive {
        every: seconds(answer, "serveraliveinterval").unwrap_or(own.every),
        count: answer
            .get("serveralivecountmax")
            .and_then(|count| count.parse().ok())
            .unwrap_or(own.count)
            .clamp(1, 1000),
    }
}

/// A time in whole seconds; `None` if it is not set, or is switched off.
fn seconds(answer: &HostConfig, option: &str) -> Option<Duration> {
    let seconds: u64 = answer.get(option)?.parse().ok()?;
    (seconds > 0).then(|| Duration::from_secs(seconds.min(LONGEST)))
}
