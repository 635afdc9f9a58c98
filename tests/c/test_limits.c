/* Tests of an arena in a process whose address space or memory is limited, for systems that can do so. */
#define _DEFAULT_SOURCE
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "graph/arena.h"
#include "test.h"

/* Limits the address space to so many bytes more than the process has. False under sanitizers and valgrind,
 * which need it themselves. */
static bool limit_address_space(rlim_t bytes) {
  unsigned long pages = 0;
  FILE *statm = getenv("PYGRAD_SANITIZED") ? NULL : fopen("/proc/self/statm", "r");
  if (!statm || fscanf(statm, "%lu", &pages) != 1 || fclose(statm)) {
    return false;
  }
  const struct rlimit limit = {pages * (rlim_t)sysconf(_SC_PAGESIZE) + bytes, RLIM_INFINITY};
  return setrlimit(RLIMIT_AS, &limit) == 0;
}

TEST(a_limited_address_space_gives_a_smaller_arena) {
  if (!limit_address_space((rlim_t)256 << 20)) {
    return;
  }
  pg_id y = leaf(1);
  const pg_id x = y;
  pg_hold(x);
  for (;;) {
    const pg_made longer = pg_make_RELU(y);
    if (longer < 0) {
      CHECK(longer == PG_NO_MEMORY);
      break;
    }
    pg_release(y);
    y = (pg_id)longer;
  }
  pg_memory memory;
  pg_memory_stats(&memory);
  CHECK(memory.live_nodes > 100000 && memory.reserved_bytes <= (128 << 20));
  void *rest = pg_os_reserve(128 << 20); /* the rest of the process has room */
  CHECK(rest != NULL);
  pg_os_unreserve(rest, 128 << 20);
  CHECK(backward(y) == PG_OK);
  CHECK(pg_grad(x) == 1);
  release(y);
  release(x);
}

TEST(no_address_space_is_out_of_memory_until_there_is_some) {
  struct rlimit before;
  getrlimit(RLIMIT_AS, &before);
  for (rlim_t bytes = 0; bytes < (rlim_t)1 << 20; bytes += 300000) {
    if (!limit_address_space(bytes)) {
      return;
    }
    const pg_made refused = pg_leaf(1, false), again = pg_leaf(1, false);
    setrlimit(RLIMIT_AS, &before);
    CHECK(refused == PG_NO_MEMORY && again == PG_NO_MEMORY);
  }
  release(leaf(1));
}

TEST(memory_that_is_refused_is_out_of_memory_until_there_is_some) {
  struct rlimit before;
  getrlimit(RLIMIT_DATA, &before); /* limits committed memory, but not reserved address space */
  const struct rlimit none = {1, before.rlim_max};
  if (getenv("PYGRAD_SANITIZED") || setrlimit(RLIMIT_DATA, &none)) {
    return;
  }
  const pg_made refused = pg_leaf(1, false);
  setrlimit(RLIMIT_DATA, &before);
  CHECK(refused == PG_NO_MEMORY);
  const pg_id x = leaf(1);
  setrlimit(RLIMIT_DATA, &none);
  const pg_made again = pg_leaves(100000, NULL);
  const char *unchecked = pg_check();
  setrlimit(RLIMIT_DATA, &before);
  CHECK(again == PG_NO_MEMORY && unchecked);
  release(x);
}

TEST(an_arena_has_room_for_nodes_and_for_the_table_of_their_blocks) {
  /* Enough for the nodes of half the blocks that there can be, but not for their table, too. */
  if (limit_address_space(((rlim_t)1 << 35) + (1 << 20))) {
    release(leaf(1));
    pg_memory memory;
    pg_memory_stats(&memory);
    CHECK(memory.reserved_bytes < (uint64_t)1 << 34);
  }
}
