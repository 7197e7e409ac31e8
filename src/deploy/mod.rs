//! The story of a deployment.
