//! What is typed at COM1, and for whom.
//!
//! Bytes go to the client that was chosen last: [`CHOOSE`], its name, a line
//! feed. Before the first choice, and after one that names nobody, they are
//! dropped; so are bytes that find the queue full.

use heapless::{Deque, Vec};
use protocol::console::CHOOSE;
use system::name::NAME_BYTES;

/// Bytes that wait for their client at most.
const QUEUE_BYTES: usize = 1024;

/// The bytes that wait, and the client that they are for.
#[derive(Default)]
pub struct Input {
    chosen: Option<usize>,
    /// The name that is being typed.
    name: Option<Vec<u8, NAME_BYTES>>,
    queue: Deque<u8, QUEUE_BYTES>,
}

impl Input {
    /// Nobody is chosen.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a byte from the wire; `find` finds a client by its name. Gives
    /// the client that has something to read now.
    pub fn push(&mut self, byte: u8, find: impl Fn(&[u8]) -> Option<usize>) -> Option<usize> {
        if byte == CHOOSE {
            self.name = Some(Vec::new());
            return None;
        }
        match &mut self.name {
            Some(name) if byte == b'\n' || byte == b'\r' => {
                self.chosen = find(name);
                self.name = None;
                self.queue.clear();
                None
            }
            Some(name) => {
                if name.push(byte).is_err() {
                    // No client has so long a name.
                    self.chosen = None;
                }
                None
            }
            None => {
                let client = self.chosen?;
                self.queue.push_back(byte).ok().map(|()| client)
            }
        }
    }

    /// Moves bytes for `client` to `bytes`; how many.
    pub fn take(&mut self, client: usize, bytes: &mut [u8]) -> usize {
        if self.chosen != Some(client) {
            return 0;
        }
        let mut count = 0;
        for to in bytes {
            let Some(byte) = self.queue.pop_front() else {
                break;
            };
            *to = byte;
            count += 1;
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(name: &[u8]) -> Option<usize> {
        [&b"web"[..], b"db"].iter().position(|known| *known == name)
    }

    fn push(input: &mut Input, bytes: &[u8]) -> Option<usize> {
        bytes.iter().map(|byte| input.push(*byte, find)).last().flatten()
    }

    fn take(input: &mut Input, client: usize) -> Vec<u8, 64> {
        let mut bytes = [0; 64];
        let count = input.take(client, &mut bytes);
        Vec::from_slice(&bytes[..count]).unwrap()
    }

    #[test]
    fn bytes_reach_the_chosen_client_only() {
        let mut input = Input::new();
        assert_eq!(push(&mut input, b"lost"), None);
        assert_eq!(push(&mut input, b"\x1ddb\n"), None);
        assert_eq!(push(&mut input, b"hello"), Some(1));
        assert_eq!(take(&mut input, 0), b"");
        assert_eq!(take(&mut input, 1), b"hello");
        assert_eq!(take(&mut input, 1), b"");
    }

    #[test]
    fn a_new_choice_drops_what_waits() {
        let mut input = Input::new();
        push(&mut input, b"\x1dweb\nabc\x1ddb\r");
        assert_eq!(take(&mut input, 0), b"");
        assert_eq!(push(&mut input, b"x\x1dnobody\ny"), None);
        assert_eq!(take(&mut input, 1), b"");
    }

    #[test]
    fn long_names_choose_nobody() {
        let mut input = Input::new();
        push(&mut input, b"\x1dweb\n\x1d");
        push(&mut input, &[b'w'; 1000]);
        assert_eq!(push(&mut input, b"\nabc"), None);
    }

    #[test]
    fn a_full_queue_drops_what_comes() {
        let mut input = Input::new();
        push(&mut input, b"\x1dweb\n");
        for _ in 0..QUEUE_BYTES {
            assert_eq!(input.push(b'a', find), Some(0));
        }
        assert_eq!(input.push(b'b', find), None);
        assert_eq!(take(&mut input, 0), [b'a'; 64]);
        assert_eq!(input.push(b'c', find), Some(0));
    }
}
