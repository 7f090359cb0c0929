/*
 * Leaving TDX behind before the machine is reset. See module.h. Lines that the module or a TD wrote under its key may be in any
 * CPU's caches; written back after a reset, under keys that are gone, they would spoil memory. The module itself is not shut
 * down: it has no leaf for that which a VMM could use without another module to hand over to.
 */
#include "tdx/module_internal.h"

#include <stdatomic.h>

#include "lib/hw/cpu.h"

static void stop_here(void *arg)
{
    _Atomic unsigned *cpus = arg;

    cpu_flush_all();
    if (tdx_module_vmx_is_on())
        tdx_module_vmx_off();
    (*cpus)++;
}

enum err tdx_module_stop(unsigned *cpus)
{
    _Atomic unsigned stopped = 0;
    enum err e = tdx_on_each_cpu(stop_here, &stopped);

    tdx_module.ready = false;
    *cpus = stopped;
    return e;
}
