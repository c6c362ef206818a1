//! The shadow MMU: guest walks, shadow tables and frame caps, as pure logic.
