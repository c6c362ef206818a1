//! Tests of the whole CPU on a small machine, by topic.

mod boot;
mod rig;
