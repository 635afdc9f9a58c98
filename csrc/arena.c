#include "arena.h"

enum {
  /* 2^31 ids, 64 GiB of address space: even if all of them are `v + v` of one v, its 32-bit count holds. */
  MAX_BLOCKS = 1 << 23,
  MIN_BLOCKS = 1 << 7,
  COMMIT_BLOCKS = 1 << 7, /* 1 MiB at a time */
  /* Empty blocks whose memory is kept, 16 MiB: a training step's temporaries come and go without a system call.
   */
  MAX_SPARES = 1 << 11,
};

static const size_t BLOCK_BYTES = PG_BLOCK_NODES * sizeof(pg_node);

pg_arena pg_the_arena = {.lock = ATOMIC_FLAG_INIT, .test_successes = -1};
static pg_arena *const A = &pg_the_arena;

/* Memory ------------------------------------------------------------------------------------------------ */

/* Every allocation of the core asks here first. */
static bool may_allocate(void) {
  if (A->test_successes > 0) {
    A->test_successes--;
    return true;
  }
  return A->test_successes < 0;
}

void pg_test_fail_allocations(int64_t successes) {
  pg_lock();
  A->test_successes = successes;
  pg_unlock();
}

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
  if (!may_allocate()) {
    return false;
  }
  /* Once, even if the reserve is refused now and start() is tried again. */
  A->fork_safe = A->fork_safe || pg_os_at_fork(pg_lock, pg_unlock);
  return A->fork_safe && reserve_most();
}

/* Puts memory behind the next blocks. */
static bool commit(void) {
  if ((A->capacity == 0 && !start()) || A->committed == A->capacity || !may_allocate()) {
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

static pg_block_id pop(pg_block_id *list, uint32_t *count) {
  pg_block_id block = *list;
  *list = A->blocks[block].older;
  --*count;
  return block;
}

static void push(pg_block_id *list, uint32_t *count, pg_block_id block) {
  A->blocks[block].older = *list;
  *list = block;
  ++*count;
}

/* Opens an empty block at the young end. */
static bool open_block(void) {
  pg_block_id block;
  if (A->spares) {
    block = pop(&A->spare, &A->spares);
  } else if (A->discards) {
    block = pop(&A->discarded, &A->discards);
  } else if (A->fresh < A->committed || commit()) {
    block = A->fresh++;
  } else {
    return false;
  }
  A->blocks[block] = (pg_block){.older = A->youngest};
  A->blocks[A->youngest].younger = block;
  A->youngest = block;
  A->next = pg_first_of(block);
  A->end = A->next + PG_BLOCK_NODES;
  if (++A->open > A->peak_open) {
    A->peak_open = A->open;
  }
  return true;
}

/* The last node of a block has died. */
static void block_emptied(pg_block_id block) {
  if (block == A->youngest) { /* stays open, from its start */
    A->next = pg_first_of(block);
    A->end = A->next + PG_BLOCK_NODES;
    return;
  }
  pg_block *b = &A->blocks[block];
  A->blocks[b->older].younger = b->younger;
  A->blocks[b->younger].older = b->older;
  --A->open;
  if (A->spares >= MAX_SPARES && pg_os_discard(pg_node_at(pg_first_of(block)), BLOCK_BYTES)) {
    push(&A->discarded, &A->discards, block);
  } else {
    push(&A->spare, &A->spares, block);
  }
}

/* Nodes ------------------------------------------------------------------------------------------------- */

pg_id pg_new_node(int op, double data, pg_id a, pg_id b, int flags) {
  if (A->next == A->end && !open_block()) {
    return 0;
  }
  pg_id id = A->next++;
  A->nodes[id] = (pg_node){.data = data, .a = a, .b = b, .refs = 1, .op = (uint8_t)op, .flags = (uint8_t)flags};
  A->nodes[a].refs++;
  A->nodes[b].refs++;
  A->blocks[A->youngest].live++;
  if (++A->live > A->peak_live) {
    A->peak_live = A->live;
  }
  return id;
}

void pg_drop(pg_id id) {
  assert(pg_node_at(id)->refs > 0);
  if (--A->nodes[id].refs) {
    return;
  }
  /* The dead wait on a list that runs through themselves: no recursion, however deep the graph. */
  pg_id dead = id;
  A->nodes[id].link = 0;
  while (dead) {
    id = dead;
    const pg_node *n = &A->nodes[id];
    dead = n->link;
    const pg_id operands[2] = {n->a, n->b};
    for (int i = 0; i < 2; i++) {
      pg_node *operand = &A->nodes[operands[i]];
      if (--operand->refs == 0) {
        operand->link = dead;
        dead = operands[i];
      }
    }
    --A->live;
    pg_block_id block = pg_block_of(id);
    if (--A->blocks[block].live == 0) {
      block_emptied(block);
    }
  }
}

uint16_t pg_new_epoch(void) {
  if (++A->epoch == 0) { /* 65,536 sweeps on: wipe the old marks, before their epochs come again */
    for (pg_block_id block = A->youngest; block; block = A->blocks[block].older) {
      A->blocks[block].mark = 0;
      for (pg_id i = 0; i < PG_BLOCK_NODES; i++) {
        A->nodes[pg_first_of(block) + i].mark = 0;
      }
    }
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
