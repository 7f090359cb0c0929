# As `server`, where a kick takes long: a host whose CPUs sleep deeply, or one that is itself a guest.
like server
ipi                         20000  # assumed: 10 us
interrupt                    4000  # assumed: a caught interrupt
