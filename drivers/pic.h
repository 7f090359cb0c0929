/* The two 8259 of a PC, which nobody uses here. Intel 8259A data sheet, "Initialization command words". */
#ifndef DRIVERS_PIC_H
#define DRIVERS_PIC_H

/* All of their interrupts are masked. What comes all the same (a spurious IRQ 7 or 15) comes as vector 30h to 3Fh, where it is
 * nobody's, and not as the exception that the firmware's choice may have it look like. */
void pic_silence(void);

#endif
