//! When gates are evaluated.

use crate::named::named;

named! {
    /// A moment of a deployment at which gates are evaluated, in the order of a deployment.
    pub enum Moment: "moment" {
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
