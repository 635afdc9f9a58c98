/* memory.c: allocation, which tests can make fail. */
#include "memory.h"

#include <stdlib.h>

#include "pygrad.h"

pg_test_settings pg_tests = {.allocations = -1, .instruction_set = -1};

bool pg_may_allocate(void) {
  int64_t left = pg_tests.allocations;
  while (left > 0 && !atomic_compare_exchange_weak(&pg_tests.allocations, &left, left - 1)) {
  }
  return left != 0;
}

/* Of no bytes, realloc() may return NULL, which means no memory here. */
void *pg_resize(void *at, size_t bytes) { return pg_may_allocate() ? realloc(at, bytes ? bytes : 1) : NULL; }

void pg_test_fail_allocations(int64_t successes) { pg_tests.allocations = successes; }
