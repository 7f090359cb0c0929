/* What this build calls itself. */
#ifndef KERNEL_VERSION_H
#define KERNEL_VERSION_H

#define SEPTUM_VERSION "0.1"

#endif
