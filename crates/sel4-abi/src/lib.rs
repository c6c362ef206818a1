//! Reads a seL4 tree's interface files into labels, system call numbers and configuration.
