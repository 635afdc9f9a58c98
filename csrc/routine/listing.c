/* listing.c: programs and routines as text for people: what print(f) shows in Python.
 *
 *   of a program                         of a routine
 *   %3 = input 0                         input 0: b0
 *   %5 = %3 * %4                         b8..15 = *, i < 8: b0[i] s2
 *   %6 = lookup %2 { %0 %1 }             b16 = lookup: s3 { s0 s1 }
 */
#include "routine/listing.h"

#include <math.h>
#include <stdlib.h>

enum { MAX_LISTED = 8 }; /* of a list of slots */

/* Programs ----------------------------------------------------------------------------------------------- */

static void print_instruction(pg_text *out, const pg_program *p, pg_ref i) {
  const pg_instruction *x = &p->instructions[i];
  pg_print(out, "%%%u = ", i);
  if (x->op == PG_CONSTANT) {
    pg_print_number(out, x->number);
    pg_print(out, "\n");
  } else if (x->op == PG_INPUT || x->op == PG_PARAMETER) {
    pg_print(out, "%s %u\n", pg_symbol(x->op), x->a);
  } else if (x->op == PG_LOOKUP || x->op == PG_ROW) {
    pg_print(out, "%s %%%u {", pg_symbol(x->op), x->a);
    for (uint32_t k = 0; k < p->tables[x->b].count; k++) {
      pg_print(out, " %%%u", p->refs[p->tables[x->b].first + k]);
    }
    pg_print(out, " }\n");
  } else if (x->b == PG_NO_REF) {
    pg_print(out, "%s %%%u\n", pg_symbol(x->op), x->a);
  } else {
    pg_print(out, "%%%u %s %%%u\n", x->a, pg_symbol(x->op), x->b);
  }
}

char *pg_program_text(const pg_program *p) {
  pg_text text = {0}, *const out = &text;
  pg_print(out, "%u inputs, %u parameters, %u instructions\n", p->inputs, p->parameter_count, p->count);
  for (pg_ref i = 0; i < p->count; i++) {
    print_instruction(out, p, i);
  }
  pg_print(out, "return");
  for (uint32_t i = 0; i < p->output_count; i++) {
    pg_print(out, " %%%u", p->outputs[i]);
  }
  pg_print(out, "\n");
  return pg_text_of(out);
}

/* Slots -------------------------------------------------------------------------------------------------- */

static void print_slot(pg_text *out, pg_slot slot) {
  pg_print(out, " %c%u", pg_is_batched(slot) ? 'b' : 's', pg_number_of(slot));
}

static void print_range(pg_text *out, pg_slot slot, uint32_t count) {
  print_slot(out, slot);
  if (count > 1) {
    pg_print(out, "..%u", pg_number_of(slot) + count - 1);
  }
}

int pg_print_steps(pg_text *out, const pg_strided *x, const char *before, const char *times) {
  const int32_t steps[] = {x->i_step, x->j_step, x->t_step};
  int printed = 0;
  for (int k = 0; k < 3; k++) {
    if (!steps[k]) {
      continue;
    }
    if (before && !printed) {
      pg_print(out, "%s%s", before, steps[k] < 0 ? "-" : "");
    } else {
      pg_print(out, " %c ", steps[k] < 0 ? '-' : '+');
    }
    if (abs(steps[k]) != 1) {
      pg_print(out, "%d%s", abs(steps[k]), times);
    }
    pg_print(out, "%c", "ijt"[k]);
    printed++;
  }
  return printed;
}

static void print_operand(pg_text *out, const pg_strided *x) {
  print_slot(out, x->slot);
  pg_print(out, "%s", pg_print_steps(out, x, "[", "") ? "]" : "");
}

static void print_list(pg_text *out, const pg_slot *list, uint32_t size) {
  pg_print(out, " {");
  for (uint32_t k = 0; k < size && k < MAX_LISTED; k++) {
    if (list[k] == PG_NO_SLOT) {
      pg_print(out, " -");
    } else {
      print_slot(out, list[k]);
    }
  }
  pg_print(out, size > MAX_LISTED ? " ... }" : " }");
}

/* Of results, the array and the place there. */
static void print_targets(pg_text *out, const pg_target *targets, uint32_t size) {
  pg_print(out, " {");
  for (uint32_t k = 0; k < size && k < MAX_LISTED; k++) {
    if (targets[k].array == PG_IN_SLOT) {
      print_slot(out, pg_slot_of(targets[k].at, false));
    } else {
      pg_print(out, targets[k].array == PG_NO_REF ? " -" : " %u[%u]", targets[k].array, targets[k].at);
    }
  }
  pg_print(out, size > MAX_LISTED ? " ... }" : " }");
}

/* Loops -------------------------------------------------------------------------------------------------- */

static void print_limit(pg_text *out, char index, uint32_t limit) {
  if (limit > 1) {
    pg_print(out, ", %c < %u", index, limit);
  }
}

static void print_scatter(pg_text *out, const pg_routine *r, const pg_loop *l) {
  pg_print(out, " ");
  if (l->op == PG_SCATTER_ADD) {
    print_targets(out, r->targets + l->scatter.list, l->scatter.size);
    pg_print(out, " += scatter");
  } else {
    print_list(out, r->lists + l->scatter.list, l->scatter.size);
    pg_print(out, " = scatter");
  }
  print_list(out, r->lists + l->scatter.first, 2 * l->scatter.pairs);
  print_limit(out, 'i', l->n);
  pg_print(out, "\n");
}

/* The results, the op, and how often it is done. */
static void print_head(pg_text *out, const pg_loop *l) {
  pg_print(out, " ");
  print_range(out, l->dst, l->n * l->rows);
  pg_print(out, l->op == PG_DOT_TOTAL ? " += total" : l->op == PG_DOT ? " = dot" : " = %s", pg_symbol(l->op));
  print_limit(out, 'i', l->n);
  print_limit(out, 'j', l->rows);
  print_limit(out, 't', pg_terms(l));
  pg_print(out, ":");
}

static void print_loop(pg_text *out, const pg_routine *r, const pg_loop *l) {
  if (pg_is_scatter(l->op)) {
    print_scatter(out, r, l);
    return;
  }
  print_head(out, l);
  if (l->op == PG_LOOKUP) {
    print_operand(out, &l->lookup.index);
    print_list(out, r->lists + pg_number_of(l->lookup.list.slot), l->lookup.size);
  } else if (pg_is_sum(l)) {
    print_operand(out, &l->sum.a);
    print_operand(out, &l->sum.b);
    if (l->sum.init.slot != PG_NO_SLOT) {
      pg_print(out, " from");
      print_operand(out, &l->sum.init);
    }
  } else {
    print_operand(out, &l->map.a);
    if (pg_is_binary(l->op)) {
      print_operand(out, &l->map.b);
    }
  }
  pg_print(out, "\n");
}

/* Routines ----------------------------------------------------------------------------------------------- */

static void print_ports(pg_text *out, const char *name, const pg_port *ports, uint32_t count) {
  uint32_t run;
  for (uint32_t k = 0; k < count; k += run) {
    run = pg_run_of(ports, k, count);
    if (ports[k].slot != PG_NO_SLOT) {
      pg_print(out, run > 1 ? "  %s %u to %u:" : "  %s %u:", name, k, k + run - 1);
      print_range(out, ports[k].slot, run);
      pg_print(out, "\n");
    }
  }
}

static void print_leaves(pg_text *out, const pg_routine *r) {
  if (r->parameter_count) {
    pg_print(out, "  parameters:");
    print_range(out, pg_slot_of(0, false), r->parameter_count);
    pg_print(out, "\n");
  }
  print_ports(out, "input", r->inputs, r->input_count);
  for (uint32_t slot = r->parameter_count; slot < r->leaf_count; slot++) {
    if (!isnan(r->constants[slot])) {
      pg_print(out, "  constant ");
      pg_print_number(out, r->constants[slot]);
      pg_print(out, ": s%u\n", slot);
    }
  }
}

char *pg_routine_text(const pg_routine *r) {
  static const char *const PHASES[PG_PHASES] = {"once, before the batch", "for each tile of the batch",
                                                "once, after the batch"};
  pg_text text = {0}, *const out = &text;
  pg_print(out, "%u slots of one number (s), %u of one a sample (b)\n", r->shared, r->batched);
  print_leaves(out, r);
  for (int phase = 0; phase < PG_PHASES; phase++) {
    if (r->phases[phase].count) {
      pg_print(out, "%s:\n", PHASES[phase]);
    }
    for (uint32_t k = 0; k < r->phases[phase].count; k++) {
      print_loop(out, r, &r->phases[phase].at[k]);
    }
  }
  pg_print(out, "results:\n");
  print_ports(out, "output", r->outputs, r->output_count);
  return pg_text_of(out);
}
