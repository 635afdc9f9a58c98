/* arena.c: address space, memory, blocks and nodes: the lifetime of everything in the arena. */
#include "graph/arena.h"
#include "graph/trace.h"
#include "memory.h"

enum {
  /* 2^31 ids, 64 GiB of address space: even if all of them are `v + v` of one v, its 32-bit count holds. */
  MAX_BLOCKS = 1 << 23,
  MIN_BLOCKS = 1 << 7,
  COMMIT_BLOCKS = 1 << 7, /* 1 MiB at a time */
  /* Empty blocks whose memory is kept, 32 MiB, so that a training step's temporaries need no system call. */
  MAX_SPARES = 1 << 12,
};

static const size_t BLOCK_BYTES = PG_BLOCK_NODES * sizeof(pg_node);

pg_arena pg_the_arena = {.lock = ATOMIC_FLAG_INIT};
static pg_arena *const A = &pg_the_arena;

/* Threads without a GIL that make nodes at the same time do so by turns of many: to pass on the lock, with the
 * memory that it guards, for each node takes 2.5 times as long. */
void pg_wait_for_lock(void) {
  atomic_fetch_add_explicit(&A->waiting, 1, memory_order_relaxed);
  for (unsigned waited = 0; atomic_flag_test_and_set_explicit(&A->lock, memory_order_acquire); waited++) {
    pg_os_yield(waited);
  }
  atomic_fetch_sub_explicit(&A->waiting, 1, memory_order_relaxed);
}

void pg_let_others(void) {
  for (unsigned naps = 0; naps < 4 && atomic_load_explicit(&A->waiting, memory_order_relaxed); naps++) {
    pg_os_yield(2 + naps);
  }
}

/* Memory ------------------------------------------------------------------------------------------------ */

static size_t bytes_of_nodes(uint32_t blocks) { return blocks * BLOCK_BYTES; }
static size_t bytes_of_table(uint32_t blocks) { return blocks * sizeof(pg_block); }

/* Reserves both ranges for so many blocks, or nothing. Systems of 32 bits cannot count the bytes of the most.
 */
static bool reserve(uint32_t blocks) {
  if (blocks > SIZE_MAX / BLOCK_BYTES) {
    return false;
  }
  void *nodes = pg_os_reserve(bytes_of_nodes(blocks));
  void *table = nodes ? pg_os_reserve(bytes_of_table(blocks)) : NULL;
  if (!table) {
    if (nodes) {
      pg_os_unreserve(nodes, bytes_of_nodes(blocks));
    }
    return false;
  }
  A->nodes = nodes;
  A->blocks = table;
  A->capacity = blocks;
  return true;
}

static void unreserve(void) {
  pg_os_unreserve(A->nodes, bytes_of_nodes(A->capacity));
  pg_os_unreserve(A->blocks, bytes_of_table(A->capacity));
  A->capacity = 0;
}

/* Reserves the most address space there is. Where it is limited, the rest of the process keeps half of it. */
static bool reserve_most(void) {
  if (reserve(MAX_BLOCKS)) {
    return true;
  }
  for (uint32_t blocks = MAX_BLOCKS / 2; blocks >= MIN_BLOCKS; blocks /= 2) {
    if (reserve(blocks)) {
      unreserve();
      return reserve(blocks / 2);
    }
  }
  return false;
}

/* The child of a fork has none of the parent's threads but the one that forked: the trace of another ends. */
static void unlock_in_child(void) {
  if (A->tracing_thread != pg_os_thread()) {
    A->trace_flag = 0;
  }
  A->waiting = 0;
  pg_unlock();
}

/* Reserves address space for the first node. May be called again after it has failed. */
static bool start(void) {
  if (!pg_may_allocate()) {
    return false;
  }
  /* Handlers are registered once, even if reserving fails now and start() is called again. */
  A->fork_safe = A->fork_safe || pg_os_at_fork(pg_lock, pg_unlock, unlock_in_child);
  return A->fork_safe && reserve_most();
}

/* Puts memory behind the next COMMIT_BLOCKS blocks, or behind those that are left. State changes only once
 * nothing can fail any more. */
static bool commit(void) {
  if ((A->capacity == 0 && !start()) || A->committed == A->capacity || !pg_may_allocate()) {
    return false;
  }
  uint32_t grown = A->committed + COMMIT_BLOCKS < A->capacity ? A->committed + COMMIT_BLOCKS : A->capacity;
  const uint32_t more = grown - A->committed;
  if (!pg_os_commit(A->blocks + A->committed, bytes_of_table(more)) ||
      !pg_os_commit(A->nodes + pg_first_of(A->committed), bytes_of_nodes(more))) {
    return false;
  }
  if (A->committed == 0) {
    A->nodes[0].refs = 1;
    A->fresh = 1;
  }
  A->committed = grown;
  return true;
}

/* Blocks ------------------------------------------------------------------------------------------------ */

/* Takes a block out of the list it is on. Block 0 ends every list; its neighbours are written, but never read.
 */
static void unlink_block(pg_block_id block) {
  const pg_block *b = &A->blocks[block];
  A->blocks[b->older].younger = b->younger;
  A->blocks[b->younger].older = b->older;
}

/* Puts a block, which must be on no list, at the young end of one. */
static void link_block(pg_block_id *youngest, pg_block_id block) {
  assert(block && block != *youngest);
  A->blocks[block].older = *youngest;
  A->blocks[block].younger = 0;
  A->blocks[*youngest].younger = block;
  *youngest = block;
}

/* Takes a block out of the list of spare or of discarded blocks, where set_free() has put it. */
static void take_free(pg_block_id block) {
  bool discarded = A->blocks[block].discarded;
  pg_block_id *list = discarded ? &A->discarded : &A->spare;
  if (*list == block) {
    *list = A->blocks[block].older;
  }
  unlink_block(block);
  --*(discarded ? &A->discards : &A->spares);
}

static bool is_free(pg_block_id block) {
  return block && block < A->fresh && block != A->youngest && A->blocks[block].live == 0;
}

/* Gives back the memory of a free block and of those that share its page, if all of them are free. */
static void discard_page(pg_block_id block) {
  const pg_block_id count = pg_os_page() > BLOCK_BYTES ? (pg_block_id)(pg_os_page() / BLOCK_BYTES) : 1;
  const pg_block_id first = block - block % count, end = first + count;
  for (block = first; block < end; block++) {
    if (!is_free(block)) {
      return;
    }
  }
  if (pg_os_discard(pg_node_at(pg_first_of(first)), count * BLOCK_BYTES)) {
    for (block = first; block < end; block++) {
      take_free(block);
      A->blocks[block] = (pg_block){.discarded = true};
      link_block(&A->discarded, block);
      A->discards++;
    }
  }
}

/* Closes a block without live nodes, which is on no list any more. A spare block keeps the marks of its dead
 * nodes, so it keeps `swept`, too; a discarded one reads as zero. */
static void set_free(pg_block_id block) {
  assert(A->blocks[block].live == 0 && A->open > 0);
  --A->open;
  link_block(&A->spare, block);
  if (++A->spares > MAX_SPARES) {
    discard_page(block);
  }
}

/* Opens a block at the young end, which must be empty and on no list. What was the open block's unused part
 * stays unused until that block is empty again. */
static void open_block(pg_block_id block) {
  assert(block < A->fresh && A->blocks[block].live == 0);
  A->blocks[block].discarded = false;
  A->blocks[block].trace = A->trace;
  link_block(&A->youngest, block);
  A->next = pg_first_of(block);
  A->end = A->next + PG_BLOCK_NODES;
  if (++A->open > A->peak_open) {
    A->peak_open = A->open;
  }
}

/* Opens the block after the youngest if that is free, else any other. A graph whose blocks lie side by side is
 * made, swept and freed 1.5 times as fast, because the processor prefetches the next one. */
static bool open_any_block(void) {
  pg_block_id block = A->youngest + 1;
  if (block == 1 || block >= A->fresh || A->blocks[block].live || A->blocks[block].discarded) {
    block = A->spares ? A->spare : A->discarded;
  }
  if (block) {
    take_free(block);
  } else if (A->fresh < A->committed || commit()) {
    block = A->fresh++;
  } else {
    return false;
  }
  open_block(block);
  return true;
}

bool pg_begin_traced_block(void) {
  if ((!A->youngest || A->blocks[A->youngest].live) && !open_any_block()) {
    return false;
  }
  A->blocks[A->youngest].trace = ++A->trace;
  return true;
}

/* Called when the last node of a block has died. */
static void block_emptied(pg_block_id block) {
  if (block == A->youngest) { /* it stays open, and is filled from its start again */
    A->next = pg_first_of(block);
    A->end = A->next + PG_BLOCK_NODES;
    return;
  }
  unlink_block(block);
  set_free(block);
}

/* Nodes ------------------------------------------------------------------------------------------------- */

enum { RUN = 64 }; /* so many ids are looked at together */

/* Whether the next ids are consecutive, in blocks of which all nodes live: so are those of most parameters. */
static bool are_in_full_blocks(const pg_id *ids) {
  const pg_id first = ids[0], last = ids[RUN - 1];
  if (last - first != RUN - 1 || first > last || last >= A->fresh * PG_BLOCK_NODES ||
      A->blocks[pg_block_of(first)].live < PG_BLOCK_NODES ||
      A->blocks[pg_block_of(last)].live < PG_BLOCK_NODES) {
    return false;
  }
  pg_id others = 0;
  for (pg_id i = 0; i < RUN; i++) {
    others |= ids[i] ^ (first + i);
  }
  return !others;
}

/* Unrolled, it takes three quarters of the time. */
static bool each_lives(size_t n, const pg_id *ids) {
#pragma GCC unroll 4
  for (size_t i = 0; i < n; i++) {
    if (!pg_is_live(ids[i])) {
      return false;
    }
  }
  return true;
}

bool pg_all_live(size_t n, const pg_id *ids) {
  for (; n >= RUN; n -= RUN, ids += RUN) {
    if (!are_in_full_blocks(ids) && !each_lives(RUN, ids)) {
      return false;
    }
  }
  return each_lives(n, ids);
}

static void count_live(size_t more) {
  A->live += more;
  if (A->live > A->peak_live) {
    A->peak_live = A->live;
  }
}

pg_id pg_new_node(int op, double data, pg_id a, pg_id b, int flags) {
  assert((!a || pg_is_live(a)) && (!b || pg_is_live(b)));
  if (A->next == A->end && !open_any_block()) {
    return 0;
  }
  pg_id id = A->next++;
  assert(!pg_is_live(id));
  A->nodes[id] = (pg_node){
      .data = data, .a = a, .b = b, .refs = 1, .flags = (uint16_t)(flags | pg_trace_flag()), .op = (uint8_t)op};
  A->nodes[a].refs++;
  A->nodes[b].refs++;
  A->blocks[A->youngest].live++;
  count_live(1);
  return id;
}

/* How many blocks hold so many nodes. */
static size_t blocks_for(size_t nodes) { return nodes / PG_BLOCK_NODES + (nodes % PG_BLOCK_NODES != 0); }

/* Puts memory behind so many blocks that were never used. False if there are no more, or there is no memory. */
static bool commit_fresh(size_t blocks) {
  while (A->committed - A->fresh < blocks) {
    if (blocks > (A->capacity ? A->capacity : MAX_BLOCKS) - A->fresh || !commit()) {
      return false;
    }
  }
  return true;
}

/* Finds free blocks that lie side by side: the first such run, else blocks that were never used. Returns the
 * first of them; 0 if there is no memory for so many. The youngest block must not be empty. */
static pg_block_id find_blocks(size_t count) {
  size_t found = 0;
  for (pg_block_id block = 1; A->spares + A->discards >= count && block < A->fresh; block++) {
    found = A->blocks[block].live ? 0 : found + 1;
    if (found == count) {
      return block + 1 - (pg_block_id)count;
    }
  }
  return commit_fresh(count) ? A->fresh : 0;
}

/* Opens blocks that lie side by side for so many nodes. All but the youngest of them count as full: the caller
 * must fill them. False, and nothing is lost, if there is no memory. */
static bool open_blocks(size_t nodes) {
  if (A->youngest && A->blocks[A->youngest].live == 0) { /* only the youngest may be empty */
    pg_block_id empty = A->youngest;
    A->youngest = A->blocks[empty].older;
    unlink_block(empty);
    A->next = A->end = 0;
    set_free(empty);
  }
  const size_t count = blocks_for(nodes);
  if (count == 1) { /* any one will do: no search */
    return open_any_block();
  }
  const pg_block_id first = find_blocks(count);
  if (!first) {
    return false;
  }
  for (pg_block_id block = first; block < first + count; block++) {
    if (block < A->fresh) {
      take_free(block);
    } else {
      A->fresh = block + 1;
    }
    open_block(block);
    A->blocks[block].live = block + 1 < first + count ? PG_BLOCK_NODES : 0;
  }
  A->next = pg_first_of(first);
  return true;
}

pg_id pg_new_leaves(const double *data, size_t count, int flags) {
  if (count > A->end - A->next && !open_blocks(count)) {
    return 0;
  }
  flags |= PG_FLOAT | pg_trace_flag();
  const pg_id first = A->next;
  for (size_t i = 0; i < count; i++) {
    A->nodes[first + i] = (pg_node){.data = data[i], .refs = 1, .flags = (uint16_t)flags, .op = PG_LEAF};
  }
  A->next += (pg_id)count;
  A->nodes[0].refs += (uint32_t)(2 * count);
  assert(A->next <= A->end);
  /* Of several blocks all but the youngest are full, and counted as such. */
  const pg_id begins = pg_first_of(A->youngest);
  A->blocks[A->youngest].live += (uint16_t)(A->next - (first > begins ? first : begins));
  count_live(count);
  return first;
}

bool pg_build_begin(pg_build *build, size_t nodes) {
  const size_t room = A->end - A->next + (size_t)PG_BLOCK_NODES * (A->spares + A->discards);
  if (nodes > room && !commit_fresh(blocks_for(nodes - room))) {
    return false;
  }
  *build = (pg_build){
      .nodes = A->nodes, .next = A->next, .end = A->end, .first = A->next, .trace_flag = pg_trace_flag()};
  return true;
}

void pg_build_end(pg_build build) {
  if (A->capacity == 0) { /* no node was ever made */
    return;
  }
  assert(build.first <= build.next && build.next <= A->end);
  A->next = build.next;
  A->nodes[0].refs += build.absent;
  A->blocks[A->youngest].live += (uint16_t)(build.next - build.first);
  count_live(build.next - build.first);
}

pg_build pg_build_next_block(pg_build build) {
  pg_build_end(build);
  bool opened = open_any_block();
  assert(opened); /* pg_build_begin() has made sure of it */
  (void)opened;
  build.next = build.first = A->next;
  build.end = A->end;
  build.absent = 0;
  return build;
}

/* Called when so many nodes of a block have died. */
static void count_dead(pg_block_id block, uint16_t nodes) {
  assert(A->blocks[block].live >= nodes && A->live >= nodes);
  A->live -= nodes;
  A->blocks[block].live -= nodes;
  if (A->blocks[block].live == 0) {
    block_emptied(block);
  }
}

void pg_drop(pg_id id) {
  pg_node *const nodes = A->nodes;
  assert(nodes[id].refs > 0);
  if (--nodes[id].refs) {
    return;
  }
  /* Dead nodes that must wait are linked into a list through their own memory, so there is no recursion,
   * however deep the graph. The dead of a block are counted together, when the loop leaves the block. */
  pg_id waiting = 0;
  pg_block_id block = pg_block_of(id);
  uint16_t dead = 0;
  for (;;) {
    if (pg_block_of(id) != block) {
      count_dead(block, dead);
      block = pg_block_of(id);
      dead = 0;
    }
    dead++;
    const pg_id a = nodes[id].a, b = nodes[id].b;
    const bool a_dies = --nodes[a].refs == 0, b_dies = --nodes[b].refs == 0;
    if (a_dies && b_dies) {
      nodes[a].link = waiting;
      waiting = a;
    }
    if (a_dies || b_dies) {
      id = b_dies ? b : a;
    } else if (waiting) {
      id = waiting;
      waiting = nodes[id].link;
    } else {
      break;
    }
  }
  count_dead(block, dead);
}

void pg_memory_stats(pg_memory *stats) {
  pg_lock();
  *stats = (pg_memory){
      .live_nodes = A->live,
      .peak_live_nodes = A->peak_live,
      .blocks = A->open,
      .peak_blocks = A->peak_open,
      .reserved_bytes = bytes_of_nodes(A->capacity) + bytes_of_table(A->capacity),
      .committed_bytes = bytes_of_nodes(A->committed - A->discards) + bytes_of_table(A->committed),
  };
  pg_unlock();
}
