/* check.c: checks every invariant of the arena in one pass over all of it, for tests. */
#include "graph/arena.h"

/* What the check collects. Its memory does not come from pg_resize(), since it is needed while tests make
 * allocations fail, too. */
typedef struct {
  size_t bytes;
  uint32_t *places;  /* a block: its place on the list, oldest first; 0 if it is not there */
  uint32_t *parents; /* a node: how often it is an operand of a live one */
  uint64_t live;
} findings;

static bool begin(findings *found) {
  const size_t blocks = pg_the_arena.fresh;
  *found = (findings){.bytes = blocks * (1 + PG_BLOCK_NODES) * sizeof *found->places};
  found->places = pg_os_reserve(found->bytes);
  if (!found->places) {
    return false;
  }
  found->parents = found->places + blocks;
  return pg_os_commit(found->places, found->bytes);
}

static void end(const findings *found) {
  if (found->places) {
    pg_os_unreserve(found->places, found->bytes);
  }
}

typedef struct {
  bool broken;
  const char *rule;
} invariant;

static const char *first_broken(size_t count, const invariant *invariants) {
  for (size_t i = 0; i < count; i++) {
    if (invariants[i].broken) {
      return invariants[i].rule;
    }
  }
  return NULL;
}

/* Lists -------------------------------------------------------------------------------------------------- */

/* Walks a list from its young end, and notes the place of each block unless `places` is NULL. (A block that is
 * on a list twice, or on two, is found because it has only one `younger`.) */
static const char *check_list(pg_block_id youngest, uint32_t count, uint32_t *places) {
  const pg_block *blocks = pg_the_arena.blocks;
  pg_block_id younger = 0;
  for (pg_block_id block = youngest; block; younger = block, block = blocks[block].older) {
    if (block >= pg_the_arena.fresh) {
      return "a block on a list has been used";
    }
    if (blocks[block].younger != younger) {
      return "neighbours on a list refer to each other";
    }
    if (count == 0) {
      return "a list is no longer than its count";
    }
    if (places) {
      places[block] = count;
    }
    count--;
  }
  return count ? "a list is no shorter than its count" : NULL;
}

static const char *check_lists(const findings *found) {
  const pg_arena *arena = &pg_the_arena;
  const char *broken = check_list(arena->youngest, arena->open, found->places);
  broken = broken ? broken : check_list(arena->spare, arena->spares, NULL);
  broken = broken ? broken : check_list(arena->discarded, arena->discards, NULL);
  const bool all = 1 + arena->open + arena->spares + arena->discards == arena->fresh;
  return broken || all ? broken : "a block is on a list";
}

/* Nodes -------------------------------------------------------------------------------------------------- */

/* Whether an operand is "no node", or is live and older than the node: in an older block, or before it in the
 * same. */
static bool is_sound_operand(const findings *found, pg_id operand, pg_id id) {
  if (operand == 0) {
    return true;
  }
  const pg_block_id block = pg_block_of(operand), own = pg_block_of(id);
  return pg_is_live(operand) && (block == own ? operand < id : found->places[block] < found->places[own]);
}

static const char *check_live_node(const findings *found, pg_id id) {
  const pg_node *n = pg_node_at(id);
  const invariant invariants[] = {
      {!is_sound_operand(found, n->a, id) || !is_sound_operand(found, n->b, id),
       "operands are live, and older than the node"},
      {id >= pg_the_arena.next && id < pg_the_arena.end, "no node lives in the unused part"},
      {n->op >= PG_OP_COUNT, "an op is in the table"},
      {(n->op == PG_LEAF) != !n->a && n->op != PG_CUSTOM, "all but leaves have operands"},
      {pg_is_swept(n->op) && !(n->flags & PG_INTERIOR), "a node that passes gradient on is interior"},
      {pg_op_arity(n->op) == 2 && !n->b, "a binary op has two operands"},
  };
  return first_broken(sizeof invariants / sizeof *invariants, invariants);
}

/* The nodes of a block in which so many are live. Dead nodes may bear marks, too: the block may be opened
 * again. */
static const char *check_nodes(findings *found, pg_block_id block, uint32_t live) {
  for (pg_id id = pg_first_of(block); id < pg_first_of(block + 1); id++) {
    const pg_node *n = pg_node_at(id);
    if ((n->mark & ~PG_FLOAT) > (uint8_t)pg_the_arena.blocks[block].swept && n->mark < PG_ASSIGNED) {
      return "a node's mark is no newer than the last sweep that marked a node of its block";
    }
    if (n->refs) {
      const char *broken = check_live_node(found, id);
      if (broken) {
        return broken;
      }
      found->parents[n->a]++;
      found->parents[n->b]++;
      found->live++;
      live--;
    }
  }
  return live ? "a block counts its live nodes" : NULL;
}

/* One block. The nodes of a discarded one are not touched: that would take memory for them again. */
static const char *check_block(findings *found, pg_block_id block) {
  const pg_block *b = &pg_the_arena.blocks[block];
  const bool is_open = found->places[block] > 0;
  const invariant invariants[] = {
      {is_open && block != pg_the_arena.youngest && !b->live,
       "a block that is not the youngest has live nodes"},
      {!is_open && b->live, "a free block has no live nodes"},
      {b->swept > pg_the_arena.sweep, "no block was marked by a sweep that has not begun"},
      {b->discarded && (is_open || b->swept), "a discarded block is free, and none of its nodes is marked"},
  };
  const char *broken = first_broken(sizeof invariants / sizeof *invariants, invariants);
  return broken || b->discarded ? broken : check_nodes(found, block, b->live);
}

/* The reference counts of a block, once all parents are counted. */
static const char *check_refs(const findings *found, pg_block_id block) {
  for (pg_id id = pg_first_of(block); id < pg_first_of(block + 1); id++) {
    const pg_node *n = pg_node_at(id);
    if (n->refs < found->parents[id] + (n->refs && n->flags & PG_HELD ? 1 : 0)) {
      return "each parent and each handle of a node counts as one of its holders";
    }
  }
  return NULL;
}

/* The whole ---------------------------------------------------------------------------------------------- */

static const char *check_counts(const findings *found) {
  const pg_arena *arena = &pg_the_arena;
  const pg_node *none = arena->nodes;
  const bool marked = none->mark && none->mark < PG_REACHED;
  const bool filling = arena->next != arena->end;
  const pg_id end = pg_first_of(arena->youngest) + PG_BLOCK_NODES;
  const invariant invariants[] = {
      {arena->live != found->live, "the arena counts its live nodes"},
      {arena->peak_live < arena->live || arena->peak_open < arena->open,
       "a peak is at least the present count"},
      {filling && (pg_block_of(arena->next) != arena->youngest || arena->end != end),
       "the unused part is the end of the youngest block"},
      {none->refs != 1 + found->parents[0], "absent operands are counted"},
      {none->data != 0 || none->grad != 0 || none->flags || marked, "node 0 is zero"},
  };
  return first_broken(sizeof invariants / sizeof *invariants, invariants);
}

static const char *check_all(findings *found) {
  const pg_block_id fresh = pg_the_arena.fresh;
  if (fresh > pg_the_arena.committed || pg_the_arena.committed > pg_the_arena.capacity) {
    return "used blocks have memory behind them";
  }
  const char *broken = check_lists(found);
  for (pg_block_id block = 1; block < fresh && !broken; block++) {
    broken = check_block(found, block);
  }
  for (pg_block_id block = 1; block < fresh && !broken; block++) {
    broken = found->places[block] ? check_refs(found, block) : NULL;
  }
  return broken ? broken : check_counts(found);
}

const char *pg_check(void) {
  findings found;
  const char *broken = NULL;
  pg_lock();
  if (pg_the_arena.fresh) { /* else no node was ever made */
    broken = begin(&found) ? check_all(&found) : "there is memory for the check";
    end(&found);
  }
  pg_unlock();
  return broken;
}
