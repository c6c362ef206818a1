//! A system's manifest, its validated model, and the compiled form that boots.
