/* Tests of nodes.c and sweep.c: what nodes compute, who holds them, and the backward pass. */
#include "graph/arena.h"
#include "makers.h"
#include "test.h"

/* Making -------------------------------------------------------------------------------------------------- */

static double value_at(const maker *m, double x, double y) {
  const pg_id a = leaf(x), b = leaf(y), z = id_of(make_with(m, a, b, y));
  const double value = pg_data(z);
  pg_release_all(3, (pg_id[]){z, b, a});
  return value;
}

TEST(each_op_s_adjoint_is_its_slope) {
  const double x = 1.25, y = 1.5, h = 1e-6;
  for (size_t i = 0; i < COUNT(MAKERS); i++) {
    const maker *m = &MAKERS[i];
    const pg_id a = leaf(x), b = leaf(y), z = id_of(make_with(m, a, b, y));
    CHECK(backward(z) == PG_OK);
    const double by_x = (value_at(m, x + h, y) - value_at(m, x - h, y)) / (2 * h);
    const double by_y = (value_at(m, x, y + h) - value_at(m, x, y - h)) / (2 * h);
    const bool detached = strcmp(m->name, "DETACH") == 0;
    CHECK(near(pg_grad(a), detached ? 0 : by_x, 1e-8));
    CHECK(near(pg_grad(b), m->binary ? by_y : 0, 1e-8));
    if (m->number) {
      const pg_id same_value = id_of(m->number(a, y, false));
      CHECK(same(pg_data(same_value), pg_data(z)));
      CHECK(pg_data(pg_operand(same_value, 1)) == y);
      release(same_value);
    }
    pg_release_all(3, (pg_id[]){z, b, a});
  }
}

TEST(a_closure_of_an_op_of_the_table_is_called_in_place_of_the_adjoint) {
  const pg_id x = leaf(2);
  for (size_t i = 0; i < COUNT(MAKERS); i++) {
    const pg_id z = id_of(make_with(&MAKERS[i], x, x, 2)), y = id_of(pg_make_MUL_number(z, 3, false));
    CHECK(pg_set_flags(z, PG_CLOSURE | PG_PINNED | PG_INTERIOR) == PG_OK);
    pg_sweep sweep;
    pg_set_grad(x, 0, false);
    CHECK(pg_sweep_begin(&sweep, y) == PG_OK);
    CHECK(pg_sweep_run(&sweep, 1000) == z && pg_grad(z) == 3 && pg_grad(x) == 0);
    CHECK(pg_backward_one(z) == PG_OK); /* as its closure may do */
    CHECK(pg_sweep_run(&sweep, 1000) == PG_DONE);
    const double grad = pg_grad(x);
    pg_set_grad(x, 0, false);
    pg_set_grad(z, 3, false);
    CHECK(pg_backward_one(z) == PG_OK && pg_grad(x) == grad);
    release(y);
    release(z);
  }
  release(x);
}

TEST(where_python_raises_nothing_is_made) {
  const pg_id zero = leaf(0), one = leaf(1), minus = leaf(-1), large = leaf(1e3), huge = leaf(1e308),
              inf = leaf(INFINITY);
  const pg_id half = leaf(0.5);
  const uint64_t before = live_nodes();
  CHECK(pg_make_POWER(zero, -1, true) == PG_ZERO_DIVISION);
  CHECK(pg_make_POWER(minus, 0.5, false) == PG_COMPLEX);
  CHECK(pg_make_POWER(huge, 2, true) == PG_OVERFLOW);
  CHECK(pg_make_POW(minus, half) == PG_COMPLEX);
  CHECK(pg_make_POW_number(zero, -1, false) == PG_ZERO_DIVISION);
  CHECK(pg_make_EXP(large) == PG_OVERFLOW);
  CHECK(pg_make_LOG(zero) == PG_DOMAIN && pg_make_LOG(minus) == PG_DOMAIN);
  CHECK(pg_make_SQRT(minus) == PG_DOMAIN);
  CHECK(pg_make_SIN(inf) == PG_DOMAIN && pg_make_COS(inf) == PG_DOMAIN);
  CHECK(live_nodes() == before);
  const pg_id huge_minus = leaf(-1e300);
  CHECK(pg_make_POWER(huge_minus, 2.5, false) == PG_OVERFLOW); /* Python's complex number overflows */
  CHECK(pg_data(pg_operand(one, 0)) != 0);                     /* that is nan: there is no operand */
  pg_release_all(8, (pg_id[]){zero, one, minus, large, huge, inf, half, huge_minus});
}

TEST(an_adjoint_that_fails_ends_the_sweep) {
  const pg_id zero = leaf(0), root = id_of(pg_make_SQRT(zero)), z = id_of(pg_make_MUL_number(root, 2, false));
  pg_sweep sweep;
  CHECK(pg_sweep_begin(&sweep, z) == PG_OK);
  CHECK(pg_sweep_run(&sweep, 1000) == PG_ZERO_DIVISION && sweep.at == root);
  CHECK(pg_grad(root) == 2 && pg_grad(zero) == 0);
  const pg_id minus = leaf(-2), three = leaf(3), cube = id_of(pg_make_MUL_number(three, 1, false));
  const pg_id power = id_of(pg_make_POW(minus, cube)), of_leaf = id_of(pg_make_POW(minus, three));
  CHECK(backward(power) == PG_DOMAIN); /* its slope by the exponent is complex */
  CHECK(pg_grad(minus) == 12);         /* what was added before stays */
  CHECK(backward(of_leaf) == PG_DONE && pg_grad(minus) == 24 && isnan(pg_grad(three)));
  pg_release_all(8, (pg_id[]){z, root, zero, of_leaf, power, cube, three, minus});
}

TEST(a_custom_node_has_any_number_of_operands) {
  const pg_made lonely = pg_custom(7, false, NULL, 0); /* the first node in the arena */
  CHECK(lonely < 0 && pg_data(id_of(lonely)) == 7 && pg_op_arity(pg_op(id_of(lonely))) == 0);
  pg_id operands[5];
  for (int i = 0; i < 5; i++) {
    operands[i] = leaf(i);
  }
  for (size_t count = 1; count <= 5; count++) {
    const pg_id z = id_of(pg_custom(1, false, operands, count));
    pg_id list = pg_operand(z, 1);
    CHECK(pg_operand(z, 0) == operands[0]);
    for (size_t i = 1; i < count; i++, list = pg_operand(list, 1)) {
      CHECK(strcmp(pg_op_name(pg_op(list)), "LIST") == 0 && pg_operand(list, 0) == operands[i]);
    }
    CHECK(list == 0);
    const pg_made above = pg_make_RELU(z);
    CHECK(above < 0 && pg_flags_of(id_of(above)) & PG_PINNED);
    CHECK(backward(id_of(above)) == PG_OK); /* the sweep does not stop: there is no closure */
    release(id_of(above));
    release(z);
  }
  pg_release_all(5, operands);
  release(id_of(lonely));
}

/* Holding -------------------------------------------------------------------------------------------------- */

TEST(a_node_lives_while_it_is_held_or_an_operand) {
  const pg_id x = leaf(2), y = id_of(pg_make_ADD(x, x));
  CHECK(pg_refs(x) == 3 && pg_flags_of(x) & PG_HELD);
  release(x);
  CHECK(pg_refs(x) == 2 && !(pg_flags_of(x) & PG_HELD));
  CHECK(pg_hold(x) == PG_OK && pg_hold(x) == PG_OK && pg_refs(x) == 4);
  release(x);
  release(y);
  CHECK(pg_refs(x) == 1 && live_nodes() == 1);
  release(x);
  CHECK(pg_refs(x) == 0 && pg_release(x) == PG_STALE);
}

TEST(a_kept_hold_is_released_by_its_keeper_only) {
  const pg_id x = leaf(2), y = id_of(pg_make_RELU(x));
  CHECK(pg_keep(x) == PG_OK);
  CHECK(pg_release(x) == PG_STALE && pg_refs(x) == 2);
  CHECK(pg_release_kept(x) == PG_OK);
  CHECK(pg_keep(x) == PG_STALE); /* only y holds it, no handle */
  release(y);
}

TEST(a_released_operand_can_be_held_again) {
  const pg_id x = leaf(2), y = id_of(pg_make_RELU(x));
  release(x);
  CHECK(!(pg_flags_of(x) & PG_HELD) && pg_keep(x) == PG_STALE);
  CHECK(pg_hold(x) == PG_OK && pg_flags_of(x) & PG_HELD && pg_keep(x) == PG_OK);
  release(y);
  CHECK(pg_release(x) == PG_STALE && pg_release_kept(x) == PG_OK);
}

TEST(no_sweep_goes_below_a_node_that_was_cut) {
  const pg_id x = leaf(2), y = id_of(pg_make_EXP(x)), z = id_of(pg_make_MUL(y, x)),
              top = id_of(pg_make_RELU(z));
  const pg_id moved = id_of(pg_cut(z));
  CHECK(pg_operand(z, 0) == 0 && pg_operand(moved, 0) == y && pg_operand(moved, 1) == x);
  CHECK(pg_op(moved) == PG_MUL && pg_data(moved) == pg_data(z) && pg_refs(moved) == 1);
  CHECK(backward(top) == PG_DONE);
  CHECK(pg_grad(z) == 1 && pg_grad(y) == 0 && pg_grad(x) == 0);
  CHECK(pg_set_grad(moved, 1, false) == PG_OK && pg_backward_one(moved) == PG_OK);
  CHECK(pg_grad(y) == 2 && pg_grad(x) == pg_data(y));
  release(x), release(y), release(top);
  CHECK(live_nodes() == 4); /* x, y, z and what was its op */
  release(moved), release(z);
  CHECK(live_nodes() == 0);
}

TEST(a_pinned_node_that_was_cut_stays_pinned_and_so_does_its_op) {
  const pg_id x = leaf(2), y = id_of(pg_custom(3, false, (pg_id[]){x, x, x}, 3)), z = id_of(pg_make_RELU(y));
  const pg_id op_of_z = id_of(pg_cut(z)), op_of_y = id_of(pg_cut(y));
  CHECK(pg_flags_of(z) & PG_PINNED && pg_flags_of(op_of_z) & PG_PINNED && pg_flags_of(op_of_y) & PG_PINNED);
  CHECK(pg_refs(x) == 4);
  release(op_of_y);
  CHECK(pg_refs(x) == 1);
  release(x), release(op_of_z), release(y), release(z);
  CHECK(live_nodes() == 0);
}

TEST(an_inner_node_that_two_hold_is_freed_once) {
  const pg_id x = leaf(2), a = id_of(pg_make_RELU(x)), b = id_of(pg_make_EXP(a)), c = id_of(pg_make_MUL(a, b));
  const pg_id d = id_of(pg_make_ADD(c, c));
  release(x), release(a), release(b), release(c);
  CHECK(live_nodes() == 5);
  release(d);
  CHECK(live_nodes() == 0);
}

/* The sweep ------------------------------------------------------------------------------------------------ */

TEST(a_sweep_goes_on_where_its_slice_ended) {
  for (uint32_t budget = 1; budget < 20000; budget *= 3) {
    const pg_id x = leaf(1);
    pg_id between[1500], y = id_of(pg_make_RELU(x));
    for (size_t i = 0; i < COUNT(between); i++) { /* nodes of the graph alternate with others */
      const pg_id longer = id_of(pg_make_ADD(y, x));
      release(y);
      y = longer;
      between[i] = leaf(0);
    }
    pg_sweep sweep;
    CHECK(pg_sweep_begin(&sweep, y) == PG_OK);
    int64_t stop;
    int slices = 0;
    while ((stop = pg_sweep_run(&sweep, budget)) == PG_MORE) {
      slices++;
    }
    CHECK(stop == PG_DONE && pg_grad(x) == 1501);
    CHECK(budget > 4000 || slices > 0);
    CHECK(pg_sweep_run(&sweep, budget) == PG_DONE); /* no node is left */
    pg_release_all(COUNT(between), between);
    release(y);
    release(x);
  }
}

TEST(a_slice_that_ends_at_a_closure_names_it) {
  const pg_id x = leaf(2), y = id_of(pg_custom(3, false, &x, 1)), z = id_of(pg_make_RELU(y));
  CHECK(pg_set_flags(y, PG_CLOSURE) == PG_OK);
  pg_sweep sweep;
  CHECK(pg_sweep_begin(&sweep, z) == PG_OK);
  CHECK(pg_sweep_run(&sweep, 1) == y && pg_grad(y) == 1);
  CHECK(pg_sweep_run(&sweep, 1) == PG_DONE);
  pg_release_all(3, (pg_id[]){z, y, x});
}

TEST(another_sweep_of_the_same_nodes_may_run_while_one_is_paused) {
  for (uint32_t budget = 1; budget < 2000; budget *= 3) {
    const pg_id x = leaf(1), shared = id_of(pg_make_RELU(x)), other_root = id_of(pg_make_RELU(shared));
    pg_id y = id_of(pg_make_ADD(shared, shared));
    for (int i = 0; i < 1000; i++) { /* `shared` is pending all the time */
      const pg_id longer = id_of(pg_make_ADD(y, shared));
      release(y);
      y = longer;
    }
    pg_sweep sweep, other;
    CHECK(pg_sweep_begin(&sweep, y) == PG_OK);
    int64_t stop;
    uint32_t count;
    int pauses = 0;
    double by_others = 0;
    while ((stop = pg_sweep_run(&sweep, budget)) == PG_MORE && (count = pg_sweep_pending(&sweep, NULL))) {
      pg_id pending[2];
      CHECK(count <= COUNT(pending) && pg_sweep_pending(&sweep, pending) == count);
      CHECK(pg_sweep_begin(&other, other_root) == PG_OK && pg_sweep_run(&other, 10000) == PG_DONE);
      by_others += pg_grad(shared);
      pg_sweep_resume(&sweep, count, pending);
      pauses++;
    }
    CHECK(pg_sweep_run(&sweep, budget) == PG_DONE && (budget > 500 || pauses > 0));
    CHECK(pg_grad(shared) == 1002 + pauses && pg_grad(x) == by_others + 1002 + pauses);
    pg_release_all(4, (pg_id[]){y, other_root, shared, x});
  }
}

TEST(a_sweep_is_over_when_another_has_begun) {
  const pg_id x = leaf(2), y = id_of(pg_custom(3, false, &x, 1)),
              z = id_of(pg_make_ADD(y, id_of(pg_make_RELU(y))));
  CHECK(pg_set_flags(y, PG_CLOSURE) == PG_OK);
  pg_sweep sweep, other;
  pg_id pending[1];
  CHECK(pg_sweep_begin(&sweep, z) == PG_OK && pg_sweep_pending(&sweep, pending) == 1 && pending[0] == z);
  CHECK(pg_sweep_begin(&other, z) == PG_OK);
  CHECK(pg_sweep_run(&sweep, 9) == PG_STALE);
  CHECK(pg_sweep_begin(&sweep, z) == PG_OK);
  CHECK(pg_sweep_begin(&other, z) == PG_OK);
  CHECK(pg_sweep_pending(&sweep, NULL) == 0); /* too late */
  pg_sweep_resume(&sweep, 0, NULL);
  CHECK(pg_sweep_run(&sweep, 9) == PG_DONE);
  const pg_id relu = pg_operand(z, 1);
  pg_release_all(4, (pg_id[]){z, relu, y, x});
}

TEST(skipped_blocks_count_towards_the_budget_of_a_slice) {
  const pg_id x = leaf(2), y = id_of(pg_make_RELU(x));
  static pg_id between[20 * PG_BLOCK_NODES];
  for (size_t i = 0; i < COUNT(between); i++) {
    between[i] = (pg_id)pg_leaf(0, false);
  }
  const pg_id z = id_of(pg_make_RELU(y));
  pg_sweep sweep;
  CHECK(pg_sweep_begin(&sweep, z) == PG_OK);
  /* Two blocks are processed, and more than ten skipped. */
  CHECK(pg_sweep_run(&sweep, 2 * PG_BLOCK_NODES + 10) == PG_MORE);
  CHECK(pg_sweep_run(&sweep, 1) == PG_DONE && pg_grad(x) == 1);
  CHECK(pg_release_all(COUNT(between), between) == PG_OK);
  pg_release_all(3, (pg_id[]){z, y, x});
}

TEST(a_grad_is_an_int_until_a_float_is_added) {
  const pg_id two = (pg_id)pg_leaf(2, true), half = leaf(0.5);
  const pg_id four = id_of(pg_make_MUL(two, two)), one = id_of(pg_make_MUL(two, half));
  const pg_id five = id_of(pg_make_ADD(four, one)), nine = id_of(pg_make_ADD(five, four));
  CHECK(pg_is_int(PG_DATA, four) && !pg_is_int(PG_DATA, one) && !pg_is_int(PG_DATA, nine));
  for (int times = 1; times < 3; times++) {
    CHECK(backward(nine) == PG_OK);
    CHECK(pg_is_int(PG_GRAD, nine) && pg_is_int(PG_GRAD, five) && pg_is_int(PG_GRAD, four));
    CHECK(pg_is_int(PG_GRAD, half) && !pg_is_int(PG_GRAD, two));
  }
  CHECK(pg_grad(five) == 2 && pg_grad(four) == 5 && pg_grad(half) == 8 && pg_grad(two) == 30);
  pg_release_all(6, (pg_id[]){nine, five, one, four, half, two});
}

TEST(a_grad_that_turns_into_a_float_during_a_sweep_is_passed_on_once) {
  const pg_id two = (pg_id)pg_leaf(2, true), half = leaf(0.5), sum = id_of(pg_make_ADD(two, two));
  const pg_id product = id_of(pg_make_MUL(sum, half)), root = id_of(pg_make_ADD(sum, product));
  CHECK(backward(root) == PG_OK);
  CHECK(pg_grad(sum) == 1.5 && !pg_is_int(PG_GRAD, sum));
  CHECK(pg_grad(two) == 3 && !pg_is_int(PG_GRAD, two));
  pg_release_all(5, (pg_id[]){root, product, sum, half, two});
}

TEST(the_type_of_a_grad_may_change_while_a_sweep_waits) {
  for (int integral = 0; integral < 2; integral++) {
    const pg_id x = leaf(2), factor = (pg_id)pg_leaf(3, !integral), y = id_of(pg_make_RELU(x));
    const pg_id closure = id_of(pg_make_RELU(x)), z = id_of(pg_make_MUL(y, factor));
    const pg_id root = id_of(pg_make_ADD(z, closure));
    CHECK(pg_set_flags(closure, PG_CLOSURE) == PG_OK);
    pg_sweep sweep;
    CHECK(pg_sweep_begin(&sweep, root) == PG_OK && pg_sweep_run(&sweep, UINT32_MAX) == closure);
    CHECK(pg_sweep_pending(&sweep, NULL) == 1 && pg_grad(y) == 3 && pg_is_int(PG_GRAD, y) == !integral);
    CHECK(pg_set_grad(y, 4, integral) == PG_OK);
    CHECK(pg_sweep_run(&sweep, UINT32_MAX) == PG_DONE && pg_sweep_pending(&sweep, NULL) == 0);
    CHECK(pg_grad(x) == 4 && pg_is_int(PG_GRAD, x) == integral);
    pg_release_all(6, (pg_id[]){root, z, closure, y, factor, x});
  }
}

TEST(a_sweep_ends_with_its_last_node_if_grads_turn_into_floats) {
  const pg_id x = leaf(2);
  static pg_id older[20 * PG_BLOCK_NODES];
  for (size_t i = 0; i < COUNT(older); i++) {
    older[i] = id_of(pg_make_RELU(x));
  }
  const pg_id half = leaf(0.5), sum = id_of(pg_make_ADD(x, x)), more = id_of(pg_make_ADD(sum, sum));
  const pg_id product = id_of(pg_make_MUL(more, half)), three = id_of(pg_make_ADD(sum, product));
  const pg_id root = id_of(pg_make_ADD(sum, three));
  pg_sweep sweep;
  CHECK(pg_sweep_begin(&sweep, root) == PG_OK && pg_sweep_run(&sweep, UINT32_MAX) == PG_DONE);
  CHECK(sweep.at >= older[18 * PG_BLOCK_NODES] && pg_grad(x) == 6);
  CHECK(pg_release_all(COUNT(older), older) == PG_OK);
  pg_release_all(7, (pg_id[]){root, three, product, more, sum, half, x});
}

TEST(ints_end_at_2_to_the_53) {
  const pg_id large = (pg_id)pg_leaf(0x1p53 - 1, true), one = (pg_id)pg_leaf(1, true);
  const pg_id sum = id_of(pg_make_ADD(large, one)), product = id_of(pg_make_MUL(large, one));
  CHECK(pg_is_int(PG_DATA, large) && pg_is_int(PG_DATA, product) && !pg_is_int(PG_DATA, sum));
  CHECK(backward(product) == PG_OK && pg_is_int(PG_GRAD, one) && pg_grad(one) == 0x1p53 - 1);
  CHECK(backward(product) == PG_OK && !pg_is_int(PG_GRAD, one) && pg_grad(one) == 0x1p54 - 2);
  pg_release_all(4, (pg_id[]){product, sum, one, large});
}

TEST(the_gradient_of_a_leaf_by_itself_is_1) {
  const pg_id x = leaf(5);
  CHECK(backward(x) == PG_OK && pg_grad(x) == 1);
  release(x);
}

TEST(two_backward_passes_add_up) {
  const pg_id x = leaf(3), y = id_of(pg_make_MUL(x, x)), z = id_of(pg_make_MUL(y, y));
  CHECK(backward(z) == PG_OK && pg_grad(x) == 4 * 27 && pg_grad(y) == 18);
  CHECK(backward(z) == PG_OK && pg_grad(y) == 36 && pg_grad(x) == 3 * 4 * 27);
  pg_release_all(3, (pg_id[]){z, y, x});
}

/* What gradients reached ----------------------------------------------------------------------------------- */

static bool is_reached(pg_id id) {
  bool reached;
  CHECK(pg_reached(1, (uint32_t[]){1}, &id, &reached) == PG_OK);
  return reached;
}

TEST(a_leaf_is_reached_by_a_sweep_whatever_that_adds) {
  const pg_id x = leaf(0), y = leaf(0), other = leaf(1), xy = id_of(pg_make_MUL(x, y));
  CHECK(!is_reached(x) && !is_reached(y));
  CHECK(backward(xy) == PG_OK && pg_grad(x) == 0);
  CHECK(is_reached(x) && is_reached(y) && !is_reached(other));
  CHECK(pg_set_grad(x, 0, false) == PG_OK && pg_fill(PG_GRAD, 1, &y, 0) == PG_OK);
  CHECK(!is_reached(x) && !is_reached(y));
  CHECK(pg_backward_one(xy) == PG_OK && is_reached(x) && is_reached(y));
  CHECK(backward(other) == PG_OK && is_reached(other));
  pg_release_all(4, (pg_id[]){xy, other, y, x});
}

TEST(a_leaf_is_reached_by_what_adds_to_its_grad_and_by_a_grad_that_is_not_0) {
  const pg_id x[] = {leaf(0), leaf(1), leaf(2)};
  CHECK(pg_add_grads(1, x, (double[]){0}) == PG_OK && pg_set_grad(x[1], 1, false) == PG_OK);
  CHECK(is_reached(x[0]) && is_reached(x[1]) && !is_reached(x[2]));
  CHECK(pg_write(PG_GRAD, 3, x, (double[]){0, 0, 0}) == PG_OK);
  CHECK(is_reached(x[0]) && !is_reached(x[1])); /* no other number is assigned by that */
  pg_release_all(3, x);
}

TEST(a_leaf_below_a_detached_node_is_not_reached) {
  const pg_id x = leaf(2), half = id_of(pg_make_MUL_number(x, 0.5, false)), z = id_of(pg_make_DETACH(half));
  const pg_id y = id_of(pg_make_MUL(z, z));
  CHECK(backward(y) == PG_OK && pg_grad(z) == 2 && pg_grad(half) == 0 && !is_reached(x));
  CHECK(pg_backward_one(z) == PG_OK && !is_reached(half));
  CHECK(backward(z) == PG_OK && !is_reached(x) && !pg_all_leaves(1, &z));
  pg_release_all(4, (pg_id[]){y, z, half, x});
}

TEST(a_closure_that_assigns_0_has_reached_the_operands) {
  const pg_id x = leaf(2), y = leaf(3), z = id_of(pg_make_MUL(x, y));
  CHECK(pg_set_flags(z, PG_CLOSURE | PG_PINNED) == PG_OK);
  pg_sweep sweep;
  CHECK(pg_sweep_begin(&sweep, z) == PG_OK && pg_sweep_run(&sweep, 1000) == z);
  CHECK(pg_set_grad(x, 0, false) == PG_OK && pg_set_grad(y, 0, false) == PG_OK);
  CHECK(pg_sweep_run(&sweep, 1000) == PG_DONE && is_reached(x) && is_reached(y));
  pg_release_all(3, (pg_id[]){z, y, x});
}

TEST(a_leaf_stays_reached_while_the_numbers_of_sweeps_occur_again) {
  const pg_id x = leaf(2), y = id_of(pg_make_MUL_number(x, 0, false)), other = id_of(pg_make_RELU(x));
  const pg_id z = id_of(pg_make_DETACH(x));
  CHECK(backward(y) == PG_OK);
  for (int i = 0; i < 600; i++) {
    REQUIRE(backward(other) == PG_OK && pg_set_grad(x, 0, false) == PG_OK);
    REQUIRE(backward(y) == PG_OK && backward(z) == PG_OK);
  }
  CHECK(is_reached(x));
  pg_release_all(4, (pg_id[]){z, other, y, x});
}

TEST(a_parameter_is_reached_if_one_of_its_leaves_is) {
  pg_id x[6];
  for (int i = 0; i < 6; i++) {
    x[i] = leaf(i);
  }
  const uint32_t sizes[] = {3, 0, 1, 2};
  bool reached[4];
  CHECK(backward(x[2]) == PG_OK && backward(x[3]) == PG_OK);
  CHECK(pg_reached(4, sizes, x, reached) == PG_OK);
  CHECK(reached[0] && !reached[1] && reached[2] && !reached[3]);
  release(x[5]);
  CHECK(pg_reached(4, sizes, x, reached) == PG_STALE);
  pg_release_all(5, x);
}

/* Reading, and the rest ----------------------------------------------------------------------------------- */

TEST(what_is_set_is_read_back) {
  const pg_id x = leaf(1);
  CHECK(pg_set_data(x, 2, false) == PG_OK && pg_data(x) == 2);
  CHECK(pg_set_grad(x, 3, false) == PG_OK && pg_grad(x) == 3);
  CHECK(pg_set_flags(x, PG_LABELLED) == PG_OK && pg_flags_of(x) == (PG_LABELLED | PG_HELD | PG_FLOAT));
  release(x);
}

TEST(reads_of_traced_numbers_are_counted_and_so_is_setting_data) {
  const pg_id before = leaf(1);
  pg_trace trace;
  CHECK(!pg_tracing() && pg_trace_begin(&trace) == PG_OK && pg_trace_begin(&trace) == PG_BUSY);
  const pg_id x = leaf(2), y = id_of(pg_make_ADD(x, before));
  double read[3];
  CHECK(pg_tracing() && pg_data(before) == 1 && pg_grad(y) == 0);
  CHECK(pg_read(PG_DATA, 3, (pg_id[]){before, x, y}, read) == PG_OK);
  CHECK(pg_data(x) == 2 && *pg_data_at(x) == 2 && *pg_data_at(before) == 1);
  CHECK(pg_set_data(x, 2, false) == PG_OK && pg_set_grad(x, 0, false) == PG_OK);
  CHECK(pg_write(PG_DATA, 2, (pg_id[]){before, x}, (double[]){1, 2}) == PG_OK);
  CHECK(pg_fill(PG_DATA, 1, &x, 2) == PG_OK && pg_fill(PG_GRAD, 1, &x, 0) == PG_OK);
  pg_trace_end(&trace);
  CHECK(trace.reads == 12);
  CHECK(!pg_tracing() && pg_data(x) == 2);
  pg_release_all(3, (pg_id[]){y, x, before});
}

TEST(the_op_table_names_its_ops_and_no_others) {
  for (int op = 0; op < pg_op_count(); op++) {
    CHECK(pg_op_name(op) && pg_op_symbol(op) && pg_op_arity(op) <= 2);
  }
  CHECK(strcmp(pg_op_name(PG_ADD), "ADD") == 0 && strcmp(pg_op_symbol(PG_ADD), "+") == 0);
  CHECK(pg_op_arity(PG_ADD) == 2 && pg_op_arity(PG_RELU) == 1 && pg_op_arity(PG_LEAF) == 0);
  CHECK(!pg_op_name(-1) && !pg_op_symbol(pg_op_count()) && pg_op_arity(INT32_MAX) == 0);
}
