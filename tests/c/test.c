/* test.c: runs the tests whose names contain a word of the command line, or all. `--list` lists them; `--here`
 * runs the one of a name in this process, for systems where a process has no children. */
#define _POSIX_C_SOURCE 200809L
/* The compiler calls the functions below instead of these in all other files: see Makefile. */
#undef malloc
#undef realloc
#undef free

#include "test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#ifdef _WIN32
#include <process.h>
#else
#include <sys/wait.h>
#include <unistd.h>
#endif

enum { MOST_TESTS = 256 };

static struct {
  const char *name;
  void (*run)(void);
} tests[MOST_TESTS];
static int test_count;

void add_test(const char *name, void (*run)(void)) {
  if (test_count == MOST_TESTS) {
    abort();
  }
  tests[test_count].name = name;
  tests[test_count++].run = run;
}

void require(bool passed, const char *condition, const char *file, int line) {
  if (!passed) {
    fprintf(stderr, "%s:%d: not true: %s\n", file, line, condition);
    exit(1);
  }
}

void check(bool passed, const char *condition, const char *file, int line) {
  require(passed, condition, file, line);
  const char *rule = pg_check();
  if (rule) {
    fprintf(stderr, "%s:%d: the arena breaks the rule that %s\n", file, line, rule);
    exit(1);
  }
}

/* Memory ------------------------------------------------------------------------------------------------- */

void *counted_malloc(size_t bytes);
void *counted_realloc(void *at, size_t bytes);
void counted_free(void *at);

static atomic_llong allocations;

void *counted_malloc(size_t bytes) { return counted_realloc(NULL, bytes); }

void *counted_realloc(void *at, size_t bytes) {
  void *moved = realloc(at, bytes);
  allocations += !at && moved;
  return moved;
}

void counted_free(void *at) {
  allocations -= at != NULL;
  free(at);
}

int64_t allocated(void) { return allocations; }

uint64_t live_nodes(void) {
  pg_memory memory;
  pg_memory_stats(&memory);
  return memory.live_nodes;
}

uint64_t open_blocks(void) {
  pg_memory memory;
  pg_memory_stats(&memory);
  return memory.blocks;
}

/* Nodes -------------------------------------------------------------------------------------------------- */

pg_id id_of(pg_made made) {
  REQUIRE(made >= PG_FIRST_ID || made <= -PG_FIRST_ID);
  return (pg_id)(made < 0 ? -made : made);
}

pg_id leaf(double number) { return id_of(pg_leaf(number, false)); }

void release(pg_id id) { REQUIRE(pg_release(id) == PG_OK); }

void in_threads(void *(*work)(void *number)) {
  pthread_t threads[THREADS];
  for (size_t i = 0; i < THREADS; i++) {
    REQUIRE(pthread_create(&threads[i], NULL, work, (void *)i) == 0);
  }
  for (int i = 0; i < THREADS; i++) {
    REQUIRE(pthread_join(threads[i], NULL) == 0);
  }
}

int backward(pg_id root) {
  pg_sweep sweep;
  int status = pg_sweep_begin(&sweep, root);
  while (!status) {
    const int64_t stop = pg_sweep_run(&sweep, 10000);
    if (stop == PG_DONE) {
      break;
    }
    status = stop < 0 ? (int)stop : PG_OK;
  }
  return status;
}

/* Numbers ------------------------------------------------------------------------------------------------ */

bool same(double x, double y) { return memcmp(&x, &y, sizeof x) == 0; }

bool near(double x, double y, double tolerance) {
  return x == y || (isnan(x) && isnan(y)) || fabs(x - y) <= tolerance * (1 + fabs(y));
}

uint64_t random_bits(uint64_t *seed) {
  uint64_t z = *seed += 0x9E3779B97F4A7C15U;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
  return z ^ (z >> 31);
}

uint32_t random_below(uint64_t *seed, uint32_t end) { return (uint32_t)(random_bits(seed) >> 32) % end; }

double random_number(uint64_t *seed) { return (double)(int64_t)random_bits(seed) * 0x1p-63; }

/* Running ------------------------------------------------------------------------------------------------ */

static void run_here(int test) {
  tests[test].run();
  CHECK(live_nodes() == 0);
  CHECK(allocated() == 0);
}

/* Runs a test in a child, which exits, so that a sanitizer looks for leaks and gcov writes its counts. */
static bool passes(const char *program, int test) {
  fflush(NULL);
#ifdef _WIN32
  return _spawnl(_P_WAIT, program, program, "--here", tests[test].name, NULL) == 0;
#else
  (void)program;
  const pid_t child = fork();
  if (child == 0) {
    run_here(test);
    exit(0);
  }
  int status = 1;
  return child > 0 && waitpid(child, &status, 0) == child && status == 0;
#endif
}

static bool is_wanted(const char *name, int words, char **word) {
  for (int i = 0; i < words; i++) {
    if (strstr(name, word[i])) {
      return true;
    }
  }
  return words == 0;
}

int main(int argc, char **argv) {
  const char *option = argc > 1 ? argv[1] : "";
  int run = 0, failed = 0;
  for (int i = 0; i < test_count; i++) {
    if (strcmp(option, "--list") == 0) {
      run += printf("%s\n", tests[i].name) > 0;
    } else if (strcmp(option, "--here") == 0) {
      if (argc > 2 && strcmp(argv[2], tests[i].name) == 0) {
        run_here(i);
        run++;
      }
    } else if (is_wanted(tests[i].name, argc - 1, argv + 1)) {
      run++;
      if (!passes(argv[0], i)) {
        fprintf(stderr, "FAILED %s\n", tests[i].name);
        failed++;
      }
    }
  }
  if (*option != '-') {
    printf("%d tests in C passed, %d failed\n", run - failed, failed);
  }
  return failed > 0 || run == 0;
}
