/* fuzz.h: shared by the fuzz targets. A target defines fuzz(), which reads `data` to its end. */
#ifndef PYGRAD_FUZZ_H
#define PYGRAD_FUZZ_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pygrad.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

#define MUST(condition) must(condition, #condition, __LINE__)
#define MUST_BE_SOUND() must_be_sound(__LINE__)

static const uint8_t *data;
static size_t left;

/* The next byte; 0 after the last. */
static inline uint8_t byte(void) { return left ? left--, *data++ : 0; }

static inline void must(bool is, const char *what, int line) {
  if (!is) {
    fprintf(stderr, "line %d: not true: %s\n", line, what);
    abort();
  }
}

static inline void must_be_sound(int line) {
  const char *rule = pg_check();
  if (rule) {
    fprintf(stderr, "line %d: the arena breaks the rule that %s\n", line, rule);
    abort();
  }
}

static inline uint64_t live_nodes(void) {
  pg_memory memory;
  pg_memory_stats(&memory);
  return memory.live_nodes;
}

void fuzz(void);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
  data = bytes;
  left = size;
  fuzz();
  return 0;
}

#endif
