//! Which bytes become traps, which are left, and what is refused.

use crate::testing::{ElfWriter, FUNCTION, LABEL, OBJECT};
use crate::{
    Fate, Image, Inspection, KernelSupport, Means, Options, Platform, Problem, Rewritten, inspect,
    place, rewrite,
};

/// Where the code of these images begins.
const BASE: u64 = 0x20_0000;

/// An image with one executable segment.
fn image(code: &[u8]) -> ElfWriter {
    ElfWriter::new(BASE).load(5, BASE, code, code.len() as u64)
}

/// The same, all of it one function.
fn function(code: &[u8]) -> ElfWriter {
    image(code).symbol(FUNCTION, BASE, code.len() as u64)
}

fn rewritten(elf: &ElfWriter) -> Rewritten {
    rewrite(&elf.bytes(), Platform::Pc64, KernelSupport::ExactSyscall).unwrap()
}

/// The code of the image after rewriting.
fn code_of(elf: &ElfWriter) -> Vec<u8> {
    let (start, length) = (64 + 56 * elf.segments.len(), elf.segments[0].content.len());
    rewritten(elf).bytes[start..][..length].to_vec()
}

/// The places that are in doubt.
fn doubts(elf: &ElfWriter) -> Vec<String> {
    match rewrite(&elf.bytes(), Platform::Pc64, KernelSupport::ExactSyscall) {
        Err(Problem::CodeOrData { places }) => places,
        other => panic!("not refused: {other:?}"),
    }
}

fn inspected(elf: &ElfWriter) -> Inspection {
    let image = Image { name: "kernel", bytes: &elf.bytes() };
    inspect(&image, KernelSupport::ExactSyscall).unwrap()
}

#[test]
fn traps_take_the_place_and_the_length_of_what_they_stand_for() {
    // mov ss, ax; mov cr3, rax; iretq
    let code = [0x8e, 0xd0, 0x0f, 0x22, 0xd8, 0x48, 0xcf];
    let elf = function(&code);
    assert_eq!(code_of(&elf), [0xcd, 0x9e, 0xcd, 0x9e, 0xcc, 0xf4, 0xcc]);
    let Rewritten { table, changed, .. } = rewritten(&elf);
    let entries: Vec<_> =
        table.iter().map(|entry| (entry.rip - BASE, entry.instruction().unwrap())).collect();
    assert_eq!(entries, [(0, &code[..2]), (2, &code[2..5]), (5, &code[5..7])]);
    assert_eq!(changed, 3);
}

#[test]
fn what_traps_and_needs_no_more_than_a_fault_brings_is_only_known() {
    // cli; out dx, al; swapgs; int 0x80; sti; ret
    let code = [0xfa, 0xee, 0x0f, 0x01, 0xf8, 0xcd, 0x80, 0xfb, 0xc3];
    let elf = function(&code);
    assert_eq!(code_of(&elf), code);
    let addresses: Vec<_> = rewritten(&elf).table.iter().map(|entry| entry.rip - BASE).collect();
    assert_eq!(addresses, [0, 1, 2, 5, 7]);
}

#[test]
fn system_calls_are_rewritten_for_kernels_that_would_take_them() {
    let elf = function(&[0x0f, 0x05, 0xc3]);
    assert_eq!(code_of(&elf), [0x0f, 0x05, 0xc3]);
    assert_eq!(rewritten(&elf).table.len(), 1);
    let plain = rewrite(&elf.bytes(), Platform::Pc64, KernelSupport::Plain).unwrap();
    assert_eq!(plain.bytes[64 + 56..][..3], [0x0f, 0x0b, 0xc3]);
    assert_eq!(plain.table, rewritten(&elf).table);
}

#[test]
fn immediates_that_look_like_instructions_stay() {
    // mov eax, 0xcf48a20f; ret
    let code = [0xb8, 0x0f, 0xa2, 0x48, 0xcf, 0xc3];
    assert_eq!(code_of(&function(&code)), code);
}

#[test]
fn code_behind_an_indirect_jump_counts_by_its_function() {
    // jmp rax; mov ds, ax; ret
    let code = [0xff, 0xe0, 0x8e, 0xd8, 0xc3];
    assert_eq!(code_of(&function(&code))[2..4], [0xcd, 0x9e]);
    let [doubt] = &doubts(&image(&code))[..] else { panic!("one place is in doubt") };
    assert_eq!(
        doubt,
        "`mov ds, ax` at 0x200002 (nothing leads here, and no function symbol covers it)"
    );
}

#[test]
fn padding_behind_a_function_does_not_matter() {
    // jmp rax; mov ds, ax; ret, then multi-byte NOPs outside of the function
    let code = [0xff, 0xe0, 0x8e, 0xd8, 0xc3, 0x66, 0x90, 0x90];
    let elf = image(&code).symbol(FUNCTION, BASE, 5);
    assert_eq!(code_of(&elf)[2..4], [0xcd, 0x9e]);
}

#[test]
fn direct_jumps_are_followed_without_symbols() {
    // jmp +3; data; mov ds, ax; ret
    let code = [0xeb, 0x03, 0x06, 0x06, 0x06, 0x8e, 0xd8, 0xc3];
    assert_eq!(code_of(&image(&code))[5..7], [0xcd, 0x9e]);
}

#[test]
fn labels_count_if_only_instructions_follow() {
    // ret; mov ds, ax; ret
    let code = [0xc3, 0x8e, 0xd8, 0xc3];
    let elf = image(&code).symbol(LABEL, BASE + 1, 0);
    assert_eq!(code_of(&elf), [0xc3, 0xcd, 0x9e, 0xc3]);
    // ret; mov ds, ax; a byte that begins no instruction in 64-bit mode
    let elf = image(&[0xc3, 0x8e, 0xd8, 0x06]).symbol(LABEL, BASE + 1, 0);
    assert!(doubts(&elf)[0].ends_with("(the bytes around it are not all instructions)"));
}

#[test]
fn data_before_a_label_does_not_spoil_its_code() {
    // ret; data that decodes as a jump into: mov ds, ax; ret; then a byte that is none
    let data = [0xc3, 0x74, 0x01, 0x8e, 0xd8, 0xc3, 0x06];
    let elf = image(&data).symbol(LABEL, BASE + 1, 0).symbol(LABEL, BASE + 3, 0);
    assert_eq!(code_of(&elf)[3..5], [0xcd, 0x9e]);
}

#[test]
fn objects_are_data() {
    let code = [0xc3, 0x8e, 0xd8, 0xc3];
    let elf = image(&code).symbol(OBJECT, BASE + 1, 3);
    assert_eq!(code_of(&elf), code);
}

#[test]
fn bytes_with_a_second_use_are_refused() {
    // mov al, [rip-1], which reads the second byte of the next; mov ds, ax; ret
    let read = [0x8a, 0x05, 0x01, 0, 0, 0, 0x8e, 0xd8, 0xc3];
    let [doubt] = &doubts(&function(&read))[..] else { panic!("one place is in doubt") };
    assert!(doubt.contains("the instruction at 0x200000 uses it as data"), "{doubt}");

    // lea rax, [rip+1], the second byte of the next; mov ds, ax; ret
    let taken = [0x48, 0x8d, 0x05, 0x01, 0, 0, 0, 0x8e, 0xd8, 0xc3];
    assert!(doubts(&function(&taken))[0].contains("0x200000 refers to an address inside it"));

    // A pointer in data.
    let code = [0x8e, 0xd8, 0xc3];
    let pointer = (BASE + 1).to_le_bytes();
    let elf = function(&code).load(6, BASE + 0x1000, &pointer, 8);
    assert!(doubts(&elf)[0].contains("0x201000 refers"));
    let elf = function(&code).load(6, BASE + 0x1000, &BASE.to_le_bytes(), 8);
    assert_eq!(code_of(&elf)[..2], [0xcd, 0x9e], "its first byte is fine");
}

#[test]
fn a_branch_into_an_instruction_is_refused() {
    // je +1, over the prefix of: 66 mov ds, ax; ret
    let code = [0x74, 0x01, 0x66, 0x8e, 0xd8, 0xc3];
    assert!(doubts(&function(&code))[0].contains("another instruction shares bytes with it"));
    // The same into an instruction that traps anyway: it stays as it is.
    let code = [0x74, 0x01, 0x66, 0xe5, 0x60, 0xc3];
    assert_eq!(code_of(&function(&code)), code);
}

#[test]
fn bytes_of_the_file_that_are_loaded_twice_are_refused() {
    let code = [0x8e, 0xd8, 0xc3];
    let mut bytes = function(&code).load(5, BASE + 0x1000, &[0xc3; 3], 3).bytes();
    // Both segments take the first one's content; sections are behind, unchanged.
    let headers = (64 + 8..64 + 16, 64 + 56 + 8..64 + 56 + 16);
    let first: Vec<u8> = bytes[headers.0].to_vec();
    bytes[headers.1].copy_from_slice(&first);
    let refused = rewrite(&bytes, Platform::Pc64, KernelSupport::ExactSyscall);
    let Err(Problem::CodeOrData { places }) = refused else { panic!("{refused:?}") };
    assert!(places[0].contains("loaded at two addresses"), "{places:?}");
}

#[test]
fn code_for_a_pvh_loader_is_32_bit_code() {
    // 64-bit: ret. 32-bit: mov ds, eax; cpuid; hlt; jmp back. Decoded as 64-bit
    // code it would be full of silent instructions.
    let code = [0xc3, 0x8e, 0xd8, 0x0f, 0xa2, 0xf4, 0xeb, 0xf9];
    let entry = (BASE as u32 + 1).to_le_bytes();
    let elf = image(&code).symbol(LABEL, BASE + 1, 0);
    assert_ne!(code_of(&elf), code);
    assert_eq!(code_of(&elf.note(b"Xen", 18, &entry)), code);
}

#[test]
fn code_that_runs_at_its_physical_address_is_known_there_too() {
    let elf = function(&[0x8e, 0xd8, 0xc3]).with(|segment| segment.physical = 0x30_0000);
    let mut elf = elf;
    elf.entry = 0x30_0000;
    let addresses: Vec<_> = rewritten(&elf).table.iter().map(|entry| entry.rip).collect();
    assert_eq!(addresses, [BASE, 0x30_0000]);
}

#[test]
fn placing_brings_the_side_table_along() {
    let elf = function(&[0x8e, 0xd8, 0xc3]);
    let image = Image { name: "kernel", bytes: &elf.bytes() };
    let placed = |rewrite| {
        let options = Options { rewrite, ..Options::default() };
        let guest = place(&image, Platform::Pc64, &options).unwrap();
        assert_eq!(guest.violation(), None);
        let load = guest.loads.iter().find(|load| load.gpa.get() == BASE);
        (load.unwrap().bytes[..3].to_vec(), guest.rewrites.len())
    };
    assert_eq!(placed(false), (vec![0x8e, 0xd8, 0xc3], 0));
    assert_eq!(placed(true), (vec![0xcd, 0x9e, 0xc3], 1));
}

#[test]
fn inspection_tells_every_fate() {
    // cli; mov cr3, rax; rdtsc; xgetbv; int1; ret; then a doubt
    let code = [0xfa, 0x0f, 0x22, 0xd8, 0x0f, 0x31, 0x0f, 0x01, 0xd0, 0xf1, 0xc3, 0x8e, 0xd8];
    let inspection = inspected(&image(&code).symbol(FUNCTION, BASE, 11));
    let told: Vec<_> = inspection
        .findings
        .iter()
        .map(|finding| (finding.text.as_str(), finding.fate.to_string()))
        .collect();
    let doubt = "in doubt: nothing leads here, and no function symbol covers it";
    assert_eq!(
        told,
        [
            ("cli", "traps, #GP, known by address".to_owned()),
            ("mov cr3, rax", "rewritten to int 0x9e".to_owned()),
            ("rdtsc", "runs natively: the machine's time-stamp counter".to_owned()),
            ("xgetbv", "raises #UD".to_owned()),
            ("int1", "raises its exception".to_owned()),
            ("mov ds, ax", doubt.to_owned()),
        ]
    );
    assert!(inspection.in_doubt());
    assert_eq!(inspection.findings[1].fate, Fate::Rewritten(Means::Interrupt));
    assert_eq!(inspection.findings[1].symbol, Some(("a".to_owned(), 1)));
}

#[test]
fn a_refusal_lists_places_and_says_what_to_do() {
    let code = [&[0xc3][..], &[0x8e, 0xd8].repeat(10)].concat();
    let image = Image { name: "kernel", bytes: &image(&code).bytes() };
    let options = Options { rewrite: true, ..Options::default() };
    let refused = place(&image, Platform::Pc64, &options).unwrap_err().to_string();
    assert!(refused.contains("at 10 places"), "{refused}");
    assert!(refused.contains("`mov ds, ax` at 0x200001"), "{refused}");
    assert!(refused.contains("and 6 more"), "{refused}");
    assert!(refused.contains("rewrite = false"), "{refused}");
}
