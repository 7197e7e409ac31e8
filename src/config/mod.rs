//! The configuration: layered INI files, typed, each value with the place it came from.
