/* check.c: whether the arena is sound: a walk through all of it, for tests. */
#include "graph/arena.h"

/* What is found out on the way. Its memory does not come from pg_resize: it is to be there where tests let
 * allocations fail, too. */
typedef struct {
  size_t bytes;
  uint32_t *turns;   /* a block: its turn on the list, oldest first; 0 if it is not there */
  uint32_t *parents; /* a node: how often it is an operand of a live one */
  uint64_t live;
} notes;

static bool begin(notes *found) {
  const size_t blocks = pg_the_arena.fresh;
  *found = (notes){.bytes = blocks * (1 + PG_BLOCK_NODES) * sizeof *found->turns};
  found->turns = pg_os_reserve(found->bytes);
  if (!found->turns) {
    return false;
  }
  found->parents = found->turns + blocks;
  return pg_os_commit(found->turns, found->bytes);
}

static void end(const notes *found) {
  if (found->turns) {
    pg_os_unreserve(found->turns, found->bytes);
  }
}

typedef struct {
  bool broken;
  const char *rule;
} breach;

static const char *first_broken(size_t count, const breach *breaches) {
  for (size_t i = 0; i < count; i++) {
    if (breaches[i].broken) {
      return breaches[i].rule;
    }
  }
  return NULL;
}

/* Lists -------------------------------------------------------------------------------------------------- */

/* Walks a list from its young end, and gives each block its turn if there is room for turns. (A block that is
 * on a list twice, or on two, has only one `younger`.) */
static const char *check_list(pg_block_id youngest, uint32_t count, uint32_t *turns) {
  const pg_block *blocks = pg_the_arena.blocks;
  pg_block_id younger = 0;
  for (pg_block_id block = youngest; block; younger = block, block = blocks[block].older) {
    if (block >= pg_the_arena.fresh) {
      return "a block on a list has been used";
    }
    if (blocks[block].younger != younger) {
      return "neighbours on a list know each other";
    }
    if (count == 0) {
      return "a list is no longer than its count";
    }
    if (turns) {
      turns[block] = count;
    }
    count--;
  }
  return count ? "a list is no shorter than its count" : NULL;
}

static const char *check_lists(const notes *found) {
  const pg_arena *arena = &pg_the_arena;
  const char *broken = check_list(arena->youngest, arena->open, found->turns);
  broken = broken ? broken : check_list(arena->spare, arena->spares, NULL);
  broken = broken ? broken : check_list(arena->discarded, arena->discards, NULL);
  const bool all = 1 + arena->open + arena->spares + arena->discards == arena->fresh;
  return broken || all ? broken : "a block is on a list";
}

/* Nodes -------------------------------------------------------------------------------------------------- */

/* Whether an operand is live, or none, and was made before a node: in an older block, or earlier in the same.
 */
static bool is_sound_operand(const notes *found, pg_id operand, pg_id id) {
  if (operand == 0) {
    return true;
  }
  const pg_block_id block = pg_block_of(operand), own = pg_block_of(id);
  return pg_is_live(operand) && (block == own ? operand < id : found->turns[block] < found->turns[own]);
}

static const char *check_live_node(const notes *found, pg_id id) {
  const pg_node *n = pg_node_at(id);
  const breach breaches[] = {
      {!is_sound_operand(found, n->a, id) || !is_sound_operand(found, n->b, id),
       "operands live, and are older"},
      {id >= pg_the_arena.next && id < pg_the_arena.end, "nothing lives in the unused part"},
      {n->op >= PG_OP_COUNT, "an op is one of the table"},
      {(n->op == PG_LEAF) != !n->a && n->op != PG_CUSTOM, "all but leaves have operands"},
      {n->op != PG_LEAF && !(n->flags & PG_INTERIOR), "a sweep stops at each op"},
      {pg_op_arity(n->op) == 2 && !n->b, "a binary op has two operands"},
      {n->mark > pg_the_arena.blocks[pg_block_of(id)].mark, "where a node is marked, so is its block"},
  };
  return first_broken(sizeof breaches / sizeof *breaches, breaches);
}

static const char *check_nodes(notes *found, pg_block_id block, uint32_t live) {
  for (pg_id id = pg_first_of(block); id < pg_first_of(block + 1); id++) {
    const pg_node *n = pg_node_at(id);
    if (n->mark > pg_the_arena.epoch) {
      return "a node's mark is not ahead of the epoch";
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
  return live ? "a block knows how many nodes live in it" : NULL;
}

/* What was given back to the system is left alone. */
static const char *check_block(notes *found, pg_block_id block) {
  const pg_block *b = &pg_the_arena.blocks[block];
  const bool is_open = found->turns[block] > 0;
  const breach breaches[] = {
      {is_open && block != pg_the_arena.youngest && !b->live,
       "a block that is not the youngest has live nodes"},
      {!is_open && b->live, "a free block has no live nodes"},
      {is_open && b->mark > pg_the_arena.epoch, "a block's mark is not ahead of the epoch"},
      {!is_open && b->discarded > 1, "a free block has no mark"},
  };
  const char *broken = first_broken(sizeof breaches / sizeof *breaches, breaches);
  return broken || (!is_open && b->discarded) ? broken : check_nodes(found, block, b->live);
}

/* Once all parents are counted. */
static const char *check_refs(const notes *found, pg_block_id block) {
  for (pg_id id = pg_first_of(block); id < pg_first_of(block + 1); id++) {
    const pg_node *n = pg_node_at(id);
    if (n->refs < found->parents[id] + (n->refs && n->flags & PG_HELD ? 1 : 0)) {
      return "each parent, and who else holds a node, counts among its holders";
    }
  }
  return NULL;
}

/* The whole ---------------------------------------------------------------------------------------------- */

static const char *check_counts(const notes *found) {
  const pg_arena *arena = &pg_the_arena;
  const pg_node *none = arena->nodes;
  const bool filling = arena->next != arena->end;
  const pg_id end = pg_first_of(arena->youngest) + PG_BLOCK_NODES;
  const breach breaches[] = {
      {arena->live != found->live, "the arena knows how many nodes live"},
      {arena->peak_live < arena->live || arena->peak_open < arena->open, "a peak is the most there was"},
      {filling && (pg_block_of(arena->next) != arena->youngest || arena->end != end),
       "the unused part is the youngest block's last"},
      {none->refs != 1 + found->parents[0], "absent operands are counted"},
      {none->data != 0 || none->grad != 0 || none->flags || none->mark, "node 0 is zero"},
  };
  return first_broken(sizeof breaches / sizeof *breaches, breaches);
}

static const char *check_all(notes *found) {
  const pg_block_id fresh = pg_the_arena.fresh;
  if (fresh > pg_the_arena.committed || pg_the_arena.committed > pg_the_arena.capacity) {
    return "blocks are used only where there is memory";
  }
  const char *broken = check_lists(found);
  for (pg_block_id block = 1; block < fresh && !broken; block++) {
    broken = check_block(found, block);
  }
  for (pg_block_id block = 1; block < fresh && !broken; block++) {
    broken = found->turns[block] ? check_refs(found, block) : NULL;
  }
  return broken ? broken : check_counts(found);
}

const char *pg_check(void) {
  notes found;
  const char *broken = NULL;
  pg_lock();
  if (pg_the_arena.fresh) { /* else there is nothing yet */
    broken = begin(&found) ? check_all(&found) : "there is memory to check with";
    end(&found);
  }
  pg_unlock();
  return broken;
}
