//! How often a comparison raises an alarm for nothing, and how often it misses what it should find.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hoist::gates::statistics::mann_whitney;
use hoist::gates::{
    Asker, Comparison, Control, Endpoint, Gate, HostsByRevision, Judge, Moment, Next, NoData, Scope, Source, Stop,
    Subject, Verdict, Worse,
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
        scope: Scope { at: vec![Moment::Soak], group: None },
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

/// What a fleet measures of requests that take 200 ms: every host is a little faster or slower than the others, the load
/// that comes and goes slows all of them, what is measured once lingers in the next value, and now and then a host stalls.
struct Fleet {
    numbers: Numbers,
    /// Of each host: its own factor, and the noise of its last value.
    hosts: Vec<(f64, f64)>,
    asked: f64,
}

impl Fleet {
    fn new(seed: u64) -> Fleet {
        let mut numbers = Numbers(seed);
        let hosts = (0..HOSTS).map(|_| ((0.01 * numbers.normal()).exp(), 0.0)).collect();
        Fleet { numbers, hosts, asked: 0.0 }
    }

    /// The next value of every host, the first `new` of which are on a revision that is slower by this factor.
    fn measure(&mut self, new: usize, slower: f64) -> Vec<f64> {
        self.asked += 1.0;
        let load = 1.0 + 0.2 * (self.asked / 7.0).sin();
        let numbers = &mut self.numbers;
        let value = |(n, (own, noise)): (usize, &mut (f64, f64))| {
            *noise = 0.2 * *noise + 0.98 * numbers.normal();
            let stall = if numbers.even() < 0.01 { 3.0 } else { 1.0 };
            0.2 * *own * load * (0.1 * *noise).exp() * stall * if n < new { slower } else { 1.0 }
        };
        self.hosts.iter_mut().enumerate().map(value).collect()
    }
}

/// How many of the looks failed, and in how many a test without the gate's precautions finds a difference at some time.
fn alarms(new: usize, slower: f64) -> (usize, usize) {
    let names: Vec<String> = (0..HOSTS).map(|n| format!("web{n:02}")).collect();
    let targets: Vec<hoist::targets::Target> = names.iter().map(|name| name.parse().unwrap()).collect();
    // One fleet for each look, and what was measured in it.
    let state = Arc::new(Mutex::new((Fleet::new(0), Vec::new())));
    let shared = state.clone();
    let server = Server::start(move |_| {
        let mut state = shared.lock().unwrap();
        let values = state.0.measure(new, slower);
        let all = names.iter().zip(&values).map(|(name, value)| (format!("{name}:9100"), format!("{value:.6}")));
        let answer = vector(&all.collect::<Vec<_>>());
        state.1.push(values);
        Response::Ok(answer)
    });
    let (on_new, on_old) = targets.split_at(new);
    let hosts = HostsByRevision { new: on_new.to_vec(), old: on_old.to_vec(), elsewhere: Vec::new() };
    let subject = Subject { group: "web".into(), hosts, ..Subject::default() };
    let gate = gate(server.port);
    let mut found = (0, 0);
    for seed in 0..RUNS as u64 {
        *state.lock().unwrap() = (Fleet::new(seed), Vec::new());
        found.0 += usize::from(matches!(soak(&gate, &subject), Verdict::Fail { .. }));
        let rounds = std::mem::take(&mut state.lock().unwrap().1);
        let mut sides: [Vec<f64>; 2] = Default::default();
        found.1 += usize::from(rounds.iter().any(|values| {
            sides[0].extend(&values[..new]);
            sides[1].extend(&values[new..]);
            sides[0].len() >= 10 && mann_whitney(&sides[0], &sides[1]).p < 0.05
        }));
    }
    found
}

#[test]
fn equal_revisions_raise_no_alarm_and_one_that_is_30_percent_slower_always_does() {
    for new in [1, 6] {
        let ((false_alarms, naive), (true_alarms, _)) = (alarms(new, 1.0), alarms(new, 1.3));
        let rate = 100.0 * false_alarms as f64 / RUNS as f64;
        // Past what the test runner keeps to itself when all is well: the rate is to be seen in every run.
        let _ = writeln!(
            std::io::stderr(),
            "{new} of {HOSTS} hosts new: {false_alarms} false alarms in {RUNS} soaks of equal revisions ({rate} %), \
             {true_alarms} true ones in {RUNS} of one that is 30 % slower; p < 0.05 alone raises {naive} false ones"
        );
        assert_eq!((false_alarms, true_alarms), (0, RUNS), "{new} of {HOSTS} hosts new");
        assert!(naive > 10, "the data are too tame to raise an alarm");
    }
}
