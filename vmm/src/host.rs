//! What a platform may ask of the world around it.

/// Some byte of a claimed range is not guest RAM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutsideRam;

/// The services behind a platform: guest memory, console, time.
pub trait Host {
    /// Bytes of guest RAM, from guest-physical 0.
    fn memory_bytes(&self) -> u64;

    /// Copies guest memory at `gpa` into `bytes`.
    ///
    /// # Errors
    /// [`OutsideRam`]; nothing is copied then.
    fn read_guest(&mut self, gpa: u64, bytes: &mut [u8]) -> Result<(), OutsideRam>;

    /// Copies `bytes` into guest memory at `gpa`.
    ///
    /// # Errors
    /// [`OutsideRam`]; nothing is copied then.
    fn write_guest(&mut self, gpa: u64, bytes: &[u8]) -> Result<(), OutsideRam>;

    /// Sends bytes of the guest's stream to the console.
    fn console(&mut self, bytes: &[u8]);

    /// Takes bytes that were typed for the guest; how many. Fewer than fit:
    /// there are no more.
    fn input(&mut self, bytes: &mut [u8]) -> usize;

    /// The time-stamp counter.
    fn now(&self) -> u64;

    /// Nanoseconds since 1970 UTC.
    fn wall_time_ns(&mut self) -> u64;

    /// Sleeps at least `ns` nanoseconds.
    fn sleep_ns(&mut self, ns: u64);

    /// Counts an access to a port that no device claims.
    fn count_unknown_port(&mut self);
}
