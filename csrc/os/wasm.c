/* wasm.c: os.h for WebAssembly, by Emscripten: one thread, no address space without memory, no fork. */
#include "os/os.h"

#ifdef __EMSCRIPTEN__
#include <emscripten/emmalloc.h>
#include <string.h>

/* What is reserved is allocated at once. The arena takes half of what it can get: 4 million nodes. */
static const size_t MOST_BYTES = (size_t)256 << 20;

size_t pg_os_page(void) { return 1 << 16; }

void *pg_os_reserve(size_t bytes) {
  return bytes <= MOST_BYTES ? emscripten_builtin_memalign(pg_os_page(), bytes) : NULL;
}

void pg_os_unreserve(void *at, size_t bytes) {
  (void)bytes;
  emscripten_builtin_free(at);
}

bool pg_os_commit(void *at, size_t bytes) {
  memset(at, 0, bytes);
  return true;
}

bool pg_os_discard(void *at, size_t bytes) {
  (void)at, (void)bytes;
  return false; /* memory of WebAssembly only grows */
}

void pg_os_yield(unsigned waited) { (void)waited; }

uintptr_t pg_os_thread(void) { return 1; }

bool pg_os_start(pg_os_worker *worker) {
  (void)worker;
  return false;
}

void pg_os_join(pg_os_worker *worker) { (void)worker; }

bool pg_os_at_fork(void (*before)(void), void (*in_parent)(void), void (*in_child)(void)) {
  (void)before, (void)in_parent, (void)in_child;
  return true;
}
#endif
