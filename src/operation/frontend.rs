//! Who calls for an operation.

use std::io;

use crate::deploy::Operator;
use crate::exit_code::ExitCode;
use crate::fleet::remarks::Remark;
use crate::invocation::Invocation;
use crate::report::{HostRow, Reporter, causes};
use crate::targets::fold;
use crate::wire::Level;

use super::Refused;

/// The side of an operation that faces people: the command line. Whatever an operation asks and tells goes through it.
pub trait Frontend {
    /// The name of the command, for messages: `deploy`.
    fn command(&self) -> &'static str;

    /// Shows a line beside the answer, where errors are shown: who is waited for, say.
    fn remark(&self, line: &str);

    /// Shows a line beside the answer, in the name of the command.
    fn tell(&self, text: &str) {
        self.remark(&format!("hoist {}: {text}", self.command()));
    }

    /// Tells of those remarks of the fleet beside the answer that are warnings or worse; of what there is to say of many
    /// hosts, once.
    fn pass_on(&self, remarks: &[Remark]) {
        let heard = || remarks.iter().filter(|remark| remark.level >= Level::Warning);
        for remark in heard().filter(|remark| remark.host.is_none()) {
            self.tell(&format!("warning: {}", remark.message));
        }
        let of_hosts = heard().filter_map(|remark| Some(((), remark.message.as_str(), remark.host.as_ref()?)));
        for cause in causes(of_hosts) {
            self.tell(&format!("warning: {}: {}", fold(&cause.hosts), cause.text));
        }
    }

    /// Shows a line of the answer for people. Where the answer is JSON, nothing is shown.
    fn answer(&self, line: &str);

    /// Says that there is nothing to do, in place of a run that would end well. Where the answer is JSON, it is the event
    /// that ends a run.
    fn nothing_to_do(&self, line: &str) {
        self.answer(line);
    }

    /// Says how the command ended where no run of it said so: with hosts that it left out, say, which have these rows. Only
    /// programs are told; people get what the command returns.
    fn ends(&self, _verdict: &str, _code: ExitCode, _rows: Vec<HostRow>) {}

    /// R8: that somebody answers what the operation is going to ask.
    ///
    /// # Errors
    /// There is nobody, and nobody has answered ahead.
    fn can_ask(&self) -> Result<(), Refused>;

    /// Whether nobody reads what is asked: every answer was given ahead.
    fn is_unattended(&self) -> bool {
        false
    }

    /// The run-once steps of which the operator has said whether they ran.
    fn steps_answered(&self) -> Vec<String> {
        Vec::new()
    }

    /// Whether the operator is at a terminal.
    fn has_terminal(&self) -> bool {
        false
    }

    /// Asks for a line of text ahead of a run. It is empty where none is given, or every answer was given ahead.
    fn ask_line(&self, question: &str) -> String;

    /// Asks a question to which only a clear yes is one.
    fn confirm(&self, question: &str) -> bool;

    /// Asks such a question, and goes on with a yes only.
    ///
    /// # Errors
    /// The operator does not want it.
    fn insist(&self, question: &str) -> Result<(), Refused> {
        match self.confirm(question) {
            true => Ok(()),
            false => Err(Refused::stopped()),
        }
    }

    /// Whether the operator is at a terminal that may go away in the middle of a run: no terminal multiplexer keeps it.
    fn may_lose_terminal(&self) -> bool;

    /// Shows the events of one run.
    fn reporter(&self) -> Box<dyn Reporter>;

    /// The operator of one run, which was asked for with these flags. From now on an interrupt is theirs, and no end of
    /// the process.
    ///
    /// # Errors
    /// Nothing can listen for interrupts.
    fn operator(&self, invocation: &Invocation) -> io::Result<Box<dyn Operator>>;
}
