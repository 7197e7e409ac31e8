//! How often a comparison raises an alarm for nothing, and how often it misses what it should find.

use std::sync::Mutex;
use std::time::Duration;

use hoist::gates::{
    Asker, Comparison, Control, Endpoint, Gate, HostsByRevision, Judge, Moment, Next, NoData, Source, Stop, Subject,
    Verdict, Worse,
};

use crate::server::{Response, Server, vector};

/// Looks at each kind of revision.
const RUNS: usize = 200;
const HOSTS: usize = 12;

/// Numbers that look random and are the same every time.
struct Numbers(u64);

impl Numbers {
    /// Evenly between 0 and 1 (SplitMix64).
    fn even(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (((mixed ^ (mixed >> 31)) >> 33) as f64 + 0.5) / (1u64 << 31) as f64
    }

    /// Normally about 0, by Box and Muller.
    fn normal(&mut self) -> f64 {
        (-2.0 * self.even().ln()).sqrt() * (2.0 * std::f64::consts::PI * self.even()).cos()
    }
}

fn gate(port: u16) -> Gate {
    Gate {
        name: "slower".into(),
        when: vec![Moment::Soak],
        group: None,
        interval: Duration::from_secs(30),
        delay: Duration::ZERO,
        timeout: Duration::from_secs(60),
        within: Duration::from_secs(60),
        failures: 0,
        no_data: NoData::Wait,
        observe: false,
        source: Source::Compare {
            endpoint: Endpoint { url: format!("http://127.0.0.1:{port}").parse().unwrap(), auth: None, ca_file: None },
            query: "latency".parse().unwrap(),
            comparison: Comparison {
                control: Control::Nearest,
                host_label: "instance".into(),
                worse: Worse::Higher,
                significance: 0.001,
                effect: 0.7,
                difference: 0.05,
                samples: 10,
            },
        },
    }
}

/// One soak of ten minutes, as fast as it can be told.
fn soak(gate: &Gate, subject: &Subject) -> Verdict {
    let mut judge = Judge::new(gate, Duration::from_secs(600));
    let mut asker = Asker::new(gate.clone());
    let mut at = judge.first();
    loop {
        let reading = asker.ask(subject, Some(at.as_secs_f64()), &Stop::never());
        match judge.take(at, at, reading).1 {
            Next::AskAt(next) => at = next,
            Next::Ended(verdict) => return verdict,
        }
    }
}

/// How many of the looks failed, with so many hosts on a revision that is slower by this factor. A request takes 200 ms,
/// and what is measured of it varies by a tenth, with a long tail upwards.
fn alarms(new: usize, slower: f64) -> usize {
    let hosts: Vec<String> = (0..HOSTS).map(|n| format!("web{n:02}")).collect();
    let numbers = Mutex::new(Numbers(42));
    let names = hosts.clone();
    let server = Server::start(move |_| {
        let mut numbers = numbers.lock().unwrap();
        let value = |n: usize, numbers: &mut Numbers| {
            let factor = if n < new { slower } else { 1.0 };
            format!("{:.6}", 0.2 * factor * (0.1 * numbers.normal()).exp())
        };
        let all = names.iter().enumerate().map(|(n, name)| (format!("{name}:9100"), value(n, &mut numbers)));
        Response::Ok(vector(&all.collect::<Vec<_>>()))
    });
    let targets: Vec<hoist::targets::Target> = hosts.iter().map(|name| name.parse().unwrap()).collect();
    let (new, old) = targets.split_at(new);
    let hosts = HostsByRevision { new: new.to_vec(), old: old.to_vec(), elsewhere: Vec::new() };
    let subject = Subject { group: "web".into(), hosts, ..Subject::default() };
    let gate = gate(server.port);
    (0..RUNS).filter(|_| matches!(soak(&gate, &subject), Verdict::Fail { .. })).count()
}

#[test]
fn equal_revisions_raise_no_alarm_and_one_that_is_30_percent_slower_always_does() {
    for new in [1, 6] {
        let (equal, slower) = (alarms(new, 1.0), alarms(new, 1.3));
        println!("{new} of {HOSTS} hosts new: {equal} false alarms and {slower} true ones in {RUNS} soaks each");
        assert_eq!((equal, slower), (0, RUNS), "{new} of {HOSTS} hosts new");
    }
}
