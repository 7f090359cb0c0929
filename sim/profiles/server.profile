# A server of the fourth Xeon generation with a TSC of 2 GHz. No latency of a SEAMCALL has been published; what has been are sums:
#   A  CPUID that the module answers: 646 ns; through #VE and TDVMCALL: 3.85 us (TUM-DSE CVM_eval)
#   B  4K pages of 18 GB removed while the TD runs: 15.3 us each; by its teardown: 5.1 us each
#      (Linux, 20250313181629.17764-1-adrian.hunter@intel.com)
#   C  8 GB accepted at 4K as they are touched: 14 us each (asterinas PR 1691)
# An assumed number is a share of such a sum (tests/system/test_lab.py adds them up), or what its memory traffic takes;
# `tools/lab sensitivity` says what hangs on it.
seamcall                     3000  # assumed: into SEAM and out as in A, and as much work again
tdh_mem_page_add             6000  # assumed: as AUG at 4K, and 4 KiB copied
tdh_mem_page_aug         4k  5000  # assumed: of C's 28000 what is left beside the exit, the ACCEPT and Linux's own work
tdh_mem_page_aug         2m  5000  # assumed: one entry and one PAMT entry, as at 4K
tdh_mem_page_demote      2m 20000  # assumed: 512 entries and 512 PAMT entries written, 12 KiB, beside the locks
tdh_mem_page_demote      1g 20000  # assumed: as at 2M
tdh_mem_page_promote     2m 20000  # assumed: 512 entries read and compared, 512 PAMT entries joined
tdh_mem_page_promote     1g 20000  # assumed: as at 2M
tdh_mem_page_relocate        9000  # assumed: as REMOVE and AUG, and 4 KiB copied
tdh_mem_page_remove      4k  6000  # assumed: a share of B's 20400 between its two figures
tdh_mem_page_remove      2m  6000  # assumed: as at 4K
tdh_mem_page_remove      1g  6000  # assumed: as at 4K
tdh_mem_range_block      4k  4000  # assumed: a share of B's 20400 between its two figures
tdh_mem_range_block      2m  4000  # assumed: as at 4K
tdh_mem_range_block      1g  4000  # assumed: as at 4K
tdh_mem_range_unblock    4k  4000  # assumed: as BLOCK
tdh_mem_range_unblock    2m  4000  # assumed: as BLOCK
tdh_mem_range_unblock    1g  4000  # assumed: as BLOCK
tdh_mem_sept_add             5000  # assumed: as AUG, 4 KiB cleared
tdh_mem_sept_rd              2500  # assumed: into SEAM and out as in A, a walk, no PAMT entry
tdh_mem_sept_remove          6000  # assumed: as REMOVE
tdh_mem_track                2500  # assumed: a share of B's 20400 between its two figures
tdh_phymem_page_reclaim      4000  # assumed: of B's 10200 of a teardown what its flush leaves
tdh_phymem_page_wbinvd       6200  # assumed: of B's 10200 of a teardown the larger share
tdh_vp_enter                 2800  # assumed: of A's 6400 of a TDVMCALL nearly a half, the state of a vCPU loaded
td_exit                      1500  # assumed: of A's 6400 of a TDVMCALL what VP.ENTER and TDCALL leave
tdcall                       1292  # source: A, a CPUID that the module answers, TUM-DSE CVM_eval
tdg_mem_page_accept      4k  4000  # assumed: a TDCALL, 4 KiB cleared under the TD's key, and the entry
tdg_mem_page_accept      2m 400000  # assumed: 2 MiB cleared at 10 GB/s
ve                            400  # assumed: delivery through the IDT and the handler's first instructions
vmm_step                      500  # assumed: a plan's step, 250 ns
ipi                          2000  # assumed: 1 us from ICR to interrupt
interrupt                    1000  # assumed: entry, EOI and return
invept                        500  # assumed: a microcoded instruction; what it costs later is in tlb_miss
flush_page                   2000  # assumed: 64 lines, most of them clean
reset_page                   1000  # assumed: 64 lines at 10 GB/s
wbinvd                    4000000  # assumed: 2 ms for a cache of some ten MiB
tlb_miss                 4k   200  # assumed: a nested walk with the tables in the second-level cache
tlb_miss                 2m   150  # assumed: one step less, fewer tables to miss
tlb_miss                 1g   100  # assumed: two steps less
touch                         150  # assumed: 75 ns, a line that is in no cache near by
access                          4  # assumed: the first-level cache, in a row
pause                         140  # source: Intel Optimization Reference Manual, "Pause Latency in Skylake Client Microarchitecture"
rdtsc                          25  # assumed: as measured on many CPUs of the family
tlb_entries              4k  2048  # source: Intel Optimization Reference Manual, Golden Cove: second-level TLB, 2048 entries
tlb_entries              2m  2048  # assumed: the same entries, which both sizes share
tlb_entries              1g    16  # assumed: a first-level TLB for large pages alone
