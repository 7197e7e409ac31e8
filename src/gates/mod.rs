//! Health gates: queries about the service during a deployment, and their evaluation.
//!
//! A [`Gate`] defines what to query, when, and what is required of the answer. One period in which a gate is evaluated
//! is called a look. An [`Asker`] gets one [`Reading`]. A [`Judge`] turns the readings of a look into a [`Verdict`],
//! without using the clock. [`Run`] does this for several gates at once, each on its own thread. This module does not
//! depend on the story.
//!
//! A source that does not answer never counts as a pass, however the gate treats missing data.

mod alertmanager;
mod asking;
pub mod client;
pub mod command;
mod compare;
mod comparison;
mod earlier;
mod gate;
mod http;
mod judge;
mod moment;
mod prometheus;
mod reading;
mod require;
mod run;
mod scope;
pub mod secret;
pub mod statistics;
mod stop;
mod template;
mod tls;

pub use asking::Asker;
pub use comparison::{Comparison, Control, Worse};
pub use earlier::Earlier;
pub use gate::{Auth, Endpoint, Gate, NoData, Source, Statuses};
pub use judge::{Judge, Next, Verdict};
pub use moment::Moment;
pub use reading::{Pending, Reading, Sample, SampleVerdict};
pub use require::Require;
pub use run::{Progress, Run};
pub use scope::Scope;
pub use stop::Stop;
pub use template::{HostsByRevision, Subject, Template};
pub use tls::certificates;
