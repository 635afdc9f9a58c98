/* Tests of the arena: where nodes and blocks are, how they are used again, and what happens without memory. */
#include "graph/arena.h"
#include "test.h"

TEST(an_arena_that_was_never_used_is_sound) {
  CHECK(pg_check() == NULL);
  pg_memory memory;
  pg_memory_stats(&memory);
  CHECK(memory.reserved_bytes == 0 && memory.committed_bytes == 0);
  CHECK(pg_release_all(0, NULL) == PG_OK);
  CHECK(pg_leaves(0, NULL) == PG_FIRST_ID);
  CHECK(pg_map_unary(PG_RELU, 0, NULL, NULL) == PG_OK);
}

TEST(blocks_are_filled_emptied_and_filled_again) {
  enum { NODES = 3 * PG_BLOCK_NODES };
  pg_id ids[NODES];
  for (int round = 0; round < 3; round++) {
    for (int i = 0; i < NODES; i++) {
      ids[i] = leaf(i);
    }
    CHECK(open_blocks() == 3 && live_nodes() == NODES);
    for (int i = 0; i < NODES; i += 2) { /* each block keeps half of its nodes */
      release(ids[i]);
    }
    CHECK(open_blocks() == 3);
    for (int i = 1; i < NODES; i += 2) {
      release(ids[i]);
    }
    CHECK(open_blocks() == 1); /* the youngest stays open */
  }
  pg_memory memory;
  pg_memory_stats(&memory);
  CHECK(memory.peak_blocks == 3 && memory.peak_live_nodes == NODES);
}

TEST(nodes_in_blocks_used_again_are_younger_than_those_before) {
  uint64_t seed = 1;
  pg_id held[40];
  for (size_t i = 0; i < COUNT(held); i++) {
    held[i] = leaf(1);
  }
  for (int step = 0; step < 30000; step++) {
    const uint32_t a = random_below(&seed, COUNT(held)), b = random_below(&seed, COUNT(held));
    const pg_id sum = id_of(pg_make_ADD(held[a], held[b]));
    const pg_id half = id_of(pg_make_MUL_number(sum, 0.5, false));
    release(held[a]);
    release(sum);
    held[a] = half;
    if (step % 100 == 0) {
      CHECK(backward(half) == PG_OK);
    }
    if (random_below(&seed, 500) == 0) { /* frees whole graphs */
      for (size_t i = 0; i < COUNT(held) / 2; i++) {
        release(held[i]);
        held[i] = leaf(1);
      }
    }
  }
  pg_release_all(COUNT(held), held);
}

TEST(ages_tell_the_order_in_which_nodes_were_made) {
  enum { NODES = 3 * PG_BLOCK_NODES };
  pg_id first[NODES], again[NODES], ids[NODES];
  for (int i = 0; i < NODES; i++) {
    first[i] = leaf(i);
  }
  pg_release_all(PG_BLOCK_NODES, first); /* the first block becomes free */
  for (int i = 0; i < NODES; i++) {
    again[i] = leaf(i);
  }
  CHECK(again[NODES - 1] > first[NODES - 1]);
  const pg_id reused = again[0] < first[PG_BLOCK_NODES] ? again[0] : again[PG_BLOCK_NODES];
  CHECK(reused < first[PG_BLOCK_NODES]);
  uint32_t ages[3];
  ids[0] = reused, ids[1] = first[PG_BLOCK_NODES], ids[2] = first[NODES - 1];
  pg_ages(3, ids, ages);
  CHECK(ages[0] < ages[2] && ages[2] < ages[1]);
  pg_ages(0, NULL, NULL);
  pg_release_all(NODES - PG_BLOCK_NODES, first + PG_BLOCK_NODES);
  pg_release_all(NODES, again);
}

TEST(runs_of_leaves_lie_side_by_side) {
  const size_t sizes[] = {1, 2, 255, 256, 257, 1000, 5000};
  double numbers[5000];
  pg_id firsts[COUNT(sizes)], ids[5000];
  for (size_t i = 0; i < COUNT(numbers); i++) {
    numbers[i] = (double)i;
  }
  for (int round = 0; round < 4; round++) {
    for (size_t k = 0; k < COUNT(sizes); k++) {
      firsts[k] = id_of(pg_leaves(sizes[k], numbers));
      CHECK(pg_data(firsts[k] + (pg_id)sizes[k] - 1) == (double)sizes[k] - 1);
      CHECK((char *)pg_data_at(firsts[k] + 1) - (char *)pg_data_at(firsts[k]) == PG_NODE_BYTES ||
            sizes[k] == 1);
    }
    for (size_t k = round % 2; k < COUNT(sizes); k += 1 + round % 2) { /* some of them, or all */
      for (size_t i = 0; i < sizes[k]; i++) {
        ids[i] = firsts[k] + (pg_id)i;
      }
      CHECK(pg_release_all(sizes[k], ids) == PG_OK);
      CHECK(!pg_data_at(firsts[k]));
    }
    for (size_t k = 0; k < COUNT(sizes); k++) {
      for (size_t i = 0; i < sizes[k]; i++) {
        ids[i] = firsts[k] + (pg_id)i;
      }
      pg_release_all(sizes[k], ids); /* skips those freed before */
    }
    CHECK(live_nodes() == 0);
  }
}

TEST(the_open_block_is_closed_where_a_run_of_leaves_needs_more_than_one) {
  double numbers[600] = {0};
  pg_id ids[600];
  for (int round = 0; round < 2; round++) {
    release(leaf(1)); /* the open block is empty */
    const pg_id first = id_of(pg_leaves(600, numbers));
    for (pg_id i = 0; i < 600; i++) {
      ids[i] = first + i;
    }
    CHECK(pg_release_all(600, ids) == PG_OK);
  }
  CHECK(open_blocks() == 1);
}

/* Releases leaves with consecutive ids. */
static void release_run(pg_id first, size_t count) {
  for (pg_id id = first; id < first + count; id++) {
    release(id);
  }
}

TEST(a_run_of_leaves_takes_free_blocks_where_enough_of_them_lie_side_by_side) {
  enum { BLOCK = PG_BLOCK_NODES };
  static const double numbers[5 * BLOCK];
  const pg_id a = id_of(pg_leaves(2 * BLOCK, numbers)), b = id_of(pg_leaves(BLOCK, numbers));
  const pg_id c = id_of(pg_leaves(2 * BLOCK, numbers)), last = leaf(1);
  CHECK(b == a + 2 * BLOCK && c == b + BLOCK);
  release_run(a, 2 * BLOCK);
  release_run(c, 2 * BLOCK);
  const pg_id three = id_of(pg_leaves(3 * BLOCK, numbers)), two = id_of(pg_leaves(2 * BLOCK, numbers));
  CHECK(three > last && two == a);
  release_run(two, 2 * BLOCK);
  release_run(b, BLOCK);
  const pg_id five = id_of(pg_leaves(5 * BLOCK, numbers));
  CHECK(five == a);
  release_run(five, 5 * BLOCK);
  release_run(three, 3 * BLOCK);
  release(last);
}

TEST(a_chain_of_a_million_nodes_is_freed_and_its_memory_given_back) {
  pg_memory full, empty, again;
  for (int round = 0; round < 2; round++) {
    pg_id y = leaf(1);
    for (int i = 0; i < 1300000; i++) {
      const pg_id longer = (pg_id)pg_make_RELU(y);
      pg_release(y);
      y = longer;
    }
    pg_memory_stats(round ? &again : &full);
    CHECK(backward(y) == PG_OK);
    release(y);
    pg_memory_stats(&empty);
    CHECK(live_nodes() == 0);
  }
  CHECK(full.committed_bytes > empty.committed_bytes + (1 << 20));
  CHECK(again.committed_bytes == full.committed_bytes);
  const size_t many = 1200000; /* uses the blocks that were given back */
  double *numbers = malloc(many * sizeof *numbers);
  pg_id *ids = malloc(many * sizeof *ids);
  memset(numbers, 0, many * sizeof *numbers);
  const pg_id first = id_of(pg_leaves(many, numbers));
  for (size_t i = 0; i < many; i++) {
    ids[i] = first + (pg_id)i;
  }
  CHECK(pg_release_all(many, ids) == PG_OK);
  pg_memory_stats(&again);
  CHECK(again.committed_bytes <= full.committed_bytes + (1 << 20));
  free(numbers);
  free(ids);
}

/* Sweeps y = x * x so often, and checks each gradient. */
static void sweep_often(pg_id x, pg_id y, int times) {
  for (int i = 0; i < times; i++) {
    pg_set_grad(x, 0, false);
    REQUIRE(backward(y) == PG_OK && pg_grad(x) == 6);
  }
  CHECK(times == 0 || pg_grad(x) == 6);
}

TEST(more_sweeps_than_there_are_marks) {
  const pg_id x = leaf(3), gone = id_of(pg_make_MUL(x, x));
  pg_sweep given_up;
  CHECK(pg_sweep_begin(&given_up, gone) == PG_OK); /* its mark stays */
  release(gone);
  const pg_id y = id_of(pg_make_MUL(x, x));
  sweep_often(x, y, 70000);
  release(y);
  release(x);
}

/* A mark of a given-up sweep on a live node, on a dead one below the root, on a dead one in the unused part of
 * a block that was closed early, and on a node of a spare block: no later sweep takes one for its
 * own. */
TEST(a_mark_of_a_sweep_that_was_given_up_is_never_taken_for_a_later_one) {
  for (int between = 0; between <= 520; between += 5) {
    pg_sweep given_up;
    const pg_id x = leaf(3), y = id_of(pg_make_MUL(x, x));
    pg_id marked[600];
    for (size_t i = 0; i < COUNT(marked); i++) { /* over three blocks */
      marked[i] = id_of(pg_make_MUL(x, x));
      const pg_id root = id_of(pg_make_RELU(marked[i]));
      pg_set_flags(root, PG_CLOSURE);
      CHECK(i % 100 || pg_sweep_begin(&given_up, root) == PG_OK);
      CHECK(i % 100 || pg_sweep_run(&given_up, 1) == (int64_t)root); /* which has marked its operand */
      release(root);
    }
    pg_release_all(COUNT(marked) - 100, marked + 100);
    sweep_often(x, y, between);
    const pg_made leaves = pg_leaves(300, (double[300]){0}); /* the open block is closed */
    CHECK(leaves > 0);
    const pg_id z = id_of(pg_make_MUL(x, x));
    sweep_often(x, z, 2);
    for (pg_id i = 0; i < 300; i++) {
      release((pg_id)leaves + i);
    }
    pg_release_all(100, marked);
    pg_release_all(3, (pg_id[]){z, y, x});
  }
}

TEST(the_numbers_of_sweeps_start_again_after_the_last) {
  const pg_id x = leaf(3), y = id_of(pg_make_MUL(x, x)), root = id_of(pg_make_RELU(y));
  for (uint32_t left = 0; left < 3; left++) {
    pg_sweep given_up;
    CHECK(pg_sweep_begin(&given_up, root) == PG_OK);
    pg_the_arena.sweep = UINT32_MAX - 1 - 2 * left; /* even, as all are */
    sweep_often(x, y, 300);
    CHECK(pg_the_arena.sweep > 0 && pg_the_arena.sweep < 800);
  }
  pg_release_all(3, (pg_id[]){root, y, x});
}

/* Running out -------------------------------------------------------------------------------------------- */

TEST(the_first_allocations_of_all_may_fail) {
  for (int successes = 0; successes < 2; successes++) {
    pg_test_fail_allocations(successes);
    CHECK(pg_leaf(1, false) == PG_NO_MEMORY);
    CHECK(pg_leaves(1000, NULL) == PG_NO_MEMORY);
    const pg_id none = 0;
    CHECK(pg_custom(1, false, &none, 0) == PG_NO_MEMORY);
  }
  pg_test_fail_allocations(2);
  release(leaf(1));
}

TEST(more_leaves_than_ids_are_out_of_memory) {
  CHECK(pg_leaves((size_t)1 << 31, NULL) == PG_NO_MEMORY);
  CHECK(pg_leaves(SIZE_MAX, NULL) == PG_NO_MEMORY);
  release(leaf(1));
  CHECK(pg_leaves((size_t)1 << 31, NULL) == PG_NO_MEMORY);
  CHECK(pg_leaves(SIZE_MAX, NULL) == PG_NO_MEMORY);
}

/* Nodes in the memory that is committed first, without block 0. */
enum { FIRST_NODES = 127 * PG_BLOCK_NODES };

static pg_id fill(size_t count) {
  const pg_id first = leaf(0);
  pg_test_fail_allocations(0);
  for (size_t i = 1; i < count; i++) {
    REQUIRE(pg_leaf(0, false) > 0);
  }
  return first;
}

TEST(nodes_that_fit_into_committed_blocks_need_no_memory) {
  enum { FREE = 2 * PG_BLOCK_NODES + 7 };
  pg_id operands[FREE + 1], results[FREE + 1];
  const pg_id first = fill(FIRST_NODES - FREE);
  for (size_t i = 0; i < COUNT(operands); i++) {
    operands[i] = first + (pg_id)(FIRST_NODES - 2 * FREE + i - 1);
  }
  /* First in blocks that were never used, then in free ones. The rest of a block that was closed stays unused.
   */
  for (size_t room = FREE; room >= 2 * PG_BLOCK_NODES; room -= 7) {
    CHECK(pg_map_unary(PG_RELU, room + 1, operands, results) == PG_NO_MEMORY);
    CHECK(pg_map_unary(PG_RELU, room, operands, results) == PG_OK);
    CHECK(pg_leaf(0, false) == PG_NO_MEMORY);
    CHECK(pg_release_all(room, results) == PG_OK);
  }
  release_run(first, FIRST_NODES - FREE);
}

TEST(a_run_of_leaves_that_finds_no_memory_leaves_the_blocks_as_they_were) {
  const size_t full = FIRST_NODES - PG_BLOCK_NODES;
  const pg_id first = fill(full);
  release(leaf(1)); /* the last block is open and empty: closing it makes no room */
  CHECK(pg_leaves((size_t)2 * PG_BLOCK_NODES, NULL) == PG_NO_MEMORY);
  release_run(first + (pg_id)full - PG_BLOCK_NODES, PG_BLOCK_NODES);
  const pg_id again = first + (pg_id)full - PG_BLOCK_NODES;
  for (pg_id id = again; id < again + PG_BLOCK_NODES; id++) {
    CHECK(leaf(1) == id);
  }
  release_run(first, full);
}

TEST(a_custom_node_is_made_with_all_its_operands_or_not_at_all) {
  /* There is room for all cells of their list but one. They are freed then, so that there is room for a shorter
   * list. */
  static pg_id operands[PG_BLOCK_NODES + 2];
  const pg_id first = fill(FIRST_NODES - PG_BLOCK_NODES);
  for (size_t i = 0; i < COUNT(operands); i++) {
    operands[i] = first;
  }
  CHECK(pg_custom(1, false, operands, COUNT(operands)) == PG_NO_MEMORY);
  release(id_of(pg_custom(1, false, operands, COUNT(operands) - 2)));
  release_run(first, FIRST_NODES - PG_BLOCK_NODES);
}

TEST(only_whole_pages_are_given_back) {
  const size_t page = pg_os_page();
  char *at = pg_os_reserve(4 * page);
  CHECK(at && pg_os_commit(at, 4 * page));
  at[0] = at[page] = 1;
  CHECK(!pg_os_discard(at + 1, page) && !pg_os_discard(at, page + 1) && at[0] == 1 && at[page] == 1);
  CHECK(pg_os_discard(at, page) && at[0] == 0 && at[page] == 1);
  pg_os_unreserve(at, 4 * page);
}

/* pg_check() ---------------------------------------------------------------------------------------------- */

TEST(pg_check_finds_what_is_broken) {
  const pg_id x = leaf(2), y = leaf(3), z = id_of(pg_make_MUL(x, y)), r = id_of(pg_make_RELU(z));
  pg_id many[600];
  for (size_t i = 0; i < COUNT(many); i++) {
    many[i] = leaf(0);
  }
  pg_release_all(512, many); /* the first block is kept, and there is a spare one */
  pg_sweep given_up;
  CHECK(pg_sweep_begin(&given_up, r) == PG_OK); /* its mark stays */
  pg_arena *A = &pg_the_arena;
  pg_node *n = A->nodes;
  const pg_block_id spare = A->spare;
  CHECK(spare);
#define BREAKS(place, broken)                                                                                  \
  do {                                                                                                         \
    const __typeof__(place) before = place;                                                                    \
    place = (broken);                                                                                          \
    const char *found = pg_check();                                                                            \
    place = before;                                                                                            \
    check(found != NULL, "found: " #place " = " #broken, __FILE__, __LINE__);                                  \
  } while (0)
  BREAKS(A->live, A->live + 1);
  BREAKS(A->peak_live, 0);
  BREAKS(A->peak_open, 0);
  BREAKS(A->open, A->open + 1);
  BREAKS(A->open, A->open - 1);
  BREAKS(A->spares, A->spares + 1);
  BREAKS(A->discards, 1);
  BREAKS(A->discarded, A->fresh);
  BREAKS(A->fresh, A->fresh + 1);
  BREAKS(A->fresh, A->committed + 1);
  BREAKS(A->committed, A->capacity + 1);
  BREAKS(A->next, A->next - 1);
  BREAKS(A->end, A->end - 1);
  BREAKS(A->sweep, 0);
  BREAKS(A->youngest, A->blocks[A->youngest].older);
  BREAKS(A->blocks[A->youngest].older, A->youngest);
  BREAKS(A->blocks[A->youngest].live, 0);
  BREAKS(A->blocks[1].live, 0);
  BREAKS(A->blocks[1].swept, 0);
  BREAKS(A->blocks[1].swept, A->sweep + 1);
  BREAKS(A->blocks[1].discarded, true);
  BREAKS(A->blocks[spare].live, 1);
  BREAKS(A->blocks[spare].swept, A->sweep + 1);
  BREAKS(n[0].refs, 1);
  BREAKS(n[0].data, 1);
  BREAKS(n[0].grad, 1);
  BREAKS(n[0].flags, 1);
  BREAKS(n[0].mark, 1); /* not PG_REACHED */
  BREAKS(n[x].refs, 0);
  BREAKS(n[x].refs, 1);
  BREAKS(n[x].a, y);
  BREAKS(n[x].mark, (uint8_t)A->sweep + 2);
  BREAKS(n[y].op, PG_ADD);
  BREAKS(n[z].op, PG_OP_COUNT);
  BREAKS(n[z].op, PG_LEAF);
  BREAKS(n[z].flags, PG_HELD);
  BREAKS(n[z].refs, 1);
  BREAKS(n[z].a, r);
  BREAKS(n[z].b, 0);
  BREAKS(n[z].b, pg_first_of(spare));
  BREAKS(n[z].b, UINT32_MAX);
  BREAKS(n[z].mark, (uint8_t)A->blocks[1].swept + 2);
  BREAKS(n[pg_first_of(spare)].mark, PG_ASSIGNED - 1);
  BREAKS(n[many[0]].refs, 1);
#undef BREAKS
  pg_release_all(88, many + 512);
  pg_release_all(4, (pg_id[]){r, z, y, x});
}
