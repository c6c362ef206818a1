//! Holds nothing: this package only locks third-party sources.
