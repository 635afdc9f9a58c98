#include "graph/arena.h"

#include "memory.h"

enum {
  /* 2^31 ids, 64 GiB of address space: even if all of them are `v + v` of one v, its 32-bit count holds. */
  MAX_BLOCKS = 1 << 23,
  MIN_BLOCKS = 1 << 7,
  COMMIT_BLOCKS = 1 << 7, /* 1 MiB at a time */
  /* Empty blocks whose memory is kept, 32 MiB: a training step's temporaries come and go without a system call.
   */
  MAX_SPARES = 1 << 12,
};

static const size_t BLOCK_BYTES = PG_BLOCK_NODES * sizeof(pg_node);

pg_arena pg_the_arena = {.lock = ATOMIC_FLAG_INIT};
static pg_arena *const A = &pg_the_arena;

/* Memory ------------------------------------------------------------------------------------------------ */

static size_t bytes_of_nodes(uint32_t blocks) { return blocks * BLOCK_BYTES; }
static size_t bytes_of_table(uint32_t blocks) { return blocks * sizeof(pg_block); }

/* Both ranges for so many blocks, or nothing. */
static bool reserve(uint32_t blocks) {
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

/* The most address space there is; where it is short, half of it is left to the rest of the process. */
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

static bool start(void) {
  if (!pg_may_allocate()) {
    return false;
  }
  /* Once, even if the reserve is refused now and start() is tried again. */
  A->fork_safe = A->fork_safe || pg_os_at_fork(pg_lock, pg_unlock);
  return A->fork_safe && reserve_most();
}

/* Puts memory behind the next blocks. */
static bool commit(void) {
  if ((A->capacity == 0 && !start()) || A->committed == A->capacity || !pg_may_allocate()) {
    return false;
  }
  uint32_t grown = A->committed + COMMIT_BLOCKS < A->capacity ? A->committed + COMMIT_BLOCKS : A->capacity;
  /* The table's range is committed anew from its start: its pages and COMMIT_BLOCKS entries do not align. */
  if (!pg_os_commit(A->blocks, bytes_of_table(grown)) ||
      !pg_os_commit(A->nodes + pg_first_of(A->committed), bytes_of_nodes(grown - A->committed))) {
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

/* Takes a block out of the list it is on. Block 0 ends every list; what is written there nobody reads. */
static void unlink_block(pg_block_id block) {
  const pg_block *b = &A->blocks[block];
  A->blocks[b->older].younger = b->younger;
  A->blocks[b->younger].older = b->older;
}

/* Puts a block at the young end of a list. */
static void link_block(pg_block_id *youngest, pg_block_id block, pg_block as) {
  as.older = *youngest;
  A->blocks[block] = as;
  A->blocks[*youngest].younger = block;
  *youngest = block;
}

/* Closes a block in which nothing lives. */
static void set_free(pg_block_id block) {
  --A->open;
  if (A->spares >= MAX_SPARES && pg_os_discard(pg_node_at(pg_first_of(block)), BLOCK_BYTES)) {
    link_block(&A->discarded, block, (pg_block){.discarded = true});
    A->discards++;
  } else {
    link_block(&A->spare, block, (pg_block){.discarded = false});
    A->spares++;
  }
}

/* Takes a free block from where set_free() left it. */
static void take_free(pg_block_id block) {
  bool discarded = A->blocks[block].discarded;
  pg_block_id *list = discarded ? &A->discarded : &A->spare;
  if (*list == block) {
    *list = A->blocks[block].older;
  }
  unlink_block(block);
  --*(discarded ? &A->discards : &A->spares);
}

/* Opens an empty block at the young end. */
static void open_block(pg_block_id block) {
  link_block(&A->youngest, block, (pg_block){0});
  A->next = pg_first_of(block);
  A->end = A->next + PG_BLOCK_NODES;
  if (++A->open > A->peak_open) {
    A->peak_open = A->open;
  }
}

/* Opens the block beside the youngest if that is free, or else any one: a graph whose blocks lie side by side
 * is made, swept and freed half again as fast, for the processor sees what comes next. */
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

/* The last node of a block has died. */
static void block_emptied(pg_block_id block) {
  if (block == A->youngest) { /* stays open, from its start */
    A->next = pg_first_of(block);
    A->end = A->next + PG_BLOCK_NODES;
    return;
  }
  unlink_block(block);
  set_free(block);
}

/* Nodes ------------------------------------------------------------------------------------------------- */

bool pg_all_live(size_t n, const pg_id *ids) {
  for (size_t i = 0; i < n; i++) {
    if (!pg_is_live(ids[i])) {
      return false;
    }
  }
  return true;
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
  A->nodes[id] = (pg_node){
      .data = data, .a = a, .b = b, .refs = 1, .op = (uint8_t)op, .flags = (uint8_t)(flags | pg_born())};
  A->nodes[a].refs++;
  A->nodes[b].refs++;
  A->blocks[A->youngest].live++;
  count_live(1);
  return id;
}

static size_t blocks_for(size_t nodes) { return nodes / PG_BLOCK_NODES + (nodes % PG_BLOCK_NODES != 0); }

/* Puts memory behind so many blocks that were never used. */
static bool commit_fresh(size_t blocks) {
  while (A->committed - A->fresh < blocks) {
    if (blocks > (A->capacity ? A->capacity : MAX_BLOCKS) - A->fresh || !commit()) {
      return false;
    }
  }
  return true;
}

/* Free blocks side by side: the first there are, or else never used ones. The first of them, or 0 if there is
 * no memory for so many. */
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

/* Opens blocks that lie side by side, to hold so many nodes. */
static bool open_blocks(size_t nodes) {
  if (A->youngest && A->blocks[A->youngest].live == 0) { /* a block that is not the youngest has live nodes */
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

pg_id pg_new_leaves(const double *data, size_t count) {
  if (count > A->end - A->next && !open_blocks(count)) {
    return 0;
  }
  const pg_id first = A->next;
  const uint8_t flags = pg_born();
  for (size_t i = 0; i < count; i++) {
    A->nodes[first + i] = (pg_node){.data = data[i], .refs = 1, .op = PG_LEAF, .flags = flags};
  }
  A->next += (pg_id)count;
  A->nodes[0].refs += (uint32_t)(2 * count);
  /* Of several blocks all but the youngest are full, and say so. */
  const pg_id begins = pg_first_of(A->youngest);
  A->blocks[A->youngest].live += (uint16_t)(A->next - (first > begins ? first : begins));
  count_live(count);
  return first;
}

bool pg_begin(pg_pen *pen, size_t nodes) {
  const size_t room = A->end - A->next + (size_t)PG_BLOCK_NODES * (A->spares + A->discards);
  if (nodes > room && !commit_fresh(blocks_for(nodes - room))) {
    return false;
  }
  *pen = (pg_pen){.nodes = A->nodes, .next = A->next, .end = A->end, .first = A->next, .born = pg_born()};
  return true;
}

void pg_end(pg_pen pen) {
  if (A->capacity == 0) { /* nothing was ever made, and nothing now */
    return;
  }
  assert(pen.first <= pen.next && pen.next <= A->end);
  A->next = pen.next;
  A->nodes[0].refs += pen.absent;
  A->blocks[A->youngest].live += (uint16_t)(pen.next - pen.first);
  count_live(pen.next - pen.first);
}

pg_pen pg_next_block(pg_pen pen) {
  pg_end(pen);
  bool opened = open_any_block();
  assert(opened); /* pg_begin saw to it */
  (void)opened;
  pen.next = pen.first = A->next;
  pen.end = A->end;
  pen.absent = 0;
  return pen;
}

/* So many nodes of a block have died. */
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
  /* The dead that must wait do so on a list that runs through themselves: no recursion, however deep the graph.
   * A block hears of its dead when the next block's turn has come. */
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

/* Wipes the marks of the blocks on a list. */
static void wipe_marks(pg_block_id block) {
  for (; block; block = A->blocks[block].older) {
    A->blocks[block].mark = 0;
    for (pg_id i = 0; i < PG_BLOCK_NODES; i++) {
      A->nodes[pg_first_of(block) + i].mark = 0;
    }
  }
}

uint16_t pg_new_epoch(void) {
  if (++A->epoch == 0) { /* 65,536 sweeps on: wipe the old marks, before their epochs come again */
    wipe_marks(A->youngest);
    wipe_marks(A->spare); /* what was marked in a sweep that was given up may have died since */
    A->epoch = 1;
  }
  return A->epoch;
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
