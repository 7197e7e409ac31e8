//! Files that several accounts or hostile ones may have to do with: whose they are, how they are shared, links that are not followed.

pub mod no_links;
pub mod output;
pub mod ownership;
pub mod shared;
