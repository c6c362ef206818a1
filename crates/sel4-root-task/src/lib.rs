//! Entry point and panic handler of a root task.
