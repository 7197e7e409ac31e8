//! When gates are evaluated.

use std::str::FromStr;

use crate::named::named;

named! {
    /// A moment of a deployment at which gates are evaluated, in the order of a deployment.
    pub enum Moment {
        /// Before the first host is touched.
        Before = "before",
        /// After the stages of a subgroup.
        Subgroup = "subgroup",
        /// During a soak.
        Soak = "soak",
        /// After a group.
        Group = "group",
        /// Before finalize.
        Finalize = "finalize",
    }
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Moment::ALL.into_iter().find(|moment| moment.name() == text).ok_or_else(|| {
            let known = Moment::ALL.map(Moment::name);
            format!("unknown moment {text:?}{}", crate::text::meant_or_known(text, "moments", &known))
        })
    }
}
