/* The ACPI tables. See acpi.h. */
#include "guest/shim/acpi.h"

#include "guest/lib/runtime.h"
#include "guest/shim/aml.h"
#include "guest/shim/machine.h"

#define OEM_ID       "SEPTUM"
#define OEM_TABLE_ID "TDSHIM  "
#define ALIGN        16u

struct rsdp {
    char signature[8];
    uint8_t checksum;
    char oem_id[6];
    uint8_t revision;
    uint32_t rsdt, bytes;
    uint64_t xsdt;
    uint8_t extended_checksum, reserved[3];
} __attribute__((packed));
_Static_assert(sizeof(struct rsdp) == 36, "ACPI 6.5, section 5.2.5.3");

struct table {
    char signature[4];
    uint32_t bytes;
    uint8_t revision, checksum;
    char oem_id[6], oem_table_id[8];
    uint32_t oem_revision;
    char creator_id[4];
    uint32_t creator_revision;
} __attribute__((packed));
_Static_assert(sizeof(struct table) == 36, "ACPI 6.5, section 5.2.6");

struct xsdt {
    struct table table;
    uint64_t fadt, madt;
} __attribute__((packed));

/* Generic address of a register of one byte at an I/O port. */
struct gas {
    uint8_t space, bits, offset, access;
    uint64_t address;
} __attribute__((packed));
#define PORT(at)                                                                                                       \
    {                                                                                                                  \
        .space = 1, .bits = 8, .access = 1, .address = (at)                                                            \
    }

struct fadt {
    struct table table;
    uint32_t facs, dsdt;
    uint8_t reserved_44, profile;
    uint8_t fixed_46[109 - 46]; /* registers that hardware-reduced ACPI has not */
    uint16_t boot_arch;
    uint8_t reserved_111;
    uint32_t flags;
    struct gas reset;
    uint8_t reset_value;
    uint16_t arm_boot_arch;
    uint8_t minor;
    uint64_t x_facs, x_dsdt;
    uint8_t fixed_148[244 - 148];
    struct gas sleep_control, sleep_status;
    uint64_t hypervisor;
} __attribute__((packed));
_Static_assert(__builtin_offsetof(struct fadt, flags) == 112, "ACPI 6.5, section 5.2.9");
_Static_assert(__builtin_offsetof(struct fadt, x_dsdt) == 140, "ACPI 6.5, section 5.2.9");
_Static_assert(sizeof(struct fadt) == 276, "ACPI 6.5, section 5.2.9");

#define FADT_REVISION  6
#define FADT_MINOR     5
#define PROFILE_SERVER 4
#define BOOT_NO_VGA    (1u << 2)
#define BOOT_NO_RTC    (1u << 5)
#define FLAG_WBINVD    (1u << 0)
#define FLAG_PROC_C1   (1u << 2)
#define FLAG_NO_POWER  (1u << 4) /* button as a fixed feature */
#define FLAG_NO_SLEEP  (1u << 5)
#define FLAG_RESET     (1u << 10)
#define FLAG_REDUCED   (1u << 20)

struct madt {
    struct table table;
    uint32_t lapic, flags;
} __attribute__((packed));

struct madt_ioapic {
    uint8_t type, bytes, id, reserved;
    uint32_t address, first_gsi;
} __attribute__((packed));

struct madt_x2apic {
    uint8_t type, bytes;
    uint16_t reserved;
    uint32_t id, flags, uid;
} __attribute__((packed));
_Static_assert(sizeof(struct madt_x2apic) == 16, "ACPI 6.5, section 5.2.12.12");

struct madt_wakeup {
    uint8_t type, bytes;
    uint16_t version;
    uint32_t reserved;
    uint64_t mailbox, reset_vector;
} __attribute__((packed));
_Static_assert(sizeof(struct madt_wakeup) == 24, "ACPI 6.6, section 5.2.12.19");

enum { MADT_IOAPIC = 1, MADT_X2APIC = 9, MADT_WAKEUP = 16 };
#define MADT_REVISION  5
#define WAKEUP_VERSION 1 /* with a reset vector, and a command that asks whether a vCPU is there */
#define CPU_ENABLED    1

/* Where the next table goes. */
struct writer {
    uint8_t *room;
    uint64_t address;
    uint32_t used;
};

static uint64_t address_of(const struct writer *w, const void *object)
{
    return w->address + (uint64_t)((const uint8_t *)object - w->room);
}

static uint8_t checksum(const void *bytes, uint32_t count)
{
    uint8_t sum = 0;
    for (uint32_t i = 0; i < count; i++) {
        sum = (uint8_t)(sum + ((const uint8_t *)bytes)[i]);
    }
    return (uint8_t)-sum;
}

static void *begin(struct writer *w, const char *signature, uint8_t revision)
{
    w->used = (w->used + ALIGN - 1) & -ALIGN;
    struct table *t = (struct table *)(w->room + w->used);
    memcpy(t->signature, signature, sizeof(t->signature));
    t->revision = revision;
    memcpy(t->oem_id, OEM_ID, sizeof(t->oem_id));
    memcpy(t->oem_table_id, OEM_TABLE_ID, sizeof(t->oem_table_id));
    t->oem_revision = 1;
    memcpy(t->creator_id, OEM_ID, sizeof(t->creator_id));
    t->creator_revision = 1;
    return t;
}

static uint64_t end(struct writer *w, void *table, uint32_t bytes)
{
    struct table *t = table;
    t->bytes = bytes;
    t->checksum = checksum(t, bytes);
    w->used += bytes;
    return address_of(w, t);
}

/* --- DSDT --- */

/* I/O ports and interrupt of the UART: ACPI 6.5, sections 6.4.2.5, 6.4.3.6 and 6.4.2.9. */
static const uint8_t uart_resources[] = {
    0x47,
    1,
    MACHINE_UART_PORT & 0xff,
    MACHINE_UART_PORT >> 8,
    MACHINE_UART_PORT & 0xff,
    MACHINE_UART_PORT >> 8,
    1,
    MACHINE_UART_PORTS,
    0x89,
    6,
    0,
    3,
    1,
    MACHINE_UART_GSI,
    0,
    0,
    0, /* 6 bytes: consumer, edge, high; one interrupt */
    0x79,
    0,
};

static void add_uart(struct aml *aml)
{
    struct aml_mark scope = aml_begin_scope(aml, "_SB");
    struct aml_mark device = aml_begin_device(aml, "COM1");
    aml_name(aml, "_HID");
    aml_eisa_id(aml, "PNP0501");
    aml_name(aml, "_UID");
    aml_integer(aml, 1);
    aml_name(aml, "_CRS");
    aml_buffer(aml, uart_resources, sizeof(uart_resources));
    aml_end(aml, device);
    aml_end(aml, scope);
}

static void add_s5(struct aml *aml)
{
    aml_name(aml, "_S5");
    struct aml_mark package = aml_begin_package(aml, 4);
    aml_integer(aml, MACHINE_S5_TYPE);
    aml_integer(aml, 0);
    aml_integer(aml, 0);
    aml_integer(aml, 0);
    aml_end(aml, package);
}

static uint64_t add_dsdt(struct writer *w)
{
    struct table *t = begin(w, "DSDT", 2);
    struct aml aml = {.bytes = (uint8_t *)(t + 1), .room = ACPI_ROOM_BYTES - w->used - sizeof(*t)};
    add_s5(&aml);
    add_uart(&aml);
    return end(w, t, sizeof(*t) + aml.used);
}

/* --- the others --- */

static uint64_t add_fadt(struct writer *w, uint64_t dsdt)
{
    struct fadt *f = begin(w, "FACP", FADT_REVISION);
    f->profile = PROFILE_SERVER;
    f->boot_arch = BOOT_NO_VGA | BOOT_NO_RTC;
    f->flags = FLAG_WBINVD | FLAG_PROC_C1 | FLAG_NO_POWER | FLAG_NO_SLEEP | FLAG_RESET | FLAG_REDUCED;
    f->reset = (struct gas)PORT(MACHINE_RESET_PORT);
    f->reset_value = MACHINE_RESET_VALUE;
    f->minor = FADT_MINOR;
    f->dsdt = (uint32_t)dsdt;
    f->x_dsdt = dsdt;
    f->sleep_control = (struct gas)PORT(MACHINE_SLEEP_CONTROL_PORT);
    f->sleep_status = (struct gas)PORT(MACHINE_SLEEP_STATUS_PORT);
    return end(w, f, sizeof(*f));
}

static uint64_t add_madt(struct writer *w, uint32_t vcpus, const struct acpi_wakeup *wakeup)
{
    struct madt *m = begin(w, "APIC", MADT_REVISION);
    m->lapic = (uint32_t)MACHINE_LAPIC_GPA;
    struct madt_ioapic *io = (struct madt_ioapic *)(m + 1);
    *io = (struct madt_ioapic){MADT_IOAPIC, sizeof(*io), MACHINE_IOAPIC_ID, 0, (uint32_t)MACHINE_IOAPIC_GPA, 0};
    struct madt_x2apic *cpu = (struct madt_x2apic *)(io + 1);
    for (uint32_t i = 0; i < vcpus; i++) {
        *cpu++ = (struct madt_x2apic){MADT_X2APIC, sizeof(*cpu), 0, i, CPU_ENABLED, i};
    }
    struct madt_wakeup *last = (struct madt_wakeup *)cpu;
    *last = (struct madt_wakeup){MADT_WAKEUP, sizeof(*last), WAKEUP_VERSION, 0, wakeup->mailbox, wakeup->reset_vector};
    return end(w, m, (uint32_t)((uint8_t *)(last + 1) - (uint8_t *)m));
}

static uint64_t add_rsdp(struct writer *w, uint64_t xsdt)
{
    w->used = (w->used + ALIGN - 1) & -ALIGN;
    struct rsdp *r = (struct rsdp *)(w->room + w->used);
    memcpy(r->signature, "RSD PTR ", sizeof(r->signature));
    memcpy(r->oem_id, OEM_ID, sizeof(r->oem_id));
    r->revision = 2;
    r->bytes = sizeof(*r);
    r->xsdt = xsdt;
    r->checksum = checksum(r, __builtin_offsetof(struct rsdp, bytes));
    r->extended_checksum = checksum(r, sizeof(*r));
    w->used += sizeof(*r);
    return address_of(w, r);
}

uint64_t acpi_build(void *room, uint64_t address, uint32_t vcpus, const struct acpi_wakeup *wakeup)
{
    struct writer w = {.room = room, .address = address};
    uint64_t fadt = add_fadt(&w, add_dsdt(&w));
    uint64_t madt = add_madt(&w, vcpus, wakeup);
    struct xsdt *x = begin(&w, "XSDT", 1);
    x->fadt = fadt;
    x->madt = madt;
    return add_rsdp(&w, end(&w, x, sizeof(*x)));
}
