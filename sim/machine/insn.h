/*
 * Length and memory operands of x86 instructions: what the machine needs where SVM gives no decode assists. SDM
 * volume 2, chapter "Instruction format" and the opcode maps. Pure logic, no memory access.
 *
 * Knows legacy prefixes, REX, VEX and EVEX, and the opcode maps 0F, 0F38 and 0F3A. It does not know which opcodes are
 * valid: it is asked about instructions that the CPU has decoded already. EVEX's scaled 8-bit displacements are not
 * scaled.
 */
#ifndef SIM_MACHINE_INSN_H
#define SIM_MACHINE_INSN_H

#include "sim/types.h"

#define INSN_BYTES_MAX 15

enum insn_mode { INSN_16 = 16, INSN_32 = 32, INSN_64 = 64 };
enum insn_map { MAP_ONE, MAP_0F, MAP_0F38, MAP_0F3A };

/* Segments by their number in the x86 encoding; INSN_NO_SEGMENT where no prefix names one. */
enum insn_segment { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, INSN_SEGMENTS, INSN_NO_SEGMENT = INSN_SEGMENTS };

struct insn {
    enum insn_mode mode;
    unsigned length;
    enum insn_map map;
    u8 opcode;
    u8 rep;                      /* F2, F3 or 0: the last of them */
    bool opsize, addrsize, lock; /* prefixes 66, 67, F0 */
    bool vex, evex;
    u8 rex; /* W R X B in bits 3:0, from REX, VEX or EVEX */
    enum insn_segment segment;
    bool has_modrm, has_sib;
    u8 modrm, sib;
    unsigned displacement_bytes;
    s64 displacement; /* also the address of the moffs forms (A0 to A3) */
    u64 immediate;    /* the first one; zero-extended */
};

/*
 * Decodes the instruction that begins at bytes[0]; false when `count` bytes do not hold all of it, or it is longer
 * than 15.
 */
bool insn_decode(const u8 *bytes, unsigned count, enum insn_mode mode, struct insn *out);

/* What an address depends on. In 64-bit mode only base[SEG_FS] and base[SEG_GS] count. */
struct insn_registers {
    u64 gpr[16];
    u64 rip;
    u64 base[INSN_SEGMENTS];
};

/* ModRM fields with REX bits: register operand, and register number where mod is 3. */
static inline unsigned insn_reg(const struct insn *insn)
{
    return (insn->modrm >> 3 & 7) | (insn->rex & 4) << 1;
}
static inline unsigned insn_rm(const struct insn *insn)
{
    return (insn->modrm & 7) | (insn->rex & 1) << 3;
}
static inline bool insn_rm_is_memory(const struct insn *insn)
{
    return insn->has_modrm && insn->modrm < 0xc0;
}

/* Linear address of the ModRM memory operand; false where there is none. */
bool insn_operand(const struct insn *insn, const struct insn_registers *registers, u64 *linear);

/*
 * Linear addresses at which the instruction accesses memory, apart from its own bytes: ModRM operand, string
 * operands, stack, absolute address. First bytes only, at most INSN_ADDRESSES_MAX; returns how many.
 */
#define INSN_ADDRESSES_MAX 4
unsigned insn_addresses(const struct insn *insn, const struct insn_registers *registers, u64 out[INSN_ADDRESSES_MAX]);

#endif
