//! Hosts as they are named on a command line.

use super::Target;
use super::pattern::terms;
use super::range::names;

/// Reads names separated by commas or white space. Each is a target as a target file writes it, whose host may hold
/// ranges: `web[01:20].example.org`, `root@db[a:c]:2222`. A target that stands twice is there twice.
///
/// # Errors
/// The first term that is bad, and why.
pub fn parse_list(text: &str) -> Result<Vec<Target>, String> {
    let mut targets = Vec::new();
    for term in terms(text) {
        // What has brackets and reads as it stands is an IPv6 address.
        match term.parse() {
            Ok(target) => targets.push(target),
            Err(why) if !term.contains('[') => return Err(why),
            Err(_) => targets.extend(expand(term)?),
        }
    }
    Ok(targets)
}

fn expand(term: &str) -> Result<Vec<Target>, String> {
    let (user, hosts) = match term.rsplit_once('@') {
        Some((user, hosts)) => (format!("{user}@"), hosts),
        None => (String::new(), term),
    };
    let names = names(hosts).map_err(|why| format!("bad host name {term:?}: {why}"))?;
    names.iter().map(|name| format!("{user}{name}").parse()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::told_with_term;

    fn read(text: &str) -> Vec<String> {
        parse_list(text).unwrap().iter().map(Target::to_string).collect()
    }

    #[test]
    fn a_list_holds_names_ranges_users_and_ports() {
        assert_eq!(read("web1"), ["web1"]);
        assert_eq!(read(" web1, root@db1:2222 web1,,"), ["web1", "root@db1:2222", "web1"]);
        assert_eq!(read("w[08:10].x,db[a:b]"), ["w08.x", "w09.x", "w10.x", "dba", "dbb"]);
        assert_eq!(read("op@w[1,3-4]:23"), ["op@w1:23", "op@w3:23", "op@w4:23"]);
        assert_eq!(read("[::1]:22,::1,127.0.0.[1:2]"), ["[::1]:22", "::1", "127.0.0.1", "127.0.0.2"]);
        assert!(read("").is_empty() && read(" , ").is_empty());
    }

    #[test]
    fn a_bad_name_is_told_with_its_reason() {
        told_with_term(
            parse_list,
            &[
                ("web1,we b*", "\"b*\"", "'*' is not allowed"),
                ("web[1:3]*", "\"web[1:3]*\"", "names and ranges only"),
                ("web[3:1]", "\"web[3:1]\"", "backwards"),
                ("web[1:3", "\"web[1:3\"", "not closed"),
                ("-oX[1:2]", "\"-ox1\"", "must not begin with '-'"),
                ("a;b@w[1:2]", "\"a;b@w1\"", "bad user name"),
                ("w[1:2]:0", "\"w1:0\"", "bad port"),
                ("!web1", "\"!web1\"", "'!' is not allowed"),
                ("~web[1]", "\"~web[1]\"", "names and ranges only"),
            ],
        );
    }
}
