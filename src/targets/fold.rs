//! Many host names as one short line, in ClusterShell's notation: `web[01-97].example.org`.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::Target;

/// What targets of one folded name share: user, what stands before and behind the number, port.
type Frame<'a> = (Option<&'a str>, &'a str, &'a str, Option<u16>);

/// The names folded, in natural order (`web2` before `web10`), each target once.
///
/// The number that folds is the last one of the first label that has one, or an IPv4 address's last. Leading zeros are
/// kept. Targets whose users or ports differ are kept apart.
pub fn fold<'a>(hosts: impl IntoIterator<Item = &'a Target>) -> String {
    let mut whole: BTreeSet<String> = BTreeSet::new();
    // By frame, then by how many digits a number is filled up to (0: none), the numbers.
    let mut frames: BTreeMap<Frame, BTreeMap<usize, Vec<u64>>> = BTreeMap::new();
    let mut unpadded: BTreeMap<Frame, Vec<(u64, usize)>> = BTreeMap::new();
    for target in hosts {
        let Some((before, digits, after)) = split(&target.host) else {
            whole.insert(target.to_string());
            continue;
        };
        let frame = (target.user.as_deref(), before, after, target.port);
        let number = digits.parse().expect("split() gives at most 18 digits");
        if digits.len() > 1 && digits.starts_with('0') {
            frames.entry(frame).or_default().entry(digits.len()).or_default().push(number);
        } else {
            unpadded.entry(frame).or_default().push((number, digits.len()));
        }
    }
    // A number without a leading zero, 10 say, goes with 01 to 09 if those are there.
    for (frame, numbers) in unpadded {
        let widths = frames.entry(frame).or_default();
        for (number, length) in numbers {
            let width = widths.range(..=length).next_back().map_or(0, |(width, _)| *width);
            widths.entry(width).or_default().push(number);
        }
    }
    let mut folded: Vec<String> = whole.into_iter().collect();
    for ((user, before, after, port), widths) in frames {
        for (width, mut numbers) in widths {
            numbers.sort_unstable();
            numbers.dedup();
            let user = user.map(|user| format!("{user}@")).unwrap_or_default();
            let port = port.map(|port| format!(":{port}")).unwrap_or_default();
            folded.push(format!("{user}{before}{}{after}{port}", ranges(&numbers, width)));
        }
    }
    folded.sort_by(|a, b| natural(a, b));
    folded.join(",")
}

/// The host name around the number that folds; `None`: there is none, or none that fits.
fn split(host: &str) -> Option<(&str, &str, &str)> {
    let (from, to) = match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(_)) => (host.rfind('.')? + 1, host.len()),
        Ok(IpAddr::V6(_)) => return None,
        Err(_) => {
            let digit = |b: u8| b.is_ascii_digit();
            let bytes = host.as_bytes();
            let first = bytes.iter().position(|b| digit(*b))?;
            let label_end = host[first..].find('.').map_or(host.len(), |dot| first + dot);
            let to = bytes[..label_end].iter().rposition(|b| digit(*b))? + 1;
            let from = bytes[..to].iter().rposition(|b| !digit(*b)).map_or(0, |other| other + 1);
            (from, to)
        }
    };
    (1..=18).contains(&(to - from)).then(|| (&host[..from], &host[from..to], &host[to..]))
}

/// Sorted numbers as `[1-3,7]`, or alone without brackets.
fn ranges(numbers: &[u64], width: usize) -> String {
    if let [number] = numbers {
        return format!("{number:0width$}");
    }
    let mut parts = Vec::new();
    for run in numbers.chunk_by(|a, b| a + 1 == *b) {
        parts.push(match run {
            [first, .., last] => format!("{first:0width$}-{last:0width$}"),
            single => single.iter().map(|number| format!("{number:0width$}")).collect(),
        });
    }
    format!("[{}]", parts.join(","))
}

/// Compares text with its numbers as numbers; texts that differ only in zeros compare as text.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a, b);
    while let (Some(l), Some(r)) = (left.chars().next(), right.chars().next()) {
        if l.is_ascii_digit() && r.is_ascii_digit() {
            let (x, rest_of_left) = number(left);
            let (y, rest_of_right) = number(right);
            match x.len().cmp(&y.len()).then_with(|| x.cmp(y)) {
                Ordering::Equal => (left, right) = (rest_of_left, rest_of_right),
                unequal => return unequal,
            }
        } else {
            match l.cmp(&r) {
                Ordering::Equal => (left, right) = (&left[l.len_utf8()..], &right[r.len_utf8()..]),
                unequal => return unequal,
            }
        }
    }
    left.len().cmp(&right.len()).then_with(|| a.cmp(b))
}

/// The digits at the beginning of `text` without leading zeros, and what follows them.
fn number(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    (text[..end].trim_start_matches('0'), &text[end..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn folded(hosts: &[&str]) -> String {
        let targets: Vec<Target> = hosts.iter().map(|host| host.parse().unwrap()).collect();
        fold(&targets)
    }

    #[test]
    fn names_that_differ_in_one_number_fold_into_one() {
        let names: Vec<String> = (1..=97).map(|n| format!("web{n:02}.example.org")).chain(["db1".into()]).collect();
        let targets: Vec<Target> = names.iter().rev().map(|name| name.parse().unwrap()).collect();
        assert_eq!(fold(&targets), "db1,web[01-97].example.org");
        assert_eq!(folded(&["web3", "web1", "web2", "web7", "web1"]), "web[1-3,7]");
        assert_eq!(folded(&["web1"]), "web1");
        assert_eq!(folded(&["alpha", "beta", "alpha"]), "alpha,beta");
        assert_eq!(folded(&[]), "");
    }

    #[test]
    fn leading_zeros_are_kept_and_longer_numbers_go_with_them() {
        assert_eq!(folded(&["w8", "w9", "w10", "w11"]), "w[8-11]");
        assert_eq!(folded(&["w08", "w09", "w10", "w99", "w100"]), "w[08-10,99-100]");
        assert_eq!(folded(&["w1", "w01", "w001"]), "w001,w01,w1");
    }

    #[test]
    fn addresses_fold_in_their_last_number() {
        assert_eq!(folded(&["127.0.0.1", "127.0.0.3", "127.0.0.2", "127.0.1.2"]), "127.0.0.[1-3],127.0.1.2");
        assert_eq!(folded(&["::2", "::1"]), "::1,::2");
    }

    #[test]
    fn the_number_of_the_first_label_folds() {
        assert_eq!(folded(&["a1-2.row7.x", "a1-3.row7.x", "b.row7.x", "b.row8.x"]), "a1-[2-3].row7.x,b.row[7-8].x");
    }

    #[test]
    fn users_and_ports_keep_targets_apart() {
        assert_eq!(
            folded(&["web1", "web2", "root@web1", "root@web2", "web1:22", "web2:22", "web3:23", "[::1]:22"]),
            "[::1]:22,root@web[1-2],web3:23,web[1-2],web[1-2]:22"
        );
    }

    #[test]
    fn folded_names_stand_in_natural_order() {
        assert_eq!(folded(&["r10.a", "r9.b", "x", "r1.c"]), "r1.c,r9.b,r10.a,x");
    }

    #[test]
    fn thousands_of_hosts_fold_without_comparing_each_with_each() {
        let hosts: Vec<Target> = (0..20_000).map(|n| format!("w{}.r{}", n, n % 7_000).parse().unwrap()).collect();
        assert!(fold(&hosts).len() > 7_000);
    }

    /// The reverse of folding, for names without user and port.
    fn expand(folded: &str) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        let mut rest = folded;
        while !rest.is_empty() {
            let inside = rest.find('[').filter(|open| rest.find(',').is_none_or(|comma| *open < comma));
            let Some(open) = inside else {
                let (name, after) = rest.split_once(',').unwrap_or((rest, ""));
                names.insert(name.to_owned());
                rest = after;
                continue;
            };
            let close = rest.find(']').unwrap();
            let end = rest[close..].find(',').map_or(rest.len(), |comma| close + comma);
            for range in rest[open + 1..close].split(',') {
                let (from, to) = range.split_once('-').unwrap_or((range, range));
                let width = if from.starts_with('0') { from.len() } else { 0 };
                for number in from.parse::<u64>().unwrap()..=to.parse().unwrap() {
                    names.insert(format!("{}{number:0width$}{}", &rest[..open], &rest[close + 1..end]));
                }
            }
            rest = rest[end..].trim_start_matches(',');
        }
        names
    }

    proptest! {
        #[test]
        fn folding_then_expanding_gives_the_same_hosts(
            names in proptest::collection::vec("[ab]?[0-3]{0,3}(-[0-9]{1,2})?[a-c](\\.[x0]{1,2})?", 0..60)
        ) {
            let targets: Vec<Target> = names.iter().filter_map(|name| name.parse().ok()).collect();
            let hosts: BTreeSet<String> = targets.iter().map(Target::to_string).collect();
            let short = fold(&targets);
            prop_assert_eq!(&expand(&short), &hosts, "{}", short);
            let listed: BTreeSet<String> =
                crate::targets::parse_list(&short).unwrap().iter().map(Target::to_string).collect();
            prop_assert_eq!(&listed, &hosts, "{}", short);
        }
    }
}
