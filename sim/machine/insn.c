/* Instruction length and memory operands: see insn.h. */
#include "sim/machine/insn.h"

/*
 * What follows an opcode, one character each:
 * .  nothing        m  ModRM             M  ModRM, imm8        Z  ModRM, immz       3  ModRM, imm8 if reg is 0 or 1
 * b  imm8           w  imm16             z  immz               v  immz or imm64     4  ModRM, immz if reg is 0 or 1
 * e  imm16, imm8    o  address           f  far pointer        j  branch distance   p  prefix or escape
 */
/* clang-format off */
static const char one_byte_map[] =
    "mmmmbz.." "mmmmbz.p" "mmmmbz.." "mmmmbz.." "mmmmbzp." "mmmmbzp." "mmmmbzp." "mmmmbzp." /* 00 */
    "........" "........" "........" "........" "..mmpppp" "zZbM...." "bbbbbbbb" "bbbbbbbb" /* 40 */
    "MZMMmmmm" "mmmmmmmm" "........" "..f....." "oooo...." "bz......" "bbbbbbbb" "vvvvvvvv" /* 80 */
    "MMw.mmMZ" "e.w..b.." "mmmmbb.." "mmmmmmmm" "bbbbbbbb" "jjfb...." "p.pp..34" "......mm";/* C0 */
static const char map_0f[] =
    "mmmm...." ".....m.M" "mmmmmmmm" "mmmmmmmm" "mmmmmmmm" "mmmmmmmm" "........" "p.p....." /* 00 */
    "mmmmmmmm" "mmmmmmmm" "mmmmmmmm" "mmmmmmmm" "mmmmmmmm" "mmmmmmmm" "MMMMmmm." "mmmmmmmm" /* 40 */
    "jjjjjjjj" "jjjjjjjj" "mmmmmmmm" "mmmmmmmm" "...mMm.." "...mMmmm" "mmmmmmmm" "mmMmmmmm" /* 80 */
    "mmMmMMMm" "........" "mmmmmmmm" "mmmmmmmm" "mmmmmmmm" "mmmmmmmm" "mmmmmmmm" "mmmmmmmm";/* C0 */
/* clang-format on */
_Static_assert(sizeof(one_byte_map) == 257 && sizeof(map_0f) == 257, "one character for each opcode");

struct cursor {
    const u8 *bytes;
    unsigned count, at;
    bool ended;
};

static u8 next(struct cursor *in)
{
    if (in->at >= in->count || in->at >= INSN_BYTES_MAX) {
        in->ended = true;
        return 0;
    }
    return in->bytes[in->at++];
}

static u64 number(struct cursor *in, unsigned bytes)
{
    u64 value = 0;
    for (unsigned i = 0; i < bytes; i++)
        value |= (u64)next(in) << (8 * i);
    return value;
}

static s64 sign_extend(u64 value, unsigned bytes)
{
    unsigned shift = 64 - 8 * bytes;
    return bytes ? (s64)(value << shift) >> shift : 0;
}

static unsigned address_bits(const struct insn *insn)
{
    if (insn->mode == INSN_64)
        return insn->addrsize ? 32 : 64;
    return (insn->mode == INSN_32) != insn->addrsize ? 32 : 16;
}

/* Bytes of an "immz": the operand size, but 4 where that is 8. */
static unsigned immz_bytes(const struct insn *insn)
{
    if (insn->rex & 8)
        return 4;
    return (insn->mode == INSN_16) == insn->opsize ? 4 : 2;
}

/* --- prefixes
 * ---------------------------------------------------------------------------------------------------------- */

static bool legacy_prefix(struct insn *insn, u8 byte)
{
    static const u8 segment_bytes[INSN_SEGMENTS] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65};

    for (unsigned i = 0; i < INSN_SEGMENTS; i++) {
        if (byte == segment_bytes[i]) {
            insn->segment = i;
            return true;
        }
    }
    switch (byte) {
    case 0x66:
        insn->opsize = true;
        return true;
    case 0x67:
        insn->addrsize = true;
        return true;
    case 0xf0:
        insn->lock = true;
        return true;
    case 0xf2:
    case 0xf3:
        insn->rep = byte;
        return true;
    default:
        return false;
    }
}

/* Sets what VEX and EVEX carry in their mandatory-prefix field. */
static void set_pp(struct insn *insn, unsigned pp)
{
    insn->opsize = pp == 1;
    insn->rep = pp == 2 ? 0xf3 : pp == 3 ? 0xf2 : 0;
}

static enum insn_map map_number(unsigned mmm)
{
    return mmm == 1 ? MAP_0F : mmm == 3 ? MAP_0F3A : MAP_0F38; /* EVEX maps 5 and 6 have the format of 0F38 */
}

/* C4, C5 or 62 was read. In 64-bit mode, or with a register form behind it, it begins VEX or EVEX, else LES, LDS,
 * BOUND. */
static bool vex_prefix(struct insn *insn, struct cursor *in, u8 byte)
{
    u8 a, b = 0;

    if (insn->mode != INSN_64 && (in->at >= in->count || in->bytes[in->at] < 0xc0))
        return false;
    insn->vex = true;
    insn->evex = byte == 0x62;
    a = next(in);
    insn->rex = (a & 0x80) ? 0 : 4; /* R, inverted */
    insn->map = MAP_0F;
    if (byte == 0xc5) {
        set_pp(insn, a & 3);
        return true;
    }
    b = next(in);
    insn->rex |= ((a & 0x40) ? 0 : 2) | ((a & 0x20) ? 0 : 1) | (b >> 4 & 8);
    insn->map = map_number(a & (insn->evex ? 7 : 31));
    set_pp(insn, b & 3);
    if (insn->evex)
        next(in);
    return true;
}

/* Reads prefixes and escapes up to and including the opcode. */
static void read_opcode(struct insn *insn, struct cursor *in)
{
    u8 byte = next(in);

    while (!in->ended && legacy_prefix(insn, byte))
        byte = next(in);
    if (insn->mode == INSN_64 && (byte & 0xf0) == 0x40) {
        insn->rex = byte & 15;
        byte = next(in);
    }
    if ((byte == 0xc4 || byte == 0xc5 || byte == 0x62) && vex_prefix(insn, in, byte)) {
        insn->opcode = next(in);
        return;
    }
    if (byte == 0x0f) {
        byte = next(in);
        insn->map = byte == 0x38 ? MAP_0F38 : byte == 0x3a ? MAP_0F3A : MAP_0F;
        if (insn->map != MAP_0F)
            byte = next(in);
    }
    insn->opcode = byte;
}

/* --- what follows the opcode
 * ------------------------------------------------------------------------------------------- */

static bool moves_control_register(const struct insn *insn)
{
    return insn->map == MAP_0F && !insn->vex && insn->opcode >= 0x20 && insn->opcode <= 0x23;
}

static unsigned displacement_bytes(const struct insn *insn)
{
    unsigned mod = insn->modrm >> 6, rm = insn->modrm & 7;

    if (address_bits(insn) == 16)
        return mod == 1 ? 1 : mod == 2 || rm == 6 ? 2 : 0;
    if (mod == 1)
        return 1;
    if (mod == 2 || rm == 5 || (insn->has_sib && (insn->sib & 7) == 5))
        return 4;
    return 0;
}

static void read_modrm(struct insn *insn, struct cursor *in)
{
    insn->has_modrm = true;
    insn->modrm = next(in);
    if (moves_control_register(insn))
        insn->modrm |= 0xc0; /* mod is ignored: always a register */
    if (insn->modrm >= 0xc0)
        return;
    if (address_bits(insn) != 16 && (insn->modrm & 7) == 4) {
        insn->has_sib = true;
        insn->sib = next(in);
    }
    insn->displacement_bytes = displacement_bytes(insn);
    insn->displacement = sign_extend(number(in, insn->displacement_bytes), insn->displacement_bytes);
}

static char format_of(const struct insn *insn)
{
    switch (insn->map) {
    case MAP_ONE:
        /* In 32-bit code these are LES, LDS and BOUND. */
        return insn->opcode == 0x62 || insn->opcode == 0xc4 || insn->opcode == 0xc5 ? 'm' : one_byte_map[insn->opcode];
    case MAP_0F:
        return map_0f[insn->opcode];
    case MAP_0F38:
        return 'm';
    default:
        return 'M';
    }
}

static unsigned branch_bytes(const struct insn *insn)
{
    return insn->mode == INSN_64 ? 4 : immz_bytes(insn);
}

static void read_rest(struct insn *insn, struct cursor *in)
{
    char format = format_of(insn);
    bool group_immediate;

    if (format == 'm' || format == 'M' || format == 'Z' || format == '3' || format == '4')
        read_modrm(insn, in);
    group_immediate = (insn->modrm >> 3 & 7) < 2;
    if (format == 'b' || format == 'M' || (format == '3' && group_immediate))
        insn->immediate = number(in, 1);
    else if (format == 'z' || format == 'Z' || (format == '4' && group_immediate))
        insn->immediate = number(in, immz_bytes(insn));
    else if (format == 'w')
        insn->immediate = number(in, 2);
    else if (format == 'v')
        insn->immediate = number(in, insn->rex & 8 ? 8 : immz_bytes(insn));
    else if (format == 'e')
        insn->immediate = number(in, 3) & 0xffff;
    else if (format == 'j')
        insn->immediate = number(in, branch_bytes(insn));
    else if (format == 'f')
        insn->immediate = number(in, immz_bytes(insn) + 2);
    else if (format == 'o')
        insn->displacement = (s64)number(in, insn->displacement_bytes = address_bits(insn) / 8);
}

bool insn_decode(const u8 *bytes, unsigned count, enum insn_mode mode, struct insn *out)
{
    struct cursor in = {.bytes = bytes, .count = count};

    *out = (struct insn){.mode = mode, .segment = INSN_NO_SEGMENT};
    read_opcode(out, &in);
    read_rest(out, &in);
    out->length = in.at;
    return !in.ended;
}

/* --- addresses
 * --------------------------------------------------------------------------------------------------------- */

static u64 truncate(u64 value, unsigned bits)
{
    return bits == 64 ? value : value & ((1ull << bits) - 1);
}

static u64 linear_of(const struct insn *insn, const struct insn_registers *registers, u64 offset, unsigned segment)
{
    if (insn->segment != INSN_NO_SEGMENT)
        segment = insn->segment;
    offset = truncate(offset, address_bits(insn));
    if (insn->mode == INSN_64)
        return offset + (segment == SEG_FS || segment == SEG_GS ? registers->base[segment] : 0);
    return (u32)(offset + registers->base[segment]);
}

static u64 offset_16(const struct insn *insn, const u64 *gpr, unsigned *segment)
{
    enum { BX = 3, BP = 5, SI = 6, DI = 7, NONE = 16 };
    static const u8 base[8] = {BX, BX, BP, BP, NONE, NONE, BP, BX}, index[8] = {SI, DI, SI, DI, SI, DI, NONE, NONE};
    unsigned rm = insn->modrm & 7;
    u64 offset = insn->displacement;

    if (rm == 6 && insn->modrm < 0x40)
        return offset;
    if (base[rm] != NONE)
        offset += gpr[base[rm]];
    if (index[rm] != NONE)
        offset += gpr[index[rm]];
    if (base[rm] == BP)
        *segment = SEG_SS;
    return offset;
}

static u64 offset_sib(const struct insn *insn, const u64 *gpr, unsigned *segment)
{
    unsigned base = (insn->sib & 7) | (insn->rex & 1) << 3, index = (insn->sib >> 3 & 7) | (insn->rex & 2) << 2;
    u64 offset = insn->displacement;

    if ((insn->sib & 7) != 5 || insn->modrm >= 0x40) {
        offset += gpr[base];
        if (base == 4 || base == 5)
            *segment = SEG_SS;
    }
    if (index != 4)
        offset += gpr[index] << (insn->sib >> 6);
    return offset;
}

static u64 modrm_offset(const struct insn *insn, const struct insn_registers *registers, unsigned *segment)
{
    if (address_bits(insn) == 16)
        return offset_16(insn, registers->gpr, segment);
    if (insn->has_sib)
        return offset_sib(insn, registers->gpr, segment);
    if ((insn->modrm & 7) == 5 && insn->modrm < 0x40)
        return (u64)insn->displacement + (insn->mode == INSN_64 ? registers->rip + insn->length : 0);
    if (insn_rm(insn) == 5)
        *segment = SEG_SS;
    return registers->gpr[insn_rm(insn)] + (u64)insn->displacement;
}

bool insn_operand(const struct insn *insn, const struct insn_registers *registers, u64 *linear)
{
    unsigned segment = SEG_DS;
    u64 offset;

    if (!insn_rm_is_memory(insn))
        return false;
    offset = modrm_offset(insn, registers, &segment);
    *linear = linear_of(insn, registers, offset, segment);
    return true;
}

struct address_list {
    u64 *out;
    unsigned count;
};

static void add(struct address_list *list, u64 linear)
{
    if (list->count < INSN_ADDRESSES_MAX)
        list->out[list->count++] = linear;
}

/* Operands at rSI, rDI and rBX that the opcode implies. Destinations are always in ES. */
static void add_implied(const struct insn *insn, const struct insn_registers *registers, struct address_list *list)
{
    enum { RSI = 1, RDI = 2 };
    static const u8 strings[] = {[0xa4 - 0xa4] = RSI | RDI,
                                 [0xa6 - 0xa4] = RSI | RDI,
                                 [0xaa - 0xa4] = RDI,
                                 [0xac - 0xa4] = RSI,
                                 [0xae - 0xa4] = RDI};
    struct insn destination = *insn;
    unsigned operands = 0;
    u8 op = insn->opcode;

    if (insn->map != MAP_ONE)
        return;
    destination.segment = INSN_NO_SEGMENT;
    if (op >= 0xa4 && op <= 0xaf && op != 0xa8 && op != 0xa9)
        operands = strings[(op & ~1u) - 0xa4];
    else if (op >= 0x6c && op <= 0x6f)
        operands = op < 0x6e ? RDI : RSI;
    if (operands & RSI)
        add(list, linear_of(insn, registers, registers->gpr[6], SEG_DS));
    if (operands & RDI)
        add(list, linear_of(&destination, registers, registers->gpr[7], SEG_ES));
    if (op == 0xd7)
        add(list, linear_of(insn, registers, registers->gpr[3] + (registers->gpr[0] & 0xff), SEG_DS));
    if (op >= 0xa0 && op <= 0xa3)
        add(list, linear_of(insn, registers, (u64)insn->displacement, SEG_DS));
}

enum stack_use { STACK_NONE, STACK_PUSH, STACK_POP };

static enum stack_use stack_use(const struct insn *insn)
{
    u8 op = insn->opcode, reg = insn->modrm >> 3 & 7;

    if (insn->map == MAP_0F)
        return op == 0xa0 || op == 0xa8 ? STACK_PUSH : op == 0xa1 || op == 0xa9 ? STACK_POP : STACK_NONE;
    if (insn->map != MAP_ONE)
        return STACK_NONE;
    if ((op >= 0x50 && op <= 0x57) || op == 0x68 || op == 0x6a || op == 0x9c || op == 0xe8 || op == 0x9a ||
        op == 0xc8 || op == 0x60 || (op >= 0xcc && op <= 0xce) || (op == 0xff && (reg == 2 || reg == 3 || reg == 6)))
        return STACK_PUSH;
    if ((op >= 0x58 && op <= 0x5f) || op == 0x8f || op == 0x9d || op == 0xc2 || op == 0xc3 || op == 0xca ||
        op == 0xcb || op == 0xcf || op == 0x61)
        return STACK_POP;
    return STACK_NONE;
}

/* Stack accesses do not obey segment prefixes. LEAVE reads at rBP. */
static void add_stack(const struct insn *insn, const struct insn_registers *registers, struct address_list *list)
{
    struct insn stack = *insn;
    enum stack_use use = stack_use(insn);

    stack.segment = INSN_NO_SEGMENT;
    if (use == STACK_PUSH)
        add(list,
            linear_of(&stack, registers, registers->gpr[4] - (insn->mode == INSN_64 ? 8 : immz_bytes(insn)), SEG_SS));
    else if (use == STACK_POP)
        add(list, linear_of(&stack, registers, registers->gpr[4], SEG_SS));
    else if (insn->map == MAP_ONE && insn->opcode == 0xc9)
        add(list, linear_of(&stack, registers, registers->gpr[5], SEG_SS));
}

/* LEA and the long NOPs compute an address and leave it at that. */
static bool only_computes(const struct insn *insn)
{
    return (insn->map == MAP_ONE && insn->opcode == 0x8d) ||
           (insn->map == MAP_0F && !insn->vex && insn->opcode >= 0x18 && insn->opcode <= 0x1f);
}

unsigned insn_addresses(const struct insn *insn, const struct insn_registers *registers, u64 out[INSN_ADDRESSES_MAX])
{
    struct address_list list = {.out = out};
    struct insn destination = *insn;
    u64 linear;

    if (!only_computes(insn) && insn_operand(insn, registers, &linear))
        add(&list, linear);
    destination.segment = INSN_NO_SEGMENT;
    if (insn->map == MAP_0F38 && insn->opcode == 0xf8 && !insn->vex) /* MOVDIR64B, ENQCMD, ENQCMDS */
        add(&list, linear_of(&destination, registers, registers->gpr[insn_reg(insn)], SEG_ES));
    add_implied(insn, registers, &list);
    add_stack(insn, registers, &list);
    return list.count;
}
