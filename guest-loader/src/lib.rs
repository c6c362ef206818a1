//! Reads guest images and places them in guest memory, on the host.
