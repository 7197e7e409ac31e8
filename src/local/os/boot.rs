//! Which start of this host it is that runs now.

use std::fs;

use serde::{Deserialize, Serialize};

use super::sys;

/// One start of a host. A container has no kernel of its own: there the first process tells one start from another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Boot {
    #[serde(rename = "boot")]
    id: String,
    /// When the first process began, in the kernel's ticks since its own start; `None`: it cannot be seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    init: Option<u64>,
}

impl Boot {
    /// The present one; `None` where the kernel does not say.
    pub fn now() -> Option<Boot> {
        let id = Some(sys::boot_id()).filter(|id| !id.is_empty())?;
        let stat = fs::read_to_string("/proc/1/stat").unwrap_or_default();
        Some(Boot { id, init: sys::begun(&stat) })
    }

    /// Whether both are one start. A first process that one of them did not see tells nothing.
    pub fn is(&self, other: &Boot) -> bool {
        let inits = self.init.zip(other.init);
        self.id == other.id && inits.is_none_or(|(one, other)| one == other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_that_is_started_again_is_another_start_of_the_same_kernel() {
        let boot = |id: &str, init| Boot { id: id.into(), init };
        assert!(boot("a", Some(7)).is(&boot("a", Some(7))));
        assert!(!boot("a", Some(7)).is(&boot("a", Some(8))), "its first process is another");
        assert!(!boot("a", Some(7)).is(&boot("b", Some(7))), "its kernel is another");
        assert!(boot("a", None).is(&boot("a", Some(7))), "an account that may not see the first process");
        assert!(Boot::now().unwrap().is(&Boot::now().unwrap()));
    }
}
