/* The rows: see task.h. n pages of 4K, k and m regions of 2M; formulas and steps are those of docs/tdp-mmu.md. */
#include "tests/bench/task.h"

#include "lib/bits.h"

#define K4 0x1000ull
#define M2 0x200000ull
#define G1 0x40000000ull

#define NON_BLOCKING  BIT(35)
#define UNINTERRUPTED BIT(51)

#define MAP(a, b, l)                                                                                                   \
    {                                                                                                                  \
        .kind = TASK_MAP, .gpa = a, .bytes = b, .level = l                                                             \
    }
#define SHARE(a, b)                                                                                                    \
    {                                                                                                                  \
        .kind = TASK_SHARE, .gpa = a, .bytes = b                                                                       \
    }
#define OWN(a, b, l)                                                                                                   \
    {                                                                                                                  \
        .kind = TASK_OWN, .gpa = a, .bytes = b, .level = l                                                             \
    }
#define SPLIT(a, b, l)                                                                                                 \
    {                                                                                                                  \
        .kind = TASK_SPLIT, .gpa = a, .bytes = b, .level = l                                                           \
    }
#define MERGE(a, b, l)                                                                                                 \
    {                                                                                                                  \
        .kind = TASK_MERGE, .gpa = a, .bytes = b, .level = l                                                           \
    }
#define BLOCK(a, l)                                                                                                    \
    {                                                                                                                  \
        .kind = TASK_BLOCK, .gpa = a, .level = l                                                                       \
    }
#define ONE(k, a, b)                                                                                                   \
    {                                                                                                                  \
        .kind = k, .gpa = a, .bytes = b                                                                                \
    }

#define HAVE_2M                                                                                                        \
    {                                                                                                                  \
        MAP(0, M2, 1)                                                                                                  \
    }
#define HAVE_4K                                                                                                        \
    {                                                                                                                  \
        MAP(0, M2, 1), SPLIT(0, M2, 1)                                                                                 \
    }
#define HAVE_1G_OF_2M                                                                                                  \
    {                                                                                                                  \
        MAP(0, G1, 1)                                                                                                  \
    }
#define HAVE_1G                                                                                                        \
    {                                                                                                                  \
        MAP(0, G1, 1), MERGE(0, G1, 2)                                                                                 \
    }
#define HAVE_1G_OF_4K                                                                                                  \
    {                                                                                                                  \
        MAP(0, G1, 0)                                                                                                  \
    }

#define COST(c, t, k) .calls = c, .tracks = t, .kick_rounds = k

/* clang-format off */
const struct row rows[] = {
    /* mapping. The first of a GiB needs its table: SEPT.ADD is in the bound. */
    {"fault_4k", {MAP(0, K4, 0), {.kind = TASK_FAULT, .gpa = 2 * K4}}, {.kind = TASK_FAULT, .gpa = 3 * K4, .level = 0}, COST(1, 0, 0)},
    {"fault_4k_elsewhere", {MAP(0, K4, 0), MAP(M2, K4, 0), {.kind = TASK_FAULT, .gpa = 2 * K4}}, {.kind = TASK_FAULT, .gpa = M2 + 7 * K4, .level = 0}, COST(1, 0, 0)},
    {"fault_2m", HAVE_2M, {.kind = TASK_FAULT, .gpa = M2, .level = 1}, COST(1, 0, 0)},
    {"map_2m", HAVE_2M, MAP(M2, M2, 1), COST(1, 0, 0)},
    {"map_2m_as_4k", HAVE_2M, MAP(M2, M2, 0), COST(4, 1, 1)},
    {"map_2m_as_4k_time", HAVE_2M, {.kind = TASK_MAP, .gpa = M2, .bytes = M2, .time = true}, COST(513, 0, 0)},
    {"map_2m_as_4k_before_finalize", HAVE_2M, MAP(M2, M2, 0), COST(2, 0, 0), .unfinished = true},
    {"map_1g_at_2m", {MAP(G1, M2, 1)}, MAP(0, G1, 1), COST(1 + 512, 0, 0)},
    {"map_1g_at_4k", {MAP(G1, M2, 1)}, MAP(0, G1, 0), COST(1 + 3 * 512 + 1, 1, 1)},
    {"map_1g_at_4k_time", {MAP(G1, M2, 1)}, {.kind = TASK_MAP, .gpa = 0, .bytes = G1, .time = true}, COST(1 + 513 * 512, 0, 0)},
    /* conversion out of a 2M leaf: 4+2n, 2; all of it 3, 1 */
    {"convert_1_of_2m", HAVE_2M, SHARE(3 * K4, K4), COST(4 + 2 * 1, 2, 1)},
    {"convert_8_of_2m", HAVE_2M, SHARE(3 * K4, 8 * K4), COST(4 + 2 * 8, 2, 1)},
    {"convert_511_of_2m", HAVE_2M, SHARE(K4, 511 * K4), COST(4 + 2 * 511, 2, 1)},
    {"convert_512_of_2m", HAVE_2M, SHARE(0, M2), COST(3, 1, 1)},
    {"convert_8_of_2m_blocked", {MAP(0, M2, 1), BLOCK(0, 1)}, SHARE(3 * K4, 8 * K4), COST(2 + 2 * 8, 1, 1), .no_linux = true},
    {"convert_8_of_4k", HAVE_4K, SHARE(3 * K4, 8 * K4), COST(1 + 2 * 8, 1, 1)},
    {"convert_8_of_4k_table_blocked", {MAP(0, M2, 1), SPLIT(0, M2, 1), BLOCK(0, 1)}, SHARE(3 * K4, 8 * K4),
     COST(2 + 2 * 8, 1, 1), .no_linux = true},
    {"convert_512_of_4k", HAVE_4K, SHARE(0, M2), COST(6, 2, 1)},
    {"convert_512_of_4k_in_two_states", {MAP(0, M2, 1), SPLIT(0, M2, 1), ONE(TASK_ACCEPT_ONE, 5 * K4, K4)}, SHARE(0, M2),
     COST(1025, 1, 1), .why = "BLOCK TRACK PROMOTE are tried first, and UNBLOCK follows: acceptance is not to be seen"},
    /* out of a 1G leaf: 7+2n, 3; k whole regions 4+2k, 2; all of it 3, 1 */
    {"convert_1_of_1g", HAVE_1G, SHARE(3 * K4, K4), COST(7 + 2 * 1, 3, 1)},
    {"convert_8_of_1g", HAVE_1G, SHARE(3 * K4, 8 * K4), COST(7 + 2 * 8, 3, 1)},
    {"convert_511_of_1g", HAVE_1G, SHARE(K4, 511 * K4), COST(7 + 2 * 511, 3, 1)},
    {"convert_512_of_1g", HAVE_1G, SHARE(0, M2), COST(4 + 2 * 1, 2, 1)},
    {"convert_3_regions_of_1g", HAVE_1G, SHARE(M2, 3 * M2), COST(4 + 2 * 3, 2, 1)},
    {"zap_1g", HAVE_1G, SHARE(0, G1), COST(3, 1, 1)},
    {"zap_1g_of_2m", HAVE_1G_OF_2M, SHARE(0, G1), COST(6, 2, 1)},
    {"convert_odd_range", {MAP(0, 4 * M2, 1)}, SHARE(M2 - 3 * K4, 2 * M2 + 8 * K4),
     COST(2 * 2 + 2 + 2 * (3 + 5) + 2 * 2, 2, 1)},
    /* conversion back; one round of kicks for the shared half's translations */
    {"back_1", {MAP(0, M2, 1), SHARE(3 * K4, K4)}, OWN(3 * K4, K4, 1), COST(1, 0, 1)},
    {"back_8", {MAP(0, M2, 1), SHARE(3 * K4, 8 * K4)}, OWN(3 * K4, 8 * K4, 1), COST(8, 0, 1)},
    {"back_511", {MAP(0, M2, 1), SHARE(K4, 511 * K4)}, OWN(K4, 511 * K4, 1), COST(511, 0, 1)},
    {"back_512", {MAP(0, M2, 1), SHARE(0, M2)}, OWN(0, M2, 1), COST(1, 0, 1)},
    {"back_512_over_empty_table", {MAP(0, M2, 1), SHARE(0, M2 - K4), SHARE(M2 - K4, K4)}, OWN(0, M2, 1), COST(4, 1, 1)},
    {"back_512_as_4k", {MAP(0, M2, 1), SHARE(0, M2 - K4), SHARE(M2 - K4, K4)}, OWN(0, M2, 0), COST(7, 2, 1)},
    {"back_512_as_4k_time", {MAP(0, M2, 1), SHARE(0, M2 - K4), SHARE(M2 - K4, K4)},
     {.kind = TASK_OWN, .gpa = 0, .bytes = M2, .time = true}, COST(512, 0, 1)},
    /* splitting and merging */
    {"split_2m", HAVE_2M, SPLIT(0, M2, 1), COST(3, 1, 1)},
    {"split_1g", HAVE_1G, SPLIT(0, G1, 2), COST(3, 1, 1)},
    {"merge_1", HAVE_4K, MERGE(0, M2, 1), COST(2 * 1 + 1, 1, 1)},
    {"merge_64", {MAP(0, 64 * M2, 0)}, MERGE(0, 64 * M2, 1), COST(2 * 64 + 1, 1, 1)},
    {"merge_512", HAVE_1G_OF_4K, MERGE(0, G1, 1), COST(2 * 512 + 1, 1, 1)},
    {"merge_1g_of_2m", HAVE_1G_OF_2M, MERGE(0, G1, 2), COST(3, 1, 1)},
    {"merge_1g_of_3_at_4k", {MAP(0, G1, 1), SPLIT(M2, 3 * M2, 1)}, MERGE(0, G1, 2), COST(2 * 3 + 4, 2, 1)},
    {"merge_1g_of_4k", HAVE_1G_OF_4K, MERGE(0, G1, 2), COST(2 * 512 + 4, 2, 1)},
    {"split_one_merge_another", {MAP(0, 2 * M2, 1), SPLIT(M2, M2, 1)}, ONE(TASK_SHARE_AND_MERGE, 3 * K4, K4), COST(8, 2, 1)},
    {"merge_scattered_512", {MAP(0, M2, 0)}, MERGE(0, M2, 1), COST(2 * 512 + 4, 2, 1), .scatter = true, .no_linux = true},
    {"relocate_512", {MAP(0, M2, 0)}, ONE(TASK_RELOCATE, 0, M2), COST(2 * 512 + 1, 1, 1), .scatter = true, .no_linux = true},
    /* tear-down: VP.FLUSH and six pages a vCPU; VPFLUSHDONE, CACHE.WB, FREEID, one leaf, two tables, TDCS and TDR */
    {"tear_down_1g_of_2m", HAVE_1G_OF_2M, ONE(TASK_TEAR_DOWN, 0, 0), COST(36 - 3 * 7, 1, 1), .per_vcpu = 7},
    {"tear_down_1g_with_4k", {MAP(0, G1, 1), SPLIT(M2, M2, 1)}, ONE(TASK_TEAR_DOWN, 0, 0), COST(39 - 3 * 7, 2, 1),
     .per_vcpu = 7},
    /* a module with non-blocking resize */
    {"non_blocking_split_2m", HAVE_2M, SPLIT(0, M2, 1), COST(1, 0, 0), .features0 = NON_BLOCKING, .no_linux = true},
    {"non_blocking_convert_8_of_2m", HAVE_2M, SHARE(3 * K4, 8 * K4), COST(2 + 2 * 8, 1, 1), .features0 = NON_BLOCKING,
     .no_linux = true},
    {"non_blocking_convert_8_of_1g", HAVE_1G, SHARE(3 * K4, 8 * K4), COST(3 + 2 * 8, 1, 1), .features0 = NON_BLOCKING,
     .no_linux = true},
    {"non_blocking_convert_3_regions_of_1g", HAVE_1G, SHARE(M2, 3 * M2), COST(2 + 2 * 3, 1, 1), .features0 = NON_BLOCKING,
     .no_linux = true},
    {"non_blocking_map_2m_as_4k", HAVE_2M, MAP(M2, M2, 0), COST(2, 0, 0), .features0 = NON_BLOCKING, .no_linux = true},
    {"non_blocking_map_1g_at_4k", {MAP(G1, M2, 1)}, MAP(0, G1, 0), COST(1 + 2 * 512, 0, 0), .features0 = NON_BLOCKING,
     .no_linux = true},
    /* an NMI while DEMOTE is at work, which holds interrupts off, and a module whose DEMOTE does not look */
    {"split_2m_beside_an_nmi", HAVE_2M, SPLIT(0, M2, 1), COST(3, 1, 1), .nmis = 1, .no_linux = true,
     .why = "the NMI stops DEMOTE, which begins again"},
    {"uninterrupted_split_2m_beside_an_nmi", HAVE_2M, SPLIT(0, M2, 1), COST(3, 1, 1), .features0 = UNINTERRUPTED, .nmis = 1,
     .no_linux = true},
    {"uninterrupted_convert_8_of_1g_beside_an_nmi", HAVE_1G, SHARE(3 * K4, 8 * K4), COST(7 + 2 * 8, 3, 1),
     .features0 = UNINTERRUPTED, .nmis = 1, .no_linux = true},
};
/* clang-format on */
const unsigned row_count = sizeof(rows) / sizeof(rows[0]);
