//! What was found on one kernel, and whether it should be so.

use std::fmt;

use kernel_build::EditId;

use super::boot::Told;

/// How a finding of the root task came about.
const PROBE: &str = "probe";

/// The edit that no boot shows.
const IMAGE_ONLY: EditId = EditId(3);

/// CR4.OSXMMEXCPT and CR4.UMIP.
const E10_BITS: u64 = 1 << 10 | 1 << 11;

/// Whether an edit shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It does.
    Present,
    /// It does not; this was seen instead.
    Missing(String),
    /// This machine cannot tell, because of this.
    Unknown(String),
    /// The machine fell silent before it told; this was its last line.
    Silent(String),
}

/// One finding about one edit; an edit can have several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The edit.
    pub edit: EditId,
    /// How it was found: "probe", or what was read off the image.
    pub how: String,
    /// What was found.
    pub state: State,
}

impl Finding {
    /// Whether the edit's absence is to be seen. A kernel that stops in the
    /// edit's own probe shows it too.
    fn shows_absence(&self) -> bool {
        matches!(self.state, State::Missing(_) | State::Silent(_))
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.state {
            State::Present => write!(f, "{} present ({})", self.edit, self.how),
            State::Missing(seen) => write!(f, "{} missing ({}): {seen}", self.edit, self.how),
            State::Unknown(why) => write!(f, "{} unknown ({}): {why}", self.edit, self.how),
            State::Silent(last) => {
                write!(f, "{} not told: the machine fell silent after {last:?}", self.edit)
            }
        }
    }
}

/// All findings on one kernel.
#[derive(Clone, Debug)]
pub struct Report {
    /// The edit that the kernel was built without, if any.
    pub omitted: Option<EditId>,
    /// The findings, in the order of the edits.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Puts together what a boot and the image told about the edits.
    pub(super) fn new(
        omitted: Option<EditId>,
        edits: impl Iterator<Item = EditId>,
        boot: &Told,
        image: &[kernel_build::Finding],
    ) -> Report {
        let mut findings: Vec<Finding> = boot.lines.iter().filter_map(|line| parse(line)).collect();
        findings.extend(image.iter().map(|finding| Finding {
            edit: finding.edit,
            how: finding.what.to_owned(),
            state: finding.missing.clone().map_or(State::Present, State::Missing),
        }));
        findings.extend(boot.cr4.map(control_register));
        for edit in edits.filter(|edit| *edit != IMAGE_ONLY) {
            if !findings.iter().any(|finding| finding.edit == edit && finding.how == PROBE) {
                let state = State::Silent(boot.lines.last().cloned().unwrap_or_default());
                findings.push(Finding { edit, how: PROBE.to_owned(), state });
            }
        }
        findings.sort_by_key(|finding| finding.edit);
        Report { omitted, findings }
    }

    /// Lists what should not be so: an edit that is not shown to be present, or
    /// the omitted one if nothing shows that it is missing.
    pub fn unexpected(&self) -> Vec<String> {
        let mut lines: Vec<String> = self
            .findings
            .iter()
            .filter(|finding| Some(finding.edit) != self.omitted)
            .filter(|finding| finding.state != State::Present)
            .map(Finding::to_string)
            .collect();
        if let Some(omitted) = self.omitted
            && !self
                .findings
                .iter()
                .any(|finding| finding.edit == omitted && finding.shows_absence())
        {
            lines.push(format!("the kernel was built without {omitted}, and no probe noticed"));
        }
        lines
    }
}

/// Reads a line of the root task: `E1 present`, `E1 missing: …`, `E1 unknown: …`.
fn parse(line: &str) -> Option<Finding> {
    let (edit, rest) = line.split_once(' ')?;
    let edit = edit.parse().ok()?;
    let state = match rest.split_once(": ") {
        None if rest == "present" => State::Present,
        Some(("missing", seen)) => State::Missing(seen.to_owned()),
        Some(("unknown", why)) => State::Unknown(why.to_owned()),
        _ => return None,
    };
    Some(Finding { edit, how: PROBE.to_owned(), state })
}

fn control_register(cr4: u64) -> Finding {
    let state = match cr4 & E10_BITS {
        E10_BITS => State::Present,
        _ => State::Missing(format!("CR4 is {cr4:#x}")),
    };
    Finding { edit: EditId(10), how: "CR4 has UMIP and OSXMMEXCPT".to_owned(), state }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EDITS: [EditId; 2] = [EditId(1), EditId(10)];

    fn report(omitted: Option<EditId>, lines: &[&str], cr4: Option<u64>) -> Report {
        let lines = lines.iter().map(|line| (*line).to_owned()).collect();
        Report::new(omitted, EDITS.into_iter(), &Told { lines, cr4 }, &[])
    }

    #[test]
    fn all_present_is_as_expected() {
        let report =
            report(None, &["kernel-probe: start", "E1 present", "E10 present"], Some(0xe20));
        assert_eq!(report.findings.len(), 3);
        assert_eq!(report.unexpected(), Vec::<String>::new());
    }

    #[test]
    fn missing_unknown_and_silent_are_unexpected() {
        let missing = report(None, &["E1 missing: a page", "E10 present"], None);
        assert_eq!(missing.unexpected(), ["E1 missing (probe): a page"]);
        let unknown = report(None, &["E1 present", "E10 unknown: no UMIP"], None);
        assert_eq!(unknown.unexpected().len(), 1);
        let silent = report(None, &["E1 present"], None);
        assert!(silent.unexpected()[0].contains("E10 not told"), "{:?}", silent.unexpected());
        let bits = report(None, &["E1 present", "E10 present"], Some(0x620));
        assert_eq!(bits.unexpected().len(), 1);
    }

    #[test]
    fn an_omitted_edit_has_to_be_missed() {
        let noticed = report(Some(EditId(1)), &["E1 missing: a page", "E10 present"], None);
        assert_eq!(noticed.unexpected(), Vec::<String>::new());
        let unnoticed = report(Some(EditId(1)), &["E1 present", "E10 present"], None);
        assert!(unnoticed.unexpected()[0].contains("no probe noticed"));
        let stopped = report(Some(EditId(10)), &["E1 present"], None);
        assert_eq!(stopped.unexpected(), Vec::<String>::new());
    }
}
