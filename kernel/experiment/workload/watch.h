/*
 * What becomes of the regions that a workload is at work on: how many are one page, when each came to be one, and whether it
 * was of use. All by the mirror: looking costs no SEAMCALL and keeps no vCPU out.
 */
#ifndef KERNEL_EXPERIMENT_WORKLOAD_WATCH_H
#define KERNEL_EXPERIMENT_WORKLOAD_WATCH_H

#include "kernel/console/json.h"
#include "kernel/vm/vm.h"

#define WATCH_REGIONS_MAX (1u << 19)
#define WATCH_POINTS_MAX  32u

struct watched_region {
    bool was_cut;
    u64 cut_at; /* time_us() when it was, last */
    bool is_large;
    bool was_merged; /* in this sample */
    bool is_used;    /* the TD has touched it since */
};

struct watch {
    gpa_t base;
    u64 count;
    level_t level;      /* of a region that is one page */
    bool is_read;       /* vCPUs read all of it all the time: what is large is used */
    bool is_told;       /* what is done to the regions; else a look tells what was cut, and nothing who uses them */
    u64 large, whole;   /* regions, at the last look: as one page, and without a shared page in them */
    u64 began, looked;  /* time_us(): of the sample, and of the last look */
    u64 merged, unused; /* in this sample: came to be large; and nobody touched them before they were cut again */
    struct vm_pauses till_merged; /* us, from a region's last conversion */
    struct {
        u64 ms, large;
    } points[WATCH_POINTS_MAX];
    unsigned point_count;
    u64 every; /* ms between two points at least: when there is no room, every other point is dropped */
    struct watched_region *regions; /* of the page allocator; NULL: not begun */
};

/* Both while there is no TD, which is to give back all memory that it has taken. ERR_NO_MEMORY: nothing is taken. */
MUST_CHECK enum err watch_begin(struct watch *w, gpa_t base, u64 count, level_t level);
void watch_end(struct watch *w);
/* A sample begins: what was counted for the one before is forgotten. */
void watch_begin_sample(struct watch *w);

MUST_CHECK enum err watch_look(struct watch *w);
/* The TD has touched each region, or those in [gpa, gpa + bytes). */
MUST_CHECK enum err watch_touched(struct watch *w);
MUST_CHECK enum err watch_touched_in(struct watch *w, gpa_t gpa, u64 bytes);
/* Before a conversion in [gpa, gpa + bytes), and after it. */
MUST_CHECK enum err watch_cut_begins(struct watch *w, gpa_t gpa, u64 bytes);
MUST_CHECK enum err watch_cut_ends(struct watch *w, gpa_t gpa, u64 bytes);
/* All regions begin in pieces: each that is large from now on was merged. */
void watch_pieces(struct watch *w);

/* Members of a sample. What has been merged in it and was not touched by now counts as unused. */
void watch_add(struct watch *w, struct json *j);

#endif
