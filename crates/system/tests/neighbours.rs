//! Names that manifests may use are names that neighbours know.

use system::manifest::schema::{Kind, MACHINE, SOLO5_TESTS};

#[test]
fn solo5_tests_are_those_that_can_be_built() {
    assert_eq!(SOLO5_TESTS, guest_loader::solo5_build::TESTS);
}

#[test]
fn profiles_are_those_of_the_runner() {
    let Some(Kind::Choice(profiles)) = MACHINE.key("profile").map(|key| key.kind) else {
        panic!("profile is a choice");
    };
    for profile in profiles {
        assert!(qemu::Profile::names().contains(profile), "{profile}");
    }
}

#[test]
fn a_guest_without_a_size_gets_what_the_loader_gives() {
    assert_eq!(system::manifest::DEFAULT_GUEST_MEMORY, guest_loader::DEFAULT_MEMORY);
}
