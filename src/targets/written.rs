//! Targets in journals and plans: a host without details is its name, as in older journals.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Details, Target};

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Name(Target),
    Detailed { target: Target, details: Details },
}

/// For serde's `with`.
///
/// # Errors
/// Those of the serializer.
pub fn serialize<S: Serializer>(targets: &[Target], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(targets.iter().map(|target| match &target.details {
        None => Written::Name(target.clone()),
        Some(details) => Written::Detailed { target: target.clone(), details: Details::clone(details) },
    }))
}

/// For serde's `with`.
///
/// # Errors
/// What is no target, or cannot be connected to.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Target>, D::Error> {
    let read = |written| match written {
        Written::Name(target) => Ok(target),
        Written::Detailed { target, details } => {
            details.check().map_err(serde::de::Error::custom)?;
            Ok(Target { details: Some(Arc::new(details)), ..target })
        }
    };
    Vec::<Written>::deserialize(deserializer)?.into_iter().map(read).collect()
}
