/* AML encoders. See aml.h. */
#include "guest/shim/aml.h"

#define BYTE_PREFIX  0x0a
#define WORD_PREFIX  0x0b
#define DWORD_PREFIX 0x0c
#define NAME_OP      0x08
#define SCOPE_OP     0x10
#define BUFFER_OP    0x11
#define PACKAGE_OP   0x12
#define EXT_PREFIX   0x5b
#define DEVICE_OP    0x82
#define ROOT_CHAR    '\\'

#define SEGMENT_BYTES 4u
/* PkgLength in two bytes, always: 4 bits in the first, which says that one follows, 8 in the second. */
#define LENGTH_BYTES  2u
#define LENGTH_FOLLOW 0x40

static void put_byte(struct aml *aml, uint8_t byte)
{
    if (aml->used < aml->room) {
        aml->bytes[aml->used] = byte;
    }
    aml->used++;
}

void aml_put(struct aml *aml, const void *bytes, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        put_byte(aml, ((const uint8_t *)bytes)[i]);
    }
}

static void put_segment(struct aml *aml, const char *name)
{
    for (uint32_t i = 0; i < SEGMENT_BYTES; i++) {
        put_byte(aml, *name ? (uint8_t)*name++ : '_');
    }
}

void aml_name(struct aml *aml, const char *name)
{
    put_byte(aml, NAME_OP);
    put_segment(aml, name);
}

void aml_integer(struct aml *aml, uint64_t value)
{
    uint32_t bytes = value <= 0xff ? 1 : value <= 0xffff ? 2 : 4;
    put_byte(aml, bytes == 1 ? BYTE_PREFIX : bytes == 2 ? WORD_PREFIX : DWORD_PREFIX);
    aml_put(aml, &value, bytes);
}

static uint32_t hex_digit(char c)
{
    return (uint32_t)(c <= '9' ? c - '0' : c - 'A' + 10);
}

/* Three letters of five bits, four digits of four, the highest byte first. ACPI 6.5, EISAID. */
void aml_eisa_id(struct aml *aml, const char *id)
{
    uint32_t value = 0;
    for (uint32_t i = 0; i < 3; i++) {
        value = value << 5 | (uint32_t)(id[i] - '@');
    }
    for (uint32_t i = 3; i < 7; i++) {
        value = value << 4 | hex_digit(id[i]);
    }
    put_byte(aml, DWORD_PREFIX);
    for (int shift = 24; shift >= 0; shift -= 8) {
        put_byte(aml, (uint8_t)(value >> shift));
    }
}

static struct aml_mark put_length(struct aml *aml)
{
    struct aml_mark mark = {aml->used};
    put_byte(aml, LENGTH_FOLLOW);
    put_byte(aml, 0);
    return mark;
}

struct aml_mark aml_begin_package(struct aml *aml, uint8_t elements)
{
    put_byte(aml, PACKAGE_OP);
    struct aml_mark mark = put_length(aml);
    put_byte(aml, elements);
    return mark;
}

struct aml_mark aml_begin_scope(struct aml *aml, const char *name)
{
    put_byte(aml, SCOPE_OP);
    struct aml_mark mark = put_length(aml);
    put_byte(aml, ROOT_CHAR);
    put_segment(aml, name);
    return mark;
}

struct aml_mark aml_begin_device(struct aml *aml, const char *name)
{
    put_byte(aml, EXT_PREFIX);
    put_byte(aml, DEVICE_OP);
    struct aml_mark mark = put_length(aml);
    put_segment(aml, name);
    return mark;
}

/* The length counts its own bytes. */
void aml_end(struct aml *aml, struct aml_mark mark)
{
    uint32_t length = aml->used - mark.at;
    if (mark.at + LENGTH_BYTES <= aml->room) {
        aml->bytes[mark.at] = (uint8_t)(LENGTH_FOLLOW | (length & 0xf));
        aml->bytes[mark.at + 1] = (uint8_t)(length >> 4);
    }
}

void aml_buffer(struct aml *aml, const void *bytes, uint8_t count)
{
    put_byte(aml, BUFFER_OP);
    struct aml_mark mark = put_length(aml);
    aml_integer(aml, count);
    aml_put(aml, bytes, count);
    aml_end(aml, mark);
}
