//! Builds the seL4 kernel from the registry's sources with named edits.
