/* PCI devices that the firmware placed where the simulated CPU has its KeyID bits. */
#ifndef SIM_MACHINE_PCI_H
#define SIM_MACHINE_PCI_H

/* Reports each such window to platform_add_device_window(). Interrupts are off: a device's decoding is off for a moment. */
void pci_find_high_windows(void);

#endif
