/* What tests see of tests/host/log.c. */
#ifndef TESTS_HOST_LOG_H
#define TESTS_HOST_LOG_H

/* Messages of each level (enum log_level) so far, whether or not they were wanted. */
extern _Atomic unsigned log_host_count[4];
/* The newest message of this thread, whether or not it was wanted; "": none since log_host_forget(). */
const char *log_host_last(void);
void log_host_forget(void);

#endif
