/*
 * MOVDIR64B for a CPU that has none, SDM vol. 2. A page is cleared by 64 of them in a loop; so that this does not cost 64 exits,
 * the loop's other instructions are interpreted too as long as they are simple: register arithmetic and jumps in 64-bit mode. The
 * first instruction that is not goes back to the CPU, which continues there. Bounded, so that interrupts wait little. Of the usual
 * loop, which only counts, all turns but the last within a page are done at once.
 *
 * Left out: a loop that overwrites its own code sees the change at the next exit only; permissions of the VMM's page tables are
 * not checked, presence is.
 */
#include "sim/machine/vmx.h"
#include "sim/machine/guard.h"
#include "sim/machine/memory.h"
#include "sim/machine/platform.h"

#define LINE         64
#define STEPS_MAX    4096
#define TURNS_A_STEP 4 /* of a whole loop: what they cost */
#define DECODED      32
#define VECTOR_PF    14
#define PF_WRITE     2
#define RFLAGS_CF    (1ull << 0)
#define RFLAGS_PF    (1ull << 2)
#define RFLAGS_AF    (1ull << 4)
#define RFLAGS_ZF    (1ull << 6)
#define RFLAGS_SF    (1ull << 7)
#define RFLAGS_TF    (1ull << 8)
#define RFLAGS_OF    (1ull << 11)
#define RFLAGS_ARITH (RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF)

/*
 * A loop around one MOVDIR64B, as learned in its first turn: every turn adds `step` to the registers, and the jump at its end is
 * taken until `counter` is zero, or until it reaches `limit`.
 */
#define BODY_MAX 8
enum loop_state { LOOP_NONE, LOOP_LEARNING, LOOP_KNOWN, LOOP_TOO_HARD };
struct loop {
    enum loop_state state;
    u64 head; /* RIP of the MOVDIR64B */
    struct insn body[BODY_MAX];
    unsigned count;
    u64 step[SEAM_GPRS];
    unsigned counter, limit;
    bool has_limit, exact; /* exact: until equal to the limit, not until no longer below it */
};

/* One run: instructions decoded so far, and the last translations. */
struct run {
    struct cpu *cpu;
    struct {
        u64 rip;
        struct insn insn;
    } decoded[DECODED];
    u64 from_linear, from_gpa, to_linear, to_gpa; /* page addresses; ~0 = none yet */
    struct loop loop;
};

static u64 load_gpr(struct cpu *cpu, unsigned n, bool wide)
{
    u64 value = *guest_gpr(cpu, n);
    return wide ? value : (u32)value;
}

static void store_gpr(struct cpu *cpu, unsigned n, u64 value, bool wide)
{
    *guest_gpr(cpu, n) = wide ? value : (u32)value;
}

static void set_flags(struct cpu *cpu, u64 flags)
{
    cpu->vmm->rflags = (cpu->vmm->rflags & ~RFLAGS_ARITH) | flags;
}

static u64 result_flags(u64 result, bool wide)
{
    u64 flags = __builtin_parity((u8)result) ? 0 : RFLAGS_PF;
    if (!(wide ? result : (u32)result))
        flags |= RFLAGS_ZF;
    if (result >> (wide ? 63 : 31) & 1)
        flags |= RFLAGS_SF;
    return flags;
}

/* ALU operations by their number in opcodes 00 to 3F and in group 1. */
enum alu { ALU_ADD, ALU_OR, ALU_ADC, ALU_SBB, ALU_AND, ALU_SUB, ALU_XOR, ALU_CMP };

static bool alu(struct cpu *cpu, enum alu op, u64 a, u64 b, bool wide, u64 *result)
{
    u64 r, flags = 0;
    unsigned top = wide ? 63 : 31;
    switch (op) {
    case ALU_ADD:
        r = a + b;
        flags |= (wide ? r < a : (r >> 32 & 1)) ? RFLAGS_CF : 0;
        flags |= (~(a ^ b) & (a ^ r)) >> top & 1 ? RFLAGS_OF : 0;
        flags |= (a ^ b ^ r) & 0x10 ? RFLAGS_AF : 0;
        break;
    case ALU_SUB:
    case ALU_CMP:
        r = a - b;
        flags |= a < b ? RFLAGS_CF : 0;
        flags |= ((a ^ b) & (a ^ r)) >> top & 1 ? RFLAGS_OF : 0;
        flags |= (a ^ b ^ r) & 0x10 ? RFLAGS_AF : 0;
        break;
    case ALU_AND:
        r = a & b;
        break;
    case ALU_OR:
        r = a | b;
        break;
    case ALU_XOR:
        r = a ^ b;
        break;
    default:
        return false;
    }
    set_flags(cpu, flags | result_flags(r, wide));
    *result = r;
    return true;
}

static void do_alu(struct cpu *cpu, enum alu op, unsigned to, u64 b, bool wide)
{
    u64 result;
    if (alu(cpu, op, load_gpr(cpu, to, wide), wide ? b : (u32)b, wide, &result) && op != ALU_CMP)
        store_gpr(cpu, to, result, wide);
}

/* INC and DEC leave CF alone. */
static void do_step(struct cpu *cpu, unsigned reg, bool down, bool wide)
{
    u64 carry = cpu->vmm->rflags & RFLAGS_CF;
    do_alu(cpu, down ? ALU_SUB : ALU_ADD, reg, 1, wide);
    cpu->vmm->rflags = (cpu->vmm->rflags & ~RFLAGS_CF) | carry;
}

/* Condition codes of Jcc: SDM vol. 1, appendix B. */
static bool condition(u64 flags, unsigned code)
{
    bool s = flags & RFLAGS_SF, o = flags & RFLAGS_OF, z = flags & RFLAGS_ZF, c = flags & RFLAGS_CF,
         p = flags & RFLAGS_PF;
    const bool holds[8] = {o, c, z, c || z, s, p, s != o, z || s != o};
    return holds[code >> 1] != (code & 1);
}

static s64 immediate(const struct insn *insn, unsigned bytes)
{
    return bytes == 1 ? (int8_t)insn->immediate : (int32_t)insn->immediate;
}

/* Page of memory behind a linear address, for reading or for writing; false after an event was injected. */
static bool page_of(struct run *run, u64 linear, bool write, u64 *gpa)
{
    u64 *cached_linear = write ? &run->to_linear : &run->from_linear;
    u64 *cached_gpa = write ? &run->to_gpa : &run->from_gpa;
    if (*cached_linear != linear >> 12) {
        if (!guest_translate(run->cpu, linear & ~0xfffull, cached_gpa)) {
            run->cpu->vmm->cr2 = linear;
            guest_inject_error(run->cpu, VECTOR_PF, write ? PF_WRITE : 0);
            return false;
        }
        *cached_linear = linear >> 12;
        if (!memory_is_ram(platform_strip_key(*cached_gpa)))
            *cached_gpa = ~0ull;
        else
            guard_touch(run->cpu, *cached_gpa | (linear & 0xfff), NPF_FINAL | NPF_USER | (write ? NPF_WRITE : 0));
    }
    *gpa = *cached_gpa == ~0ull ? ~0ull : *cached_gpa | (linear & 0xfff);
    return true;
}

/* Plain memory of the VMM's; anything else swallows writes and reads as ones. */
static u64 *plain(u64 gpa)
{
    u64 hpa = platform_strip_key(gpa);
    bool usable = gpa != ~0ull && !platform_is_private_key(gpa) && !guard_is_closed(hpa);
    return usable ? (u64 *)hpa : NULL;
}

static bool read_straddling(struct run *run, u64 from, u64 line[LINE / 8])
{
    if (guest_read(run->cpu, from, line, LINE))
        return true;
    run->cpu->vmm->cr2 = from;
    guest_inject_error(run->cpu, VECTOR_PF, 0);
    return false;
}

static bool read_line(struct run *run, u64 from, u64 line[LINE / 8])
{
    u64 gpa;
    if ((from & 0xfff) > 4096 - LINE)
        return read_straddling(run, from, line);
    if (!page_of(run, from, false, &gpa))
        return false;
    const u64 *source = plain(gpa);
    for (unsigned i = 0; i < LINE / 8; i++)
        line[i] = source ? source[i] : ~0ull;
    return true;
}

static bool movdir64b(struct run *run, const struct insn *insn)
{
    u64 from, to = *guest_gpr(run->cpu, insn_reg(insn)), line[LINE / 8], gpa;
    if (insn->addrsize)
        to = (u32)to;
    if (!guest_operand(run->cpu, insn, &from) || to & (LINE - 1)) {
        guest_inject_error(run->cpu, VECTOR_GP, 0);
        return false;
    }
    if (!read_line(run, from, line))
        return false;
    if (!page_of(run, to, true, &gpa))
        return false;
    u64 *target = plain(gpa);
    for (unsigned i = 0; target && i < LINE / 8; i++)
        target[i] = line[i];
    return true;
}

static bool jump(struct cpu *cpu, const struct insn *insn, bool taken, unsigned bytes)
{
    if (taken)
        cpu->vmm->rip += (u64)immediate(insn, bytes);
    return true;
}

static bool group_1(struct cpu *cpu, const struct insn *insn, bool wide)
{
    enum alu op = insn->modrm >> 3 & 7;
    if (op == ALU_ADC || op == ALU_SBB)
        return false;
    do_alu(cpu, op, insn_rm(insn), (u64)immediate(insn, insn->opcode == 0x83 ? 1 : 4), wide);
    return true;
}

/* Register forms of the one-byte map. */
static bool run_register_form(struct cpu *cpu, const struct insn *insn, bool wide)
{
    unsigned reg = insn_reg(insn), rm = insn_rm(insn);
    enum alu op = insn->opcode >> 3 & 7;
    u64 ignored;
    switch (insn->opcode) {
    case 0x01:
    case 0x09:
    case 0x21:
    case 0x29:
    case 0x31:
    case 0x39:
        do_alu(cpu, op, rm, load_gpr(cpu, reg, wide), wide);
        return true;
    case 0x03:
    case 0x0b:
    case 0x23:
    case 0x2b:
    case 0x33:
    case 0x3b:
        do_alu(cpu, op, reg, load_gpr(cpu, rm, wide), wide);
        return true;
    case 0x81:
    case 0x83:
        return group_1(cpu, insn, wide);
    case 0x85:
        return alu(cpu, ALU_AND, load_gpr(cpu, rm, wide), load_gpr(cpu, reg, wide), wide, &ignored);
    case 0x89:
        store_gpr(cpu, rm, load_gpr(cpu, reg, wide), wide);
        return true;
    case 0x8b:
        store_gpr(cpu, reg, load_gpr(cpu, rm, wide), wide);
        return true;
    case 0xff:
        if ((insn->modrm >> 3 & 7) > 1)
            return false;
        do_step(cpu, rm, insn->modrm >> 3 & 1, wide);
        return true;
    }
    return false;
}

static bool lea(struct cpu *cpu, const struct insn *insn, bool wide)
{
    u64 linear;
    if (insn->opcode != 0x8d || insn->segment != INSN_NO_SEGMENT || !guest_operand(cpu, insn, &linear))
        return false;
    store_gpr(cpu, insn_reg(insn), linear, wide);
    return true;
}

/* RIP is behind the instruction already where a jump adds to it. False: nothing was done. */
static bool run_simple(struct run *run, const struct insn *insn)
{
    struct cpu *cpu = run->cpu;
    bool wide = insn->rex & 8;
    bool done = false;
    if (insn->opsize || insn->rep || insn->lock || insn->addrsize)
        return false;
    if (insn->map == MAP_0F && (insn->opcode & 0xf0) == 0x80) {
        cpu->vmm->rip += insn->length;
        return jump(cpu, insn, condition(cpu->vmm->rflags, insn->opcode & 15), 4);
    }
    if (insn->map != MAP_ONE)
        return false;
    if ((insn->opcode & 0xf0) == 0x70 || insn->opcode == 0xeb) {
        cpu->vmm->rip += insn->length;
        return jump(cpu, insn, insn->opcode == 0xeb || condition(cpu->vmm->rflags, insn->opcode & 15), 1);
    }
    if (insn->opcode == 0x90)
        done = !(insn->rex & 1);
    else if (insn->has_modrm)
        done = insn_rm_is_memory(insn) ? lea(cpu, insn, wide) : run_register_form(cpu, insn, wide);
    if (done)
        cpu->vmm->rip += insn->length;
    return done;
}

static bool is_movdir64b(const struct insn *insn)
{
    return insn->map == MAP_0F38 && insn->opcode == 0xf8 && insn->opsize && !insn->rep && insn_rm_is_memory(insn) &&
           !insn->vex && !insn->evex;
}

/* --- whole loops ------------------------------------------------------------------------------------------------------- */

static bool learn_step(struct loop *loop, unsigned reg, u64 step)
{
    loop->step[reg] += step;
    loop->counter = reg;
    loop->has_limit = false;
    return true;
}

static bool learn_limit(struct loop *loop, unsigned counter, unsigned limit)
{
    loop->counter = counter;
    loop->limit = limit;
    loop->has_limit = true;
    return true;
}

/* What one instruction between the MOVDIR64B and the jump does in every turn; false: too hard. The last one sets the flags. */
static bool learn(struct loop *loop, const struct insn *insn)
{
    unsigned reg = insn_reg(insn), rm = insn_rm(insn), group = insn->modrm >> 3 & 7;
    if (insn->map != MAP_ONE || !(insn->rex & 8) || !insn->has_modrm || insn_rm_is_memory(insn))
        return false;
    switch (insn->opcode) {
    case 0x39:
        return learn_limit(loop, rm, reg);
    case 0x3b:
        return learn_limit(loop, reg, rm);
    case 0x81:
    case 0x83: {
        u64 value = (u64)immediate(insn, insn->opcode == 0x83 ? 1 : 4);
        return (group == ALU_ADD || group == ALU_SUB) && learn_step(loop, rm, group == ALU_ADD ? value : -value);
    }
    case 0xff:
        return group < 2 && learn_step(loop, rm, group ? ~0ull : 1);
    }
    return false;
}

/* The condition of the jump at the end: JNE, or JB after a comparison. */
static bool learn_jump(struct loop *loop, const struct insn *insn)
{
    unsigned condition_code = insn->opcode & 15;
    bool is_jcc = (insn->map == MAP_ONE && insn->opcode >> 4 == 7) || (insn->map == MAP_0F && insn->opcode >> 4 == 8);
    loop->exact = condition_code == 5;
    return is_jcc && (condition_code == 5 || (condition_code == 2 && loop->has_limit));
}

static void learn_loop(struct loop *loop)
{
    bool known = loop->count >= 3;
    for (unsigned i = 1; known && i + 1 < loop->count; i++)
        known = learn(loop, &loop->body[i]);
    known = known && learn_jump(loop, &loop->body[loop->count - 1]) && !(loop->has_limit && loop->step[loop->limit]);
    known = known && loop->step[insn_reg(&loop->body[0])] == LINE && !loop->body[0].addrsize;
    loop->state = known ? LOOP_KNOWN : LOOP_TOO_HARD;
}

/* How often the loop goes round from its head on; 0 where that is not clear. */
static u64 turns_left(struct cpu *cpu, const struct loop *loop)
{
    u64 at = *guest_gpr(cpu, loop->counter), step = loop->step[loop->counter];
    if (!loop->has_limit) { /* down to zero */
        step = -step;
        return step && step < 1ull << 32 && at % step == 0 ? at / step : 0;
    }
    u64 limit = *guest_gpr(cpu, loop->limit), distance = limit - at;
    if (at >= limit || !step || step >= 1ull << 32 || distance >= 1ull << 62 || (loop->exact && distance % step))
        return 0;
    return (distance + step - 1) / step;
}

static void take_turns(struct cpu *cpu, const struct loop *loop, u64 turns)
{
    for (unsigned i = 0; i < SEAM_GPRS; i++)
        if (loop->step[i])
            *guest_gpr(cpu, i) += loop->step[i] * turns;
}

/* The same source in every turn. */
static bool source_stays(struct cpu *cpu, const struct loop *loop, u64 *from)
{
    u64 later;
    bool ok = guest_operand(cpu, &loop->body[0], from);
    take_turns(cpu, loop, 1);
    ok = guest_operand(cpu, &loop->body[0], &later) && ok;
    take_turns(cpu, loop, ~0ull);
    return ok && later == *from;
}

/* At the head of a known loop: turns up to the end of the page, the last turn of all excepted. Returns how many were taken. */
static u64 skip_ahead(struct run *run)
{
    struct cpu *cpu = run->cpu;
    const struct loop *loop = &run->loop;
    u64 to = *guest_gpr(cpu, insn_reg(&loop->body[0])), turns = turns_left(cpu, loop);
    u64 in_page = (4096 - (to & 0xfff)) / LINE, from, gpa, line[LINE / 8];
    turns = turns > in_page ? in_page : turns ? turns - 1 : 0;
    if (!turns || to & (LINE - 1) || !source_stays(cpu, loop, &from) || (from & 0xfff) > 4096 - LINE)
        return 0;
    if (!page_of(run, from, false, &gpa) || !page_of(run, to, true, &gpa))
        return 0;
    if (run->from_gpa == run->to_gpa) /* the source may change under way */
        return 0;
    u64 *target = plain(gpa);
    read_line(run, from, line);
    for (u64 i = 0; target && i < turns * (LINE / 8); i++)
        target[i] = line[i % (LINE / 8)];
    take_turns(cpu, loop, turns);
    return turns;
}

/* An instruction is about to be run: it belongs to the loop's first turn, or begins another. */
static void watch_loop(struct loop *loop, u64 rip, const struct insn *insn)
{
    if (loop->state == LOOP_NONE && is_movdir64b(insn)) {
        loop->state = LOOP_LEARNING;
        loop->head = rip;
    } else if (loop->state == LOOP_LEARNING && rip == loop->head) {
        learn_loop(loop);
    } else if (loop->state == LOOP_LEARNING && (loop->count == BODY_MAX || is_movdir64b(insn))) {
        loop->state = LOOP_TOO_HARD;
    }
    if (loop->state == LOOP_LEARNING)
        loop->body[loop->count++] = *insn;
}

/* --- the run ----------------------------------------------------------------------------------------------------------- */

static const struct insn *fetch(struct run *run)
{
    u64 rip = run->cpu->vmm->rip;
    unsigned slot = (rip ^ rip >> 5) % DECODED;
    if (run->decoded[slot].rip != rip) {
        if (!guest_insn(run->cpu, &run->decoded[slot].insn))
            return NULL;
        run->decoded[slot].rip = rip;
    }
    return &run->decoded[slot].insn;
}

static bool run_one(struct run *run, const struct insn *insn)
{
    if (!is_movdir64b(insn))
        return run_simple(run, insn);
    if (!movdir64b(run, insn))
        return false;
    run->cpu->vmm->rip += insn->length;
    return true;
}

void movdir_run(struct cpu *cpu, const struct insn *first)
{
    struct run run = {.cpu = cpu, .from_linear = ~0ull, .to_linear = ~0ull};
    const struct insn *insn = first;
    u64 page = cpu->vmm->rip >> 12;
    bool simple = guest_mode(cpu) == INSN_64 && !(cpu->vmm->rflags & RFLAGS_TF);
    for (u64 steps = 0; insn && steps < STEPS_MAX; steps++) {
        watch_loop(&run.loop, cpu->vmm->rip, insn);
        if (run.loop.state == LOOP_KNOWN && cpu->vmm->rip == run.loop.head)
            steps += skip_ahead(&run) / TURNS_A_STEP;
        if (cpu->vmm->event_injection || !run_one(&run, insn) || !simple || cpu->vmm->rip >> 12 != page)
            return;
        insn = fetch(&run);
    }
}
