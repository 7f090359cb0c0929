/* What tests see of tests/host/log.c. */
#ifndef TESTS_HOST_LOG_H
#define TESTS_HOST_LOG_H

/* Messages of each level (enum log_level) so far, whether or not they were wanted. */
extern _Atomic unsigned log_host_count[4];

#endif
