/* os.h: what the core needs of the operating system. Private to the core, which calls the system here only.
 * Each system has one file that implements it: posix.c, windows.c, wasm.c;
 * those with dlopen() share dl.c. Any thread may call these functions. */
#ifndef PYGRAD_OS_H
#define PYGRAD_OS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The bytes of a page of memory, a power of two. */
size_t pg_os_page(void);
/* Reserves address space without memory behind it. The caller owns it; NULL if the system refuses. */
void *pg_os_reserve(size_t bytes);
void pg_os_unreserve(void *at, size_t bytes);
/* Makes a part of it, which was not committed before, readable and writable; it reads as zero. False if memory
 * has run out. */
bool pg_os_commit(void *at, size_t bytes);
/* Gives the memory of a part back to the system: the part stays readable and writable, and reads as zero.
 * False, and nothing has changed, if it does not consist of whole pages. */
bool pg_os_discard(void *at, size_t bytes);

/* Lets another thread run, as the caller has waited so many times for it: at length, from the third time on. */
void pg_os_yield(unsigned waited);
/* A number that no other running thread has. */
uintptr_t pg_os_thread(void);

/* A thread that calls work(argument). The caller owns it: it stays where it is until it is joined. */
typedef struct {
  void (*work)(void *argument);
  void *argument;
  uintptr_t handle;
} pg_os_worker;

/* False, and nothing runs, if the system has no more threads. */
bool pg_os_start(pg_os_worker *worker);
/* Waits until work() has returned. */
void pg_os_join(pg_os_worker *worker);

/* From now on `before` is called in the parent before each fork, and the others after it. False if there is no
 * memory. */
bool pg_os_at_fork(void (*before)(void), void (*in_parent)(void), void (*in_child)(void));

/* Loads a library and finds a function in it. Returns what pg_os_unload() takes; NULL if there is no such
 * thing. */
void *pg_os_load(const char *path, const char *function, void **found);
void pg_os_unload(void *library);

#endif
