//! The deploy host's repository and its lock.
