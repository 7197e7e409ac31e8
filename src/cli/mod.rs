//! The commands.

mod args;
mod words;
