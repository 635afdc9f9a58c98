/* test.h: shared by the tests of csrc/. A test is
 *
 *   TEST(a_sentence_that_it_proves) {
 *     ...
 *     CHECK(what must be true);
 *   }
 *
 * It runs in a process of its own, with a new arena, and must release all nodes that it makes. Each CHECK also
 * checks the whole arena.
 */
#ifndef PYGRAD_TEST_H
#define PYGRAD_TEST_H

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "pygrad.h"

#define TEST(name)                                                                                             \
  static void name(void);                                                                                      \
  __attribute__((constructor)) static void add_##name(void) { add_test(#name, name); }                         \
  static void name(void)

#define CHECK(condition) check(condition, #condition, __FILE__, __LINE__)

/* Does not check the arena: for what is done a million times. */
#define REQUIRE(condition) require(condition, #condition, __FILE__, __LINE__)

#define COUNT(array) (sizeof(array) / sizeof *(array))

void add_test(const char *name, void (*run)(void));
void require(bool passed, const char *condition, const char *file, int line);
void check(bool passed, const char *condition, const char *file, int line);

/* How many allocations were not freed yet, nodes live, and blocks are open. */
int64_t allocated(void);
uint64_t live_nodes(void);
uint64_t open_blocks(void);

/* The id of a new node, pinned or not. Making it must not have failed. */
pg_id id_of(pg_made made);

pg_id leaf(double number);
void release(pg_id id);

/* A whole backward pass. PG_OK, or the status of the adjoint that failed. */
int backward(pg_id root);

/* Calls work(0), ..., work(THREADS - 1) in threads of their own, and waits for all of them. */
enum { THREADS = 6 };
void in_threads(void *(*work)(void *number));

/* Whether two numbers have the same bits; whether they differ by rounding only. */
bool same(double x, double y);
bool near(double x, double y, double tolerance);

/* Random numbers that are the same each time (Steele, Lea & Flood, 2014). */
uint64_t random_bits(uint64_t *seed);
uint32_t random_below(uint64_t *seed, uint32_t end);
double random_number(uint64_t *seed); /* from -1 to 1 */

#endif
