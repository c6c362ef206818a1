/*
 * Solo5 unikernel that counts instructions of a hypercall: PUTS of one byte.
 *
 * Under `-icount shift=0` the time-stamp counter ticks once an instruction.
 * Umbriel's vmm gathers a guest's text until a line feed or 240 bytes, and the
 * lines here are shorter than that: so while counting, the console driver is
 * never reached, and what is counted is the way guest - server - vmm and back.
 *
 *     row solo5_puts iterations N instructions TOTAL
 *     bench done
 */
#include "solo5.h"

#define LINES 10
#define BYTES_IN_LINE 200

static uint64_t time_stamp(void)
{
    uint32_t low, high;

    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
    return (uint64_t)high << 32 | low;
}

static void put(const char *text)
{
    size_t length = 0;

    while (text[length])
        length++;
    solo5_console_write(text, length);
}

static void put_number(uint64_t number)
{
    char digits[20];
    size_t first = sizeof digits;

    do {
        digits[--first] = '0' + number % 10;
        number /= 10;
    } while (number);
    solo5_console_write(digits + first, sizeof digits - first);
}

int solo5_app_main(const struct solo5_start_info *start_info)
{
    uint64_t instructions = 0;

    (void)start_info;
    for (int line = 0; line <= LINES; line++) {
        uint64_t start = time_stamp();

        for (int byte = 0; byte < BYTES_IN_LINE; byte++)
            solo5_console_write(".", 1);
        if (line > 0) /* the first one warms up */
            instructions += time_stamp() - start;
        put("\n");
    }
    put("row solo5_puts iterations ");
    put_number(LINES * BYTES_IN_LINE);
    put(" instructions ");
    put_number(instructions);
    put("\nbench done\n");
    return SOLO5_EXIT_SUCCESS;
}
