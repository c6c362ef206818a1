//! The reference of keys in `docs/manifest.md`, made from the schema.

use std::fmt::Write;

use super::schema::{Key, Kind, SECTIONS, Section};

/// The tables of keys, as Markdown.
pub fn markdown() -> String {
    let mut text = String::new();
    for section in SECTIONS {
        write_section(&mut text, section).expect("writing to a string");
    }
    text.trim_end().to_owned()
}

fn write_section(text: &mut String, section: &Section) -> std::fmt::Result {
    let title = match section.header {
        "" => "The top of the file".to_owned(),
        "shadow" => "`shadow = { … }` of a guest".to_owned(),
        header => format!("`{header}`"),
    };
    writeln!(text, "### {title}\n\n| key | type | default | meaning |\n| --- | --- | --- | --- |")?;
    for key in section.keys {
        writeln!(
            text,
            "| `{}` | {} | {} | {} |",
            key.name,
            type_of(key),
            default_of(key),
            key.doc
        )?;
    }
    text.push('\n');
    Ok(())
}

fn type_of(key: &Key) -> String {
    match key.kind {
        Kind::Text => "string".to_owned(),
        Kind::Choice(known) => {
            known.iter().map(|value| format!("`\"{value}\"`")).collect::<Vec<_>>().join(", ")
        }
        Kind::Size => "size".to_owned(),
        Kind::Integer { min, max, .. } if max >= u64::from(u32::MAX) => {
            format!("integer from {min}")
        }
        Kind::Integer { min, max, .. } => format!("integer, {min} to {max}"),
        Kind::Boolean => "`true`, `false`".to_owned(),
        Kind::Texts => "array of strings".to_owned(),
        Kind::Table(_) => "table".to_owned(),
        Kind::Tables(_) => "array of tables".to_owned(),
    }
}

fn default_of(key: &Key) -> &'static str {
    if key.default.is_empty() { "required" } else { key.default }
}
