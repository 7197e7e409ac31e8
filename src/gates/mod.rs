//! Health gates: what is asked about the service while a deployment goes on, and what the answers mean.
//!
//! A [`Gate`] says what to ask, when, and what is required of the answer. An [`Asker`] gets one [`Reading`];
//! [`Judge`] makes a [`Verdict`] of the readings of one look, by a clock that it is told; [`Run`] does so for several
//! gates at once, each on its own thread. Nothing here knows of a deployment's story.
//!
//! A source that does not answer never counts as a pass, whatever the gate says of missing data.

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
pub mod secret;
pub mod statistics;
mod stop;
mod template;

pub use asking::Asker;
pub use comparison::{Comparison, Control, Worse};
pub use earlier::Earlier;
pub use gate::{Auth, Endpoint, Gate, NoData, Source, Statuses};
pub use judge::{Judge, Next, Verdict};
pub use moment::Moment;
pub use reading::{Pending, Reading, Sample, SampleVerdict};
pub use require::Require;
pub use run::{Heard, Run};
pub use stop::Stop;
pub use template::{HostsByRevision, Subject, Template};
