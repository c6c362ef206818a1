//! The tool as people call it, as far as it needs neither compiler nor QEMU.

use std::path::Path;
use std::process::{Command, Output};

fn umbriel(arguments: &[&str]) -> Output {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    Command::new(env!("CARGO_BIN_EXE_umbriel"))
        .args(arguments)
        .current_dir(repository)
        .env_remove("CI")
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn every_command_has_help() {
    for command in ["run", "build", "compose", "check", "kernel", "test"] {
        let output = umbriel(&[command, "--help"]);
        assert!(output.status.success(), "{command}");
        assert!(
            text(&output.stdout).contains(&format!("Usage: cargo umbriel {command}")),
            "{command}"
        );
    }
}

#[test]
fn a_mistyped_command_line_is_the_tools_own_error() {
    for arguments in
        [&["rum"][..], &["run", "--timeout", "soon"], &["run", "--no-such"], &["check"], &[]]
    {
        assert_eq!(umbriel(arguments).status.code(), Some(125), "{arguments:?}");
    }
}

#[test]
fn what_cannot_be_read_is_named() {
    let output = umbriel(&["run", "no-such.hvt"]);
    assert_eq!(output.status.code(), Some(125));
    assert!(text(&output.stderr).contains("cannot read no-such.hvt"), "{}", text(&output.stderr));
    let output = umbriel(&["run", "no-such.toml"]);
    assert_eq!(output.status.code(), Some(125));
    assert!(text(&output.stderr).contains("no-such.toml"), "{}", text(&output.stderr));
}

#[test]
fn what_is_no_image_is_refused() {
    let output = umbriel(&["run", "README.md"]);
    assert_eq!(output.status.code(), Some(125));
    assert!(text(&output.stderr).contains("README.md"), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("fix:"), "{}", text(&output.stderr));
}

#[test]
fn options_of_images_do_not_go_with_manifests() {
    let output = umbriel(&["run", "manifests/quickstart.toml", "--mem", "64 MiB"]);
    assert_eq!(output.status.code(), Some(125));
    assert!(text(&output.stderr).contains("lone image"), "{}", text(&output.stderr));
}

#[test]
fn check_judges_manifests() {
    let output = umbriel(&["check", "manifests/quickstart.toml"]);
    assert!(output.status.success());
    assert_eq!(text(&output.stdout), "manifests/quickstart.toml: 2 guests, sound\n");
    let output = umbriel(&["check", "manifests/quickstart.toml", "no-such.toml"]);
    assert_eq!(output.status.code(), Some(1));
    let output = umbriel(&["check", "--json", "no-such.toml"]);
    let records: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(records[0]["manifest"], "no-such.toml");
    assert!(records[0]["problems"][0]["what"].is_string());
}

#[test]
fn a_printed_manifest_is_one_that_checks() {
    let output = umbriel(&["run", "--print-manifest"]);
    assert!(output.status.success());
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("printed.toml");
    std::fs::write(&path, &output.stdout).unwrap();
    assert!(umbriel(&["check", path.to_str().unwrap()]).status.success());
}

#[test]
fn the_kernels_edits_are_listed() {
    let output = text(&umbriel(&["kernel"]).stdout);
    for part in ["seL4 5.0.0", "configuration release:", "  E1 ", "  E14 ", "Origin: seL4 7.0.0."] {
        assert!(output.contains(part), "{part} is not in {output}");
    }
}

#[test]
fn tests_can_be_listed_and_filtered() {
    let output = text(&umbriel(&["test", "--list", "solo5-"]).stdout);
    assert_eq!(output.lines().count(), 11, "{output}");
    assert!(output.lines().all(|line| line.starts_with("boot/solo5-")), "{output}");
}
