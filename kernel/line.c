/* The console's serial line. See line.h. */
#include "kernel/line.h"

#include "drivers/acpi.h"
#include "drivers/pci.h"
#include "kernel/boot_info.h"
#include "kernel/console/parser.h"
#include "lib/log.h"
#include "lib/string.h"

#define WORDS_MAX  3u
#define WORD_BYTES 24u

/* --- the option --------------------------------------------------------------------------------------------------- */

/* Words between commas. 0: too many, or one too long. */
static unsigned cut(const char *text, char words[WORDS_MAX][WORD_BYTES])
{
    unsigned n = 0, used = 0;

    for (;; text++) {
        if (n == WORDS_MAX || used == WORD_BYTES)
            return 0;
        words[n][used++] = *text == ',' ? '\0' : *text;
        if (*text == '\0')
            return n + 1;
        if (*text == ',') {
            n++;
            used = 0;
        }
    }
}

static bool set_baud(const char *word, struct serial_port *p)
{
    u64 baud;

    if (!parse_decimal(word, &baud) || baud < SERIAL_BAUD_MIN || SERIAL_BAUD_MAX % baud != 0)
        return false;
    p->baud = (u32)baud;
    return true;
}

static bool parse_com(const char *word, struct serial_port *p)
{
    if (strlen(word) != 4 || strncmp(word, "com", 3) != 0 || word[3] < '1' || word[3] >= (char)('1' + SERIAL_COMS))
        return false;
    *p = serial_com[word[3] - '1'];
    return true;
}

/* The baud rate of what is no PC's port is the firmware's unless it is told. */
static bool parse_registers(const char *kind, const char *address, struct serial_port *p)
{
    bool is_wide = strcmp(kind, "mmio32") == 0;
    bool is_mmio = is_wide || strcmp(kind, "mmio") == 0;

    *p = (struct serial_port){.is_mmio = is_mmio, .stride = is_wide ? 4 : 1, .width = is_wide ? 4 : 1};
    if (!is_mmio && strcmp(kind, "io") != 0)
        return false;
    return parse_address(address, &p->base) && p->base != 0 &&
           p->base <= (is_mmio ? (1ull << 47) - PAGE_BYTES : 0xfff8);
}

bool line_parse(const char *text, struct serial_port *port)
{
    char words[WORDS_MAX][WORD_BYTES];
    unsigned n = cut(text, words), named = 1;
    struct serial_port p = {0};

    if (n == 1 && strcmp(words[0], "none") == 0) {
        *port = p;
        return true;
    }
    if (n >= 1 && !parse_com(words[0], &p)) {
        named = 2;
        if (n < named || !parse_registers(words[0], words[1], &p))
            return false;
    }
    if (n < 1 || n > named + 1 || (n == named + 1 && !set_baud(words[named], &p)))
        return false;
    *port = p;
    return true;
}

/* --- the choice --------------------------------------------------------------------------------------------------- */

bool line_is_low(const struct serial_port *p)
{
    return !p->is_mmio || p->base < 4 * GIB;
}

#define REGISTERS 8u

/* What is written to ordinary memory can be read there, as from a UART; and nobody would see it. */
static bool answers(const struct serial_port *p, const char *by)
{
    char name[SERIAL_NAME_BYTES];
    bool is_ram = p->is_mmio && boot_info_is_free((hpa_t){p->base}, REGISTERS * p->stride);

    if (p->base == 0)
        return false;
    if (!is_ram && (!line_is_low(p) || serial_is_there(p)))
        return true;
    log_msg(LOG_WARN, "%s names %s, %s", by, serial_name(p, name),
            is_ram ? "which is ordinary memory" : "where no 16550 answers");
    return false;
}

static const char *search(struct serial_port *port)
{
    static const char *const names[SERIAL_COMS] = {"COM1", "COM2", "COM3", "COM4"};

    for (unsigned i = 0; i < SERIAL_COMS; i++) {
        *port = serial_com[i];
        if (serial_is_there(port))
            return names[i];
    }
    *port = (struct serial_port){0};
    return pci_find_serial(port) ? "the PCI bus" : NULL;
}

const char *line_find(const struct serial_port *wanted, struct serial_port *port)
{
    if (wanted != NULL) {
        bool is_there = answers(wanted, "the option serial=");
        *port = is_there ? *wanted : (struct serial_port){0};
        return is_there ? "the option serial=" : NULL;
    }
    *port = acpi.spcr;
    if (answers(port, "the firmware's table SPCR"))
        return "the firmware's table SPCR";
    return search(port);
}
