/* os.h: what the core asks of the operating system. One file a system implements it: posix.c. */
#ifndef PYGRAD_OS_H
#define PYGRAD_OS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Address space without memory; NULL if refused. */
void *pg_os_reserve(size_t bytes);
void pg_os_unreserve(void *at, size_t bytes);
/* Makes a part of it readable and writable, and zero. False if memory has run out. */
bool pg_os_commit(void *at, size_t bytes);
/* Gives the memory back: the part stays readable and writable, and reads as zero. False, and nothing is
 * changed, if it is not made of whole pages. */
bool pg_os_discard(void *at, size_t bytes);

/* Lets another thread run. */
void pg_os_yield(void);
/* Which thread this is. */
uintptr_t pg_os_thread(void);

/* Calls `before` in the parent before each fork, and `after` in the parent and in the child after it. */
bool pg_os_at_fork(void (*before)(void), void (*after)(void));

#endif
