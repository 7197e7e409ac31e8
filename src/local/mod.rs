//! The target's side: what `hoist deploy-local` does.
