/* The 8259. See pic.h. */
#include "drivers/pic.h"

#include "drivers/hw/io.h"

#define MASTER 0x20 /* command; data one above */
#define SLAVE  0xa0

#define ICW1_CASCADE_ICW4 0x11
#define VECTOR_MASTER     0x30 /* a multiple of 8 */
#define VECTOR_SLAVE      0x38
#define SLAVE_AT_IRQ      2
#define ICW4_8086         0x01
#define MASK_ALL          0xff

static void init(u16 port, u8 vector, u8 cascade)
{
    io_out8(port, ICW1_CASCADE_ICW4);
    io_out8(port + 1, vector);
    io_out8(port + 1, cascade);
    io_out8(port + 1, ICW4_8086);
    io_out8(port + 1, MASK_ALL);
}

void pic_silence(void)
{
    init(MASTER, VECTOR_MASTER, 1u << SLAVE_AT_IRQ);
    init(SLAVE, VECTOR_SLAVE, SLAVE_AT_IRQ);
}
