//! Output of a rendering.

use crate::jinja::error::{Error, refuse};
use crate::jinja::values::{LARGEST, Value, python};
use crate::wire::OutputFormat;

/// Appends text to the output.
pub fn write(out: &mut String, text: &str) -> Result<(), Error> {
    if out.len() + text.len() > LARGEST {
        return Err(refuse(format!("the text grows beyond {LARGEST} bytes")));
    }
    out.push_str(text);
    Ok(())
}

/// The text of `{{ value }}`: Python's `str`, or YAML's words for `None` and booleans if `format` is YAML.
pub fn printed(value: &Value, format: OutputFormat) -> Result<String, Error> {
    match value {
        Value::None if format == OutputFormat::Yaml => Ok("null".into()),
        Value::Bool(yes) if format == OutputFormat::Yaml => Ok(if *yes { "true" } else { "false" }.to_owned()),
        _ => python::str(value),
    }
}
