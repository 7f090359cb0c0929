/* Port I/O and registers in memory, on the machine. See io.h. */
#include "drivers/hw/io.h"

#include "lib/hw/cpu.h"

u8 io_in8(u16 port)
{
    u8 value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

u16 io_in16(u16 port)
{
    u16 value;
    __asm__ volatile("inw %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

u32 io_in32(u16 port)
{
    u32 value;
    __asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

void io_out8(u16 port, u8 value)
{
    __asm__ volatile("outb %0, %1" ::"a"(value), "Nd"(port) : "memory");
}

void io_out16(u16 port, u16 value)
{
    __asm__ volatile("outw %0, %1" ::"a"(value), "Nd"(port) : "memory");
}

void io_out32(u16 port, u32 value)
{
    __asm__ volatile("outl %0, %1" ::"a"(value), "Nd"(port) : "memory");
}

/* One plain MOV each, of a form that an emulator of MMIO decodes without trouble. */
u8 mmio_read8(hpa_t at)
{
    u8 value;
    __asm__ volatile("movb (%1), %0" : "=q"(value) : "r"(phys_ptr(at)) : "memory");
    return value;
}

u32 mmio_read32(hpa_t at)
{
    u32 value;
    __asm__ volatile("movl (%1), %0" : "=r"(value) : "r"(phys_ptr(at)) : "memory");
    return value;
}

void mmio_write32(hpa_t at, u32 value)
{
    __asm__ volatile("movl %0, (%1)" ::"r"(value), "r"(phys_ptr(at)) : "memory");
}

void mmio_write8(hpa_t at, u8 value)
{
    __asm__ volatile("movb %0, (%1)" ::"q"(value), "r"(phys_ptr(at)) : "memory");
}
