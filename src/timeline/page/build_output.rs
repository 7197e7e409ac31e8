//! What `build_command` said.

use crate::report::took;
use crate::text::counted;
use crate::wire::limits::cut;

use super::super::Timeline;
use super::markup::Markup;
use super::section;

/// The longest output, in bytes.
const OUTPUT: usize = 64 << 10;

/// Writes the output of the build, if the run had one.
pub fn write(page: &mut Markup, timeline: &Timeline) {
    let output = &timeline.build_output;
    let Some((end, seconds)) = &output.end else { return };
    section(page, "Build", |section| {
        section.element("details", &[], |details| {
            let lines = counted(output.count, "line");
            details.plain("summary", &format!("build_command: {end} after {}, {lines} of output", took(*seconds)));
            if output.left_out() > 0 {
                let first = counted(output.left_out(), "line");
                details.of_class("p", "small", &format!("The first {first} are left out here; `hoist log` has them."));
            }
            details.element("pre", &[], |pre| pre.lines(&cut(&output.text(), OUTPUT)));
        });
    });
}
