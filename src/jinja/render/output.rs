//! What a rendering writes.

use crate::jinja::error::{Error, refuse};
use crate::jinja::values::{LARGEST, Value, python};
use crate::wire::OutputFormat;

/// Puts text to what was written.
pub fn write(out: &mut String, text: &str) -> Result<(), Error> {
    if out.len() + text.len() > LARGEST {
        return Err(refuse(format!("the text grows beyond {LARGEST} bytes")));
    }
    out.push_str(text);
    Ok(())
}

/// What `{{ value }}` writes: as Python would, since that is what templates are written for; YAML's own words where it is
/// asked for.
pub fn printed(value: &Value, format: OutputFormat) -> Result<String, Error> {
    match value {
        Value::None if format == OutputFormat::Yaml => Ok("null".into()),
        Value::Bool(yes) if format == OutputFormat::Yaml => Ok(if *yes { "true" } else { "false" }.to_owned()),
        _ => python::str(value),
    }
}
