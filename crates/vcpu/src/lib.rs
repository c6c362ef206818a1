//! The virtual CPU: state, privileged instructions and exception delivery, as pure logic.
