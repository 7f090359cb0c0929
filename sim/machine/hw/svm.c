/* Turning SVM on. APM vol. 2, section 15.4. */
#include "sim/machine/hw/svm.h"
#include "sim/machine/hw/cpu.h"

#define MSR_EFER     0xc0000080
#define MSR_HSAVE_PA 0xc0010117
#define EFER_NXE     (1ull << 11)

void svm_enable(void *host_save)
{
    cpu_wrmsr(MSR_EFER, cpu_rdmsr(MSR_EFER) | EFER_SVME | EFER_NXE);
    cpu_wrmsr(MSR_HSAVE_PA, (u64)host_save);
    svm_clgi();
}
