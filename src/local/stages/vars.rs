//! The variables that a target itself has for its templates.

use std::path::Path;

use serde_json::{Map, Value};

use crate::yaml;

use crate::local::fault::Fault;

/// The keys of a YAML file; an empty file has none. An error names the place, never the text: it may be secret.
pub fn variables(path: &Path) -> Result<Map<String, Value>, Fault> {
    let name = path.display().to_string();
    match yaml::read(path, &name).map(|node| node.variables()) {
        Ok(Some(variables)) => Ok(variables),
        Ok(None) => Err(Fault::failed(format!("{name} is not a YAML mapping of variables"))),
        Err(error) => Err(Fault::failed(format!("{error:#}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Map<String, Value>, Fault> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("v.yaml"), text).unwrap();
        variables(&dir.path().join("v.yaml"))
    }

    #[test]
    fn values_keep_their_kinds_and_their_order() {
        let keys = read("---\nport: 80\nname: '80'\nlist: [a, 1.5, null, true]\nmap:\n  z: 1\n  a: 2\n").unwrap();
        assert_eq!(
            serde_json::to_string(&keys).unwrap(),
            r#"{"port":80,"name":"80","list":["a",1.5,null,true],"map":{"z":1,"a":2}}"#
        );
        assert!(read("# nothing\n\n").unwrap().is_empty());
        assert!(read("---\n").unwrap().is_empty());
    }

    #[test]
    fn an_error_names_the_line_and_keeps_the_secret() {
        for text in ["ok: 1\npassword: [hunter2\n", "ok: 1\npassword: \"hunter2\n", "hunter2\n", "- hunter2\n"] {
            let reason = read(text).unwrap_err().reason();
            assert!(!reason.contains("hunter2"), "{reason}");
        }
        assert!(read("ok: 1\nb: c: hunter2\n").unwrap_err().reason().contains(":2:"));
    }
}
