//! Constants of the kernel that this build is for, generated from its interface files.

#![allow(missing_docs, reason = "each constant is the number of what it names")]
#![allow(dead_code, reason = "the list is the same for every kernel")]

use crate::dialect::{Abi, BootInfoLayout, CapDataEncoding, IoPorts, Priorities, Remap};

include!(concat!(env!("OUT_DIR"), "/abi.rs"));
