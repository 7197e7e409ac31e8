//! Compares hosts on the new revision with hosts on the old one, which serve the same traffic at the same time.
//!
//! Every sample gives one value per host. Values are collected over the look, and tested whenever there are enough.
//! Repeated tests make a false alarm more likely. So the allowed probability of a false alarm is divided among the
//! tests, and their sum does not exceed it, however many tests there are.

use crate::targets::Target;
use crate::text::counted;

use super::comparison::{Comparison, Worse};
use super::prometheus::Series;
use super::reading::Reading;
use super::require::number;
use super::statistics::{mann_whitney, median};
use super::template::Subject;

/// The values collected in one look.
#[derive(Debug, Default)]
pub struct Pool {
    new: Vec<f64>,
    old: Vec<f64>,
    /// How often they were tested.
    judged: f64,
}

impl Pool {
    /// Adds the result of a query, and tests all values so far.
    pub fn take(&mut self, series: &[Series], subject: &Subject, comparison: &Comparison) -> Reading {
        let (new, old) = match split(series, subject, &comparison.host_label) {
            Ok(sides) => sides,
            Err(why) => return Reading::NoAnswer(why),
        };
        if new.is_empty() && old.is_empty() {
            let label = &comparison.host_label;
            return Reading::NoData(format!(
                "the query returned no value whose label {label} names a host of the deployment"
            ));
        }
        self.new.extend(new);
        self.old.extend(old);
        let (new, old, least) = (self.new.len(), self.old.len(), comparison.samples);
        if new.min(old) < least {
            let have = format!("{} of new hosts and {old} of old hosts", counted(new, "value"));
            return Reading::Gathering(format!("{have}; {least} of each are needed"));
        }
        self.judge(comparison)
    }

    fn judge(&mut self, comparison: &Comparison) -> Reading {
        self.judged += 1.0;
        // The shares 1/2, 1/6, 1/12, … sum to 1.
        let allowed = comparison.significance / (self.judged * (self.judged + 1.0));
        let (new, old) = (median(&self.new).unwrap_or_default(), median(&self.old).unwrap_or_default());
        let (test, grown) = match comparison.worse {
            Worse::Higher => (mann_whitney(&self.new, &self.old), new - old),
            Worse::Lower => (mann_whitney(&self.old, &self.new), old - new),
        };
        let value = Some(format!("{} against {}, effect size {:.2}", short(new), short(old), test.effect));
        let matters = grown > 0.0 && grown >= comparison.difference * old.abs();
        if test.p > allowed || test.effect < comparison.effect || !matters {
            return Reading::Good { value };
        }
        let direction = match comparison.worse {
            Worse::Higher => "higher",
            Worse::Lower => "lower",
        };
        let numbers = format!("effect size {:.2}, p = {:.1e}", test.effect, test.p);
        let sides = format!("{} and {}", self.new.len(), self.old.len());
        let medians =
            format!("the median of new hosts, {}, is {direction} than {} of old hosts", short(new), short(old));
        Reading::Bad { value, reason: format!("{medians} ({numbers}, {sides} values)") }
    }
}

/// A number with as many digits as people need.
fn short(value: f64) -> String {
    let text = format!("{value:.4}");
    match value.abs() {
        size if size != 0.0 && !(0.001..1e6).contains(&size) => format!("{value:.3e}"),
        _ if text.contains('.') => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        _ => text,
    }
}

/// The values of the hosts on each side.
fn split(series: &[Series], subject: &Subject, label: &str) -> Result<(Vec<f64>, Vec<f64>), String> {
    let (mut new, mut old, mut seen) = (Vec::new(), Vec::new(), Vec::new());
    for series in series {
        let Some((_, name)) = series.labels.iter().find(|(name, _)| name == label) else {
            return Err(format!(
                "the query returned a value without the label {label}: add `by ({label})`, or set host_label"
            ));
        };
        let is = |host: &&Target| names(name, &host.host);
        let (side, host) = match (subject.hosts.new.iter().find(is), subject.hosts.old.iter().find(is)) {
            (Some(host), _) => (&mut new, host),
            (None, Some(host)) => (&mut old, host),
            (None, None) => continue,
        };
        if seen.contains(&host) {
            return Err(format!(
                "the query returned several values for {host}: aggregate them, for example with `by ({label})`"
            ));
        }
        seen.push(host);
        side.extend(number(&series.value));
    }
    Ok((new, old))
}

/// Whether the value of a label, such as `web01:9100`, names this host. A name without a domain matches any domain.
fn names(label: &str, host: &str) -> bool {
    let bare = match label.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None if label.matches(':').count() == 1 => label.split(':').next().unwrap_or(label),
        None => label,
    };
    let first = |name: &str| name.split('.').next().unwrap_or_default().to_ascii_lowercase();
    let one_is_short = !bare.contains('.') || !host.contains('.');
    let address = |name: &str| name.parse::<std::net::IpAddr>().is_ok();
    bare.eq_ignore_ascii_case(host)
        || (one_is_short && !bare.is_empty() && !address(bare) && !address(host) && first(bare) == first(host))
}

#[cfg(test)]
mod tests {
    use super::super::comparison::Control;
    use super::super::template::HostsByRevision;
    use super::*;

    fn comparison() -> Comparison {
        Comparison {
            control: Control::Nearest,
            host_label: "instance".into(),
            worse: Worse::Higher,
            significance: 0.01,
            effect: 0.7,
            difference: 0.05,
            samples: 10,
        }
    }

    fn subject() -> Subject {
        let hosts = |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect();
        let (new, old) = (hosts(&["web01", "web02"]), hosts(&["web03", "web04", "web05"]));
        let hosts = HostsByRevision { new, old, elsewhere: Vec::new() };
        Subject { hosts, ..Subject::default() }
    }

    fn series(values: &[(&str, f64)]) -> Vec<Series> {
        let one = |(name, value): &(&str, f64)| Series {
            labels: vec![("job".into(), "x".into()), ("instance".into(), format!("{name}:9100"))],
            value: value.to_string(),
        };
        values.iter().map(one).collect()
    }

    /// The readings of a look in which the hosts have these values, in order, with some noise.
    fn look(new: f64, old: f64, comparison: &Comparison) -> Vec<Reading> {
        let mut pool = Pool::default();
        let noise = |i: usize, host: usize| ((i * 7 + host * 13) % 10) as f64 / 1000.0;
        (0..20)
            .map(|i| {
                let of = |host: usize, value: f64| value + noise(i, host);
                let values = [
                    ("web01", of(1, new)),
                    ("web02", of(2, new)),
                    ("web03", of(3, old)),
                    ("web04", of(4, old)),
                    ("web05", of(5, old)),
                    ("elsewhere", 99.0),
                ];
                pool.take(&series(&values), &subject(), comparison)
            })
            .collect()
    }

    #[test]
    fn a_difference_is_found_in_the_direction_that_hurts_and_in_no_other() {
        let slower = look(0.26, 0.2, &comparison());
        assert!(slower[..4].iter().all(|reading| matches!(reading, Reading::Gathering(_))), "{:?}", slower[3]);
        let Reading::Bad { reason, .. } = &slower[4] else { panic!("{:?}", slower[4]) };
        assert!(reason.contains("is higher than 0.2"), "{reason}");
        let good = |readings: &[Reading]| readings[4..].iter().all(|reading| matches!(reading, Reading::Good { .. }));
        assert!(good(&look(0.2, 0.26, &comparison())));
        assert!(good(&look(0.2, 0.2, &comparison())));
        let lower = Comparison { worse: Worse::Lower, ..comparison() };
        assert!(matches!(look(0.2, 0.26, &lower)[4], Reading::Bad { .. }));
        assert!(good(&look(0.26, 0.2, &lower)));
    }

    #[test]
    fn a_difference_that_is_too_small_to_matter_is_none() {
        let readings = look(0.209, 0.2, &Comparison { difference: 0.1, ..comparison() });
        assert!(readings[4..].iter().all(|reading| matches!(reading, Reading::Good { .. })));
    }

    #[test]
    fn what_cannot_be_told_apart_by_host_is_no_answer() {
        let mut pool = Pool::default();
        let mut take = |series: &[Series]| pool.take(series, &subject(), &comparison());
        let twice = [series(&[("web01", 1.0)]), series(&[("web01", 2.0)])].concat();
        assert!(matches!(take(&twice), Reading::NoAnswer(why) if why.contains("several values for web01")));
        let bare = vec![Series { labels: Vec::new(), value: "1".into() }];
        assert!(matches!(take(&bare), Reading::NoAnswer(why) if why.contains("without the label instance")));
        assert!(matches!(take(&series(&[("other", 1.0)])), Reading::NoData(_)));
        assert!(matches!(take(&[]), Reading::NoData(_)));
    }

    #[test]
    fn a_label_names_a_host_with_or_without_port_and_domain() {
        for (label, host, expected) in [
            ("web01:9100", "web01", true),
            ("WEB01.example.org:9100", "web01.example.org", true),
            ("web01", "web01.example.org", true),
            ("web01.example.org", "web01", true),
            ("web01.example.org", "web01.other.org", false),
            ("web010", "web01", false),
            ("[2001:db8::1]:80", "2001:db8::1", true),
            ("2001:db8::1", "2001:db8::1", true),
            ("127.0.0.1:80", "127.0.0.1", true),
            ("127.0.0.1:80", "127", false),
            ("", "web01", false),
        ] {
            assert_eq!(names(label, host), expected, "{label} {host}");
        }
        assert_eq!(["0.25", "0", "1.5e-5", "3"].map(|it| short(it.parse().unwrap())), ["0.25", "0", "1.500e-5", "3"]);
    }
}
