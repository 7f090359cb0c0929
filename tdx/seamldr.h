/*
 * Installing a TDX module by P-SEAMLDR where the firmware loaded none. Intel TDX Loader (SEAMLDR) Interface Specification. A
 * module that runs already is never replaced, and P-SEAMLDR is never shut down.
 */
#ifndef TDX_SEAMLDR_H
#define TDX_SEAMLDR_H

#include "tdx/abi_seamldr.h"
#include "tdx/hw/seamcall.h"
#include "tdx/module.h"

#define SEAMLDR_EXCHANGE_BYTES (2 * PAGE_BYTES)

/* A module and its sigstruct as their files have them, page aligned. The pages stay as they are until the module is up. */
struct seamldr_files {
    hpa_t image, sigstruct;
    u64 image_bytes, sigstruct_bytes;
    hpa_t exchange; /* SEAMLDR_EXCHANGE_BYTES for what P-SEAMLDR reads and writes */
};

/* What one file of a module has at most: see tdx_seamldr_split(). */
#define SEAMLDR_FILE_BYTES_MAX ((1 + SEAMLDR_SIGSTRUCT_PAGES_MAX + SEAMLDR_IMAGE_PAGES_MAX) * PAGE_BYTES)

/*
 * Where the file that is there as the image joins module and sigstruct (TDX-BLOB): both from now on, each for itself. Another
 * file stays as it is, and no sigstruct is there. NULL, or what is wrong with a TDX-BLOB.
 */
MUST_CHECK const char *tdx_seamldr_split(struct seamldr_files *files);

/* Where it is NULL the files are fit to be installed; else what is wrong with them. They are remembered where they are fit. */
MUST_CHECK const char *tdx_seamldr_offer(const struct seamldr_files *files);

/* What P-SEAMLDR says of itself, by way of a page of the caller's. In VMX operation. SEAMCALL_VMFAILED: there is none, or another CPU
 * stays in it. */
MUST_CHECK enum seamcall_fault tdx_seamldr_info(hpa_t page, struct seamldr_info *info, u64 *status);

/* A module was offered, and P-SEAMLDR is there to install it. In VMX operation. */
bool tdx_seamldr_is_ready(void);

/* Where a module was offered and the firmware loaded none: SEAMLDR.INSTALL on every logical processor in turn, all of them in VMX
 * operation. The next try after a failure goes on with what was begun. */
MUST_CHECK struct tdx_init_fault tdx_seamldr_load(void);

/* The parameters page of fit files. */
void tdx_seamldr_fill(struct seamldr_params *params, const struct seamldr_files *files);

/* As if nothing had been offered. */
void tdx_seamldr_forget(void);

#endif
