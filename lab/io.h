/* The lab's serial line is standard output; ^C comes as SIGINT. */
#ifndef LAB_IO_H
#define LAB_IO_H

void io_start(void);

#endif
