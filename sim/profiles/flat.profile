# A SEAMCALL is a tick and nothing else takes time, so that what is read as time is a count of calls. Waits have to end, so
# their instructions take some.
seamcall                         1  # assumed: by definition of this profile
tdh_mem_page_add                 1  # assumed: by definition of this profile
tdh_mem_page_aug         4k      1  # assumed: by definition of this profile
tdh_mem_page_aug         2m      1  # assumed: by definition of this profile
tdh_mem_page_demote      2m      1  # assumed: by definition of this profile
tdh_mem_page_demote      1g      1  # assumed: by definition of this profile
tdh_mem_page_promote     2m      1  # assumed: by definition of this profile
tdh_mem_page_promote     1g      1  # assumed: by definition of this profile
tdh_mem_page_relocate            1  # assumed: by definition of this profile
tdh_mem_page_remove      4k      1  # assumed: by definition of this profile
tdh_mem_page_remove      2m      1  # assumed: by definition of this profile
tdh_mem_page_remove      1g      1  # assumed: by definition of this profile
tdh_mem_range_block      4k      1  # assumed: by definition of this profile
tdh_mem_range_block      2m      1  # assumed: by definition of this profile
tdh_mem_range_block      1g      1  # assumed: by definition of this profile
tdh_mem_range_unblock    4k      1  # assumed: by definition of this profile
tdh_mem_range_unblock    2m      1  # assumed: by definition of this profile
tdh_mem_range_unblock    1g      1  # assumed: by definition of this profile
tdh_mem_sept_add                 1  # assumed: by definition of this profile
tdh_mem_sept_rd                  1  # assumed: by definition of this profile
tdh_mem_sept_remove              1  # assumed: by definition of this profile
tdh_mem_track                    1  # assumed: by definition of this profile
tdh_phymem_page_reclaim          1  # assumed: by definition of this profile
tdh_phymem_page_wbinvd           1  # assumed: by definition of this profile
tdh_vp_enter                     1  # assumed: by definition of this profile
td_exit                          0  # assumed: by definition of this profile
tdcall                           0  # assumed: by definition of this profile
tdg_mem_page_accept      4k      0  # assumed: by definition of this profile
tdg_mem_page_accept      2m      0  # assumed: by definition of this profile
ve                               0  # assumed: by definition of this profile
vmm_step                         0  # assumed: by definition of this profile
ipi                              0  # assumed: by definition of this profile
interrupt                        0  # assumed: by definition of this profile
invept                           0  # assumed: by definition of this profile
flush_page                       0  # assumed: by definition of this profile
reset_page                       0  # assumed: by definition of this profile
wbinvd                           0  # assumed: by definition of this profile
tlb_miss                 4k      0  # assumed: by definition of this profile
tlb_miss                 2m      0  # assumed: by definition of this profile
tlb_miss                 1g      0  # assumed: by definition of this profile
touch                       150  # assumed: a payload that works without end must see time pass
access                           0  # assumed: by definition of this profile
pause                          140  # source: Intel Optimization Reference Manual, "Pause Latency in Skylake Client Microarchitecture"
rdtsc                           25  # assumed: a loop that looks at the time must see it pass
tlb_entries              4k  16384  # source: the simulated platform's default (docs/simulator.md, `tlb_4k`)
tlb_entries              2m  16384  # source: the simulated platform's default (docs/simulator.md, `tlb_4k`)
tlb_entries              1g  16384  # source: the simulated platform's default (docs/simulator.md, `tlb_4k`)
