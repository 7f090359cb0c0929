/*
 * AML as far as a DSDT of constants needs it: names, integers, packages, buffers, scopes and devices. ACPI 6.5, section 20.2. Each
 * function appends to what is there; what has a length begins with aml_begin_... and ends with aml_end().
 */
#ifndef GUEST_SHIM_AML_H
#define GUEST_SHIM_AML_H

#include <stdint.h>

struct aml {
    uint8_t *bytes;
    uint32_t used, room; /* what does not fit is left out, and `used` is then above `room` */
};

/* A place in `aml` where a length is to be written. */
struct aml_mark {
    uint32_t at;
};

void aml_put(struct aml *aml, const void *bytes, uint32_t count);
/* NameOp and a name of one segment, which is padded with '_': what follows is its value. */
void aml_name(struct aml *aml, const char *name);
void aml_integer(struct aml *aml, uint64_t value);
/* "PNP0501" and the like, as the integer that stands for it. */
void aml_eisa_id(struct aml *aml, const char *id);

struct aml_mark aml_begin_package(struct aml *aml, uint8_t elements);
struct aml_mark aml_begin_scope(struct aml *aml, const char *name); /* below the root: \name */
struct aml_mark aml_begin_device(struct aml *aml, const char *name);
void aml_end(struct aml *aml, struct aml_mark mark);
void aml_buffer(struct aml *aml, const void *bytes, uint8_t count);

#endif
