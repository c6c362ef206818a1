//! What bench guests print.

/// A row's figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// How often the operation was done.
    pub iterations: u64,
    /// Instructions of all of them.
    pub instructions: u64,
}

impl Count {
    /// Instructions an operation.
    pub fn each(self) -> f64 {
        self.instructions as f64 / self.iterations.max(1) as f64
    }
}

/// What a guest said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Rows in the order they came.
    pub rows: Vec<(String, Count)>,
    /// Lines that say what failed.
    pub failures: Vec<String>,
    /// Whether the guest came to its end.
    pub done: bool,
}

/// Reads the output of a bench guest: `row NAME iterations N instructions M`,
/// `FAIL …`, `bench done`. Other lines are not its concern.
pub fn parse(output: &[u8]) -> Report {
    let mut report = Report::default();
    for line in String::from_utf8_lossy(output).lines() {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        match words[..] {
            ["row", name, "iterations", iterations, "instructions", instructions] => {
                match (iterations.parse(), instructions.parse()) {
                    (Ok(iterations), Ok(instructions)) if iterations > 0 => {
                        let count = Count { iterations, instructions };
                        report.rows.push((name.to_owned(), count));
                    }
                    _ => report.failures.push(format!("a row makes no sense: {line}")),
                }
            }
            ["FAIL", ..] => report.failures.push(line.to_owned()),
            ["bench", "done"] => report.done = true,
            _ => {}
        }
    }
    report
}

impl Report {
    /// The figure of row `name`.
    pub fn row(&self, name: &str) -> Option<Count> {
        let mut rows = self.rows.iter();
        rows.find(|(found, _)| found == name).map(|(_, count)| *count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_failures_and_the_end_are_read() {
        let report = parse(
            b"hello\r\nrow cpuid iterations 2000 instructions 10007\r\n\
              FAIL ptemod: a read went to the wrong frame\nrow x iterations 0 instructions 1\nbench done\n",
        );
        assert_eq!(report.rows.len(), 1);
        assert!((report.row("cpuid").unwrap().each() - 5.0035).abs() < 1e-9);
        assert_eq!(report.failures.len(), 2);
        assert!(report.done && report.row("ptemod").is_none());
    }

    #[test]
    fn a_guest_that_stops_early_is_not_done() {
        assert!(!parse(b"row a iterations 1 instructions 3\n").done);
    }
}
