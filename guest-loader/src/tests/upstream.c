/*
 * Runs the loading part of Solo5's own hvt tender on an image and writes what
 * it put into guest memory to standard output, for comparison.
 *
 * usage: upstream IMAGE MEMORY_BYTES [ARGUMENT...]
 *
 * Output: the entry point and the number of protected ranges; each range as
 * start, end, flags; then each page that is not all zero as its address and
 * content. All words are 64 bits, little endian. Exit status 0: loaded.
 */

#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/elf.c"
#undef SOLO5_NOTE_NAME
#include "common/mft.c"
#include "hvt/hvt_boot_info.c"
#include "hvt/hvt_cpu_x86_64.c"

#define RANGES 128
static uint64_t ranges[RANGES][3];
static uint64_t range_count;

static int protect(void *arg, uint64_t start, uint64_t end, int prot)
{
    (void)arg;
    if (range_count == RANGES)
        return -1;
    ranges[range_count][0] = start;
    ranges[range_count][1] = end;
    ranges[range_count][2] = prot;
    range_count++;
    return 0;
}

static void word(uint64_t value)
{
    fwrite(&value, sizeof value, 1, stdout);
}

/* The checks of main() in hvt_main.c, in its order. */
static void load(struct hvt *hvt, const char *name, int argc, char **argv)
{
    int fd = open(name, O_RDONLY);
    if (fd == -1)
        err(2, "%s", name);

    struct abi1_info *abi;
    size_t abi_size, mft_size;
    struct mft *mft;
    if (elf_load_note(fd, name, ABI1_NOTE_TYPE, ABI1_NOTE_ALIGN,
                ABI1_NOTE_MAX_SIZE, (void **)&abi, &abi_size) == -1)
        errx(1, "no ABI1 note");
    if (abi->abi_target != HVT_ABI_TARGET || abi->abi_version != HVT_ABI_VERSION)
        errx(1, "wrong target or version");
    if (elf_load_note(fd, name, MFT1_NOTE_TYPE, MFT1_NOTE_ALIGN,
                MFT1_NOTE_MAX_SIZE, (void **)&mft, &mft_size) == -1)
        errx(1, "no MFT1 note");
    if (mft_validate(mft, mft_size) == -1)
        errx(1, "invalid manifest");

    uint64_t entry, end;
    elf_load(fd, name, hvt->mem, hvt->mem_size, HVT_GUEST_MIN_BASE, protect,
            NULL, &entry, &end);
    for (unsigned i = 0; i != mft->entries; i++)
        if (mft->e[i].type < MFT_RESERVED_FIRST && !mft->e[i].attached)
            errx(1, "a device is not attached");

    hvt_x86_setup_gdt(hvt->mem);
    hvt_x86_setup_pagetables(hvt->mem, hvt->mem_size);
    hvt_boot_info_init(hvt, end, argc, argv, mft, mft_size);
    word(entry);
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    struct hvt hvt = {
        .mem_size = strtoull(argv[2], NULL, 10),
        .cpu_cycle_freq = 1,
        .cpu_boot_info_base = X86_BOOT_INFO_BASE,
    };
    hvt.mem = calloc(1, hvt.mem_size);
    load(&hvt, argv[1], argc - 3, argv + 3);
    word(range_count);
    for (uint64_t i = 0; i < range_count; i++)
        for (int part = 0; part < 3; part++)
            word(ranges[i][part]);
    static const uint8_t zero[4096];
    for (uint64_t gpa = 0; gpa < hvt.mem_size; gpa += 4096) {
        if (memcmp(hvt.mem + gpa, zero, 4096) != 0) {
            word(gpa);
            fwrite(hvt.mem + gpa, 4096, 1, stdout);
        }
    }
    return 0;
}
