/* posix.c: os.h for Linux, macOS and the BSDs. */
#define _DEFAULT_SOURCE  /* MAP_ANONYMOUS, madvise on glibc and musl */
#define _DARWIN_C_SOURCE /* ... on macOS */

#include "os/os.h"

#if !defined _WIN32 && !defined __EMSCRIPTEN__
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#ifndef MAP_NORESERVE
#define MAP_NORESERVE 0
#endif

size_t pg_os_page(void) { return (size_t)sysconf(_SC_PAGESIZE); }

void *pg_os_reserve(size_t bytes) {
  void *at = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return at == MAP_FAILED ? NULL : at;
}

void pg_os_unreserve(void *at, size_t bytes) { munmap(at, bytes); }

bool pg_os_commit(void *at, size_t bytes) {
  const size_t before = (uintptr_t)at % pg_os_page(); /* mprotect() takes whole pages */
  return mprotect((char *)at - before, before + bytes, PROT_READ | PROT_WRITE) == 0;
}

bool pg_os_discard(void *at, size_t bytes) {
  /* madvise() would round the end up to a whole page, and discard what follows this part. */
  const size_t page = pg_os_page();
  if ((uintptr_t)at % page || bytes % page) {
    return false;
  }
#ifdef __linux__
  return madvise(at, bytes, MADV_DONTNEED) == 0;
#else
  /* On other systems MADV_DONTNEED may keep the contents; a new mapping in the same place does not. */
  return mmap(at, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED;
#endif
}

void pg_os_yield(unsigned waited) {
  if (waited < 2) {
    sched_yield();
  } else {
    nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL);
  }
}

uintptr_t pg_os_thread(void) { return (uintptr_t)pthread_self(); }

static void *run(void *argument) {
  const pg_os_worker *worker = argument;
  worker->work(worker->argument);
  return NULL;
}

bool pg_os_start(pg_os_worker *worker) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, run, worker) != 0) {
    return false;
  }
  worker->handle = (uintptr_t)thread;
  return true;
}

void pg_os_join(pg_os_worker *worker) { pthread_join((pthread_t)worker->handle, NULL); }

bool pg_os_at_fork(void (*before)(void), void (*in_parent)(void), void (*in_child)(void)) {
  return pthread_atfork(before, in_parent, in_child) == 0;
}
#endif
