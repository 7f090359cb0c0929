/*
 * Options of septum.efi: words of its load options, or without those (or beside `check`) of \septum.cfg on the boot volume.
 *
 *   script=NAME   run this script from the boot volume before the console starts; a failing command powers off
 *   log=LEVEL     error, warn, info or debug
 *   tdmem=SIZE    at most this much memory becomes TDX memory: whole 4K pages, at least 16M
 *   serial=PORT   the console's serial line: com1 to com4, io,PORT, mmio,ADDRESS, mmio32,ADDRESS, each with ,BAUD behind; none
 *   module=PATH   a TDX module on the boot volume, for P-SEAMLDR to install where the firmware loaded none; its sigstruct lies
 *                 beside it, under the same name and `.sigstruct`
 *   rows=N        how many rows the terminal has: longer answers come a page at a time (kernel/console/pager.h)
 *   force         leave boot services also where the platform lacks what TDX needs, or a serial line
 *   check         say what a TDX host needs and what of it is missing, and go back to the firmware
 */
#ifndef KERNEL_OPTIONS_H
#define KERNEL_OPTIONS_H

#include "drivers/serial.h"
#include "kernel/log_level.h"

#define OPTION_NAME_BYTES 64

struct options {
    char script[OPTION_NAME_BYTES]; /* empty: none */
    char module[OPTION_NAME_BYTES]; /* the same */
    enum log_level log;
    u64 tdmem_bytes;           /* 0: no limit */
    struct serial_port serial; /* base 0: none */
    bool has_serial;           /* it was said */
    unsigned rows;             /* 0: answers come at once */
    bool force, check;
};

/* 0, or a number of rows that has room for a page. */
#define OPTIONS_ROWS "0, or 3 to 1000"
bool options_are_rows(u64 rows);

void options_default(struct options *o);

/* Applies the words of `text` (lines, `#` comments) to `o`. False: `error` says which word is wrong, and of several lines in which
 * one; `o` is partly changed. */
bool options_parse(const char *text, size_t bytes, struct options *o, char *error, size_t error_bytes);

#endif
