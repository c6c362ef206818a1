//! The figures side by side, for people and for programs.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::bench::Measured;
use crate::bench::ledger::Ledger;
use crate::bench::peers::{Bars, Peer, Peers};
use crate::bench::run::Results;

/// What the figures are compared with.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// Other hypervisors.
    pub peers: &'a Peers,
    /// Our aims.
    pub bars: &'a Bars,
    /// What was accepted last.
    pub ledger: Option<&'a Ledger>,
}

const HEADER: [&str; 9] = [
    "instructions each",
    "Umbriel",
    "rewritten",
    "bare",
    "KVM shadow",
    "Xen shadow",
    "best peer",
    "bar",
    "ledger",
];

/// The table for people.
pub fn text(results: &Results, context: Context<'_>) -> String {
    let mut lines = vec![line(HEADER.map(str::to_owned))];
    for row in &results.rows {
        lines.push(line(cells(row, context)));
        if !row.events.is_empty() {
            lines.push(events(row, context.peers.row(&row.name)));
        }
    }
    let versions = &context.peers.versions;
    let mut text = lines.join("\n");
    let _ = write!(
        text,
        "\n\nUmbriel: the image as it is; rewritten: the same image rewritten. Instructions of the whole machine, not cycles; bench/peers.toml says how\n\
         to read them. bar: met, or over by so much, by the image as it is.\n\
         ledger: its growth since {}.\n\
         Here: {}, kernel {}.\nPeers: QEMU {}; {}; Xen {}.\n",
        crate::bench::ledger::FILE,
        results.tools.qemu,
        results.kernel,
        versions.qemu,
        versions.kvm,
        versions.xen,
    ); // writing to a string cannot fail
    text
}

fn cells(row: &Measured, context: Context<'_>) -> [String; 9] {
    let each = row.umbriel.each();
    let peer = context.peers.row(&row.name);
    let of_peer = |figure: Option<f64>| figure.map_or("-".to_owned(), number);
    let growth = context.ledger.and_then(|ledger| ledger.growth(&row.name, row.umbriel));
    [
        row.name.clone(),
        number(each),
        of_peer(row.rewritten.map(|rewritten| rewritten.each())),
        of_peer(row.bare.map(|bare| bare.each())),
        of_peer(peer.map(|peer| peer.kvm_shadow)),
        of_peer(peer.map(|peer| peer.xen_shadow)),
        of_peer(peer.map(|peer| peer.best_shadow)),
        context.bars.bar(&row.name).map_or("-".to_owned(), |bar| against(each, bar)),
        growth.map_or("new".to_owned(), |growth| format!("{:+.1} %", 100.0 * growth)),
    ]
}

fn line(cells: [String; 9]) -> String {
    let [name, umbriel, rewritten, bare, kvm, xen, best, bar, ledger] = cells;
    format!(
        "{name:<20} {umbriel:>9} {rewritten:>9} {bare:>8} {kvm:>11} {xen:>11} {best:>10} {bar:>16} {ledger:>9}"
    )
}

/// The events that say most; JSON has them all.
fn events(row: &Measured, peer: Option<&Peer>) -> String {
    let each = |name: &str| row.events.get(name).copied().unwrap_or(0.0);
    let mut text = format!(
        "    faults {:.2}, of them injected {:.2}; exits to the vmm {:.2}",
        each("shadow-server.faults"),
        each("shadow-server.injected_page_faults"),
        each("shadow-server.exits"),
    );
    if let Some(peer) = peer {
        let _ = write!(text, "; KVM's exits {:.2}", peer.kvm_exits); // writing to a string cannot fail
    }
    text
}

/// Few digits: one behind the point where that is more than noise.
fn number(figure: f64) -> String {
    if figure < 1000.0 { format!("{figure:.1}") } else { format!("{figure:.0}") }
}

fn against(each: f64, bar: f64) -> String {
    if each <= bar {
        format!("{bar:.0} met")
    } else {
        format!("{bar:.0} {:+.0} %", 100.0 * (each / bar - 1.0))
    }
}

/// The figures for programs.
pub fn json(results: &Results, context: Context<'_>) -> Value {
    let row = |row: &Measured| {
        let peer = context.peers.row(&row.name);
        let operation =
            peer.map(|peer| peer.operation.as_str()).or_else(|| context.bars.operation(&row.name));
        json!({
            "name": row.name,
            "operation": operation,
            "iterations": row.umbriel.iterations,
            "instructions": row.umbriel.instructions,
            "each": row.umbriel.each(),
            "rewritten": row.rewritten.map(|rewritten| rewritten.each()),
            "bare": row.bare.map(|bare| bare.each()),
            "peer-iterations": peer.map(|peer| peer.iterations),
            "peer-bare": peer.map(|peer| peer.bare),
            "kvm-shadow": peer.map(|peer| peer.kvm_shadow),
            "kvm-npt": peer.map(|peer| peer.kvm_npt),
            "xen-shadow": peer.map(|peer| peer.xen_shadow),
            "best-shadow": peer.map(|peer| peer.best_shadow),
            "kvm-exits": peer.map(|peer| peer.kvm_exits),
            "bar": context.bars.bar(&row.name),
            "growth": context.ledger.and_then(|ledger| ledger.growth(&row.name, row.umbriel)),
            "events": row.events,
        })
    };
    json!({
        "rows": results.rows.iter().map(row).collect::<Vec<_>>(),
        "failures": results.failures,
        "tools": results.tools,
        "kernel": results.kernel,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_met_or_missed_by_so_much() {
        assert_eq!(against(2999.6, 3000.0), "3000 met");
        assert_eq!(against(4500.0, 3000.0), "3000 +50 %");
    }

    #[test]
    fn columns_stand_below_each_other() {
        let wide = line(HEADER.map(str::to_owned));
        let row = line(
            [
                "pgfault_hidden_warm",
                "518766",
                "318766",
                "3711.2",
                "246335",
                "242399",
                "228402",
                "190000 +173 %",
                "+0.0 %",
            ]
            .map(str::to_owned),
        );
        assert_eq!(wide.len(), row.len());
    }
}
