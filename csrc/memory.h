/* memory.h: the core's one allocation function, and the settings that tests change. Private to the core.
 *
 * It knows nothing of the arena and takes no lock: any file of the core may call it, from any thread.
 */
#ifndef PYGRAD_MEMORY_H
#define PYGRAD_MEMORY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* realloc(), and malloc() for NULL. The caller owns the result and frees it with free(). NULL if there is no
 * memory; `at` is unchanged then. */
void *pg_resize(void *at, size_t bytes);

/* False where a test wants the next allocation to fail. pg_resize() calls it. Call it before getting memory or
 * a thread from the system in another way, so that tests can make that fail, too. */
bool pg_may_allocate(void);

/* The only static state of the core besides the arena. Programs run with the initial values; the functions
 * pg_test_... of pygrad.h change them, and any thread may read them. */
typedef struct {
  _Atomic int64_t allocations; /* that succeed before all others fail; below 0: all succeed */
  atomic_int instruction_set;  /* a row of the table in routine/kernels.c; below 0: not chosen yet */
  atomic_uint disabled;        /* optimizations that new programs leave out */
} pg_test_settings;

extern pg_test_settings pg_tests;

#endif
