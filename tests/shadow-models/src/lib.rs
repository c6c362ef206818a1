//! Small models, checked over all their states.
//!
//! Random tests sample; these models are so small that stateright visits every
//! state that they have, in every order of events:
//!
//! - [`shadow`]: a tiny guest on the real `shadow-core`, over the model of the
//!   kernel and against the reference MMU that the random tests use too.
//!   [`setups`] says which guests, with which events.
//!
//! - [`exits`]: exits between vCPUs, server and vmm, with the server's real
//!   [`protocol::desk::Desk`] and an honest or a hostile vmm.
//!
//! `cargo umbriel explore` opens a model in stateright's Explorer.

#![forbid(unsafe_code)]

pub mod exits;
mod guest;
#[allow(dead_code, missing_docs)] // the tests of `shadow-core` use the rest
mod model;
pub mod setups;
pub mod shadow;
mod steps;
