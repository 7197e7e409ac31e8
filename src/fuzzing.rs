//! Doors for tests to readers of foreign text that nobody else reaches by themselves. No interface to build on.

use std::path::Path;

use indexmap::IndexMap;

use crate::fleet::ssh::keys::certificate;
use crate::fleet::ssh::known_hosts::KnownHosts;
use crate::fleet::ssh::transport::kexinit;
use crate::local::tree::index;
use crate::wire::ConfigFile;

/// Reads a file of host keys and asks it about a host; gives the remarks on its lines.
pub fn known_hosts(path: &Path, host: &str, key: &[u8]) -> Vec<String> {
    let known = KnownHosts::load(&[path.to_owned()]);
    let _ = (known.key_types(host, 22), known.check(host, 2222, key), known.authority(host, 22));
    known.notes().to_vec()
}

/// Reads what a server says ahead of a key exchange; how many algorithms it offers.
pub fn kexinit(heard: &[u8]) -> Option<usize> {
    let kexinit::Step::Done(offer) = kexinit::read(heard) else { return None };
    let [to, from] = offer.ciphers;
    Some(offer.kex.len() + offer.host_keys.len() + to.len() + from.len())
}

/// Reads a certificate in SSH's wire format; what may be wrong with it.
pub fn certificate(blob: &[u8]) -> Option<String> {
    certificate::problem(blob, "deploy")
}

/// Reads a git index of a repository with names of `name` bytes; how many entries it has, how many of them are files, and
/// whether an index that is written of them is read as the same.
pub fn git_index(bytes: &[u8], name: usize) -> Option<(usize, usize, bool)> {
    let entries = index::read(bytes, name)?;
    let again = index::read(&index::write(&entries, name), name)?;
    let same =
        again.iter().map(|entry| (&entry.path, &entry.object)).eq(entries.iter().map(|it| (&it.path, &it.object)));
    let mut changed = bytes.to_owned();
    entries.iter().for_each(|entry| index::set_ctime(&mut changed, entry, (1, 2)));
    index::set_sum(&mut changed, name);
    let touched = index::read(&changed, name).is_some_and(|it| it.iter().all(|entry| entry.stat.ctime == (1, 2)));
    Some((entries.len(), entries.iter().filter(|entry| entry.is_file()).count(), same && touched))
}

/// Renders a configuration file with the variables of a file in YAML.
pub fn render(templates: &IndexMap<String, String>, file: &ConfigFile, variables: &str) -> Result<String, String> {
    let variables = crate::yaml::parse(variables.as_bytes(), "vars.yaml").map_err(|error| format!("{error:#}"))?;
    let variables = variables.variables().ok_or("no mapping")?;
    crate::jinja::render(templates, file, &variables, &Default::default()).map(|output| output.text)
}

/// The variables that a template uses and nobody sets, where there are no others.
pub fn undefined(template: &str, file: &ConfigFile) -> Vec<String> {
    let templates = IndexMap::from([(file.template.clone(), template.to_owned())]);
    crate::jinja::undefined(&templates, file, &serde_json::Map::new()).into_iter().map(|it| it.name).collect()
}

/// The words of a command; `None`: a quote is not closed.
pub fn words(line: &str) -> Option<Vec<String>> {
    crate::text::words(line)
}

/// A YAML file as templates would get it.
pub fn yaml(text: &str) -> Result<serde_json::Value, String> {
    crate::yaml::parse(text.as_bytes(), "x.yaml").map(|node| node.to_json()).map_err(|error| format!("{error:#}"))
}

/// A section of an INI file and its keys with their values.
pub type Section = (String, Vec<(String, String)>);

/// The sections of an INI file but for `[DEFAULT]`, whose keys each of them has.
pub fn ini(text: &[u8]) -> Result<Vec<Section>, String> {
    use crate::config::ini;
    let file = ini::parse(text, "x.cfg").map_err(|error| format!("{error:#}"))?;
    let items = |section| file.items(section).map(|(_, item)| (item.key.clone(), item.value.clone())).collect();
    let sections = file.sections.keys().filter(|section| *section != ini::DEFAULT);
    Ok(sections.map(|section| (section.clone(), items(section))).collect())
}

/// Reads a listing of `.gitmodules`; gives what came of it, with every address resolved.
pub fn gitmodules(listing: &str) -> Result<Vec<String>, String> {
    let modules = crate::gitmodules::parse(listing)?;
    let addresses = modules.iter().map(|module| {
        let dir = module.git_dir(Path::new("/top/.git"));
        assert!(dir.starts_with("/top/.git/modules") && !dir.components().any(|it| it.as_os_str() == ".."));
        let resolved = crate::gitmodules::upstream(&module.url, Some("https://me:secret@host/group/app.git"));
        format!("{} {:?}", module.on_server("http://server/app/.git"), resolved)
    });
    Ok(addresses.collect())
}

/// Reads what a command printed as a list of hosts; gives how many there are.
pub fn host_list(bytes: &[u8]) -> Result<usize, String> {
    use crate::inventory::Output;
    let told = |problem: crate::problem::Problem| problem.to_string();
    match Output::read(bytes, "cmd").map_err(told)? {
        Output::Hosts(hosts) => Ok(hosts.len()),
        Output::Inventory(found) => Ok(found.targets("all", "cmd", &["zone".to_owned()]).map_err(told)?.0.len()),
    }
}

/// Reads the answer of a name server; gives how many hosts are in it.
pub fn dns_answer(bytes: &[u8]) -> Result<usize, String> {
    crate::inventory::answered(bytes)
}

/// Reads an archive of any format; what is in it, or why it is refused.
pub fn archive(bytes: &[u8]) -> Result<String, String> {
    let rules = crate::wire::ArtifactRules { strip_components: 0, max_bytes: 64 << 20, outside_links: false };
    let judged = crate::artifact::judge(bytes, &rules);
    judged.map(|summary| format!("{summary:?}")).map_err(|error| format!("{error:#}"))
}

/// Reads a pointer of git-lfs's; gives where its content would be.
pub fn pointer(text: &str) -> Option<std::path::PathBuf> {
    let path = crate::wire::LargeFile::of_pointer(text)?.path();
    assert!(path.is_relative() && path.components().count() == 3);
    Some(path)
}
