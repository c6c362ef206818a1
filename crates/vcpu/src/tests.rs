//! Tests of the whole CPU on a small machine, by topic.

mod access_rights;
mod ahead;
mod boot;
mod control;
mod deliver;
mod descriptor_tables;
mod flags;
mod lazy;
mod msr;
mod port;
mod privilege;
mod property;
mod rewritten;
mod rig;
mod segments;
mod system_call;
mod transfer;
mod traps;
