/* diagnose.c: finds the op that makes an infinity or a nan: pg_find_not_finite() runs a program instruction by
 * instruction, for one sample, and looks at each value. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "program/program.h"

/* The value of an instruction, given those before it. With one sample nothing is batched, and there are no
 * totals. */
static double value_of(const pg_program *p, const pg_id *parameters, const double *inputs, const double *values,
                       pg_ref i) {
  const pg_instruction x = p->instructions[i];
  switch (x.op) {
  case PG_INPUT:
    return inputs[x.a];
  case PG_PARAMETER:
    return pg_data(parameters[x.a]);
  case PG_CONSTANT:
    return x.number;
  case PG_LOOKUP: {
    const pg_span table = p->tables[x.b];
    const bool within = values[x.a] >= 0 && values[x.a] < table.count;
    return within ? values[p->refs[table.first + (uint32_t)values[x.a]]] : NAN;
  }
  case PG_ROW:
    return values[x.a];
  case PG_SCATTER_ADD:
    return 0;
  case PG_SCATTER: {
    double sum = 0;
    const pg_span pairs = p->scatters[x.a];
    for (uint32_t k = 0; k < pairs.count; k += 2) {
      sum += values[p->refs[pairs.first + k]] == x.b ? values[p->refs[pairs.first + k + 1]] : 0;
    }
    return sum;
  }
  default:
    assert(x.op < PG_KERNELS);
    return pg_compute(x.op, values[x.a], x.b == PG_NO_REF ? 0 : values[x.b]);
  }
}

/* Whether an instruction made an infinity from finite operands, or a nan from operands that are not nan. If so,
 * writes the operands and the value to `numbers`, and returns how many these are; else 0. Lookups, scatters
 * and rows copy numbers, and constants are the caller's. */
static int culprit(const pg_instruction *x, const double *values, double value, double numbers[3]) {
  int count = 0;
  bool finite = true, nan = false;
  const pg_ref operands[2] = {x->a, x->b};
  for (int k = 0; k < (x->op < PG_KERNELS ? 2 : 0) && operands[k] != PG_NO_REF; k++) {
    numbers[count++] = values[operands[k]];
    finite = finite && isfinite(values[operands[k]]);
    nan = nan || isnan(values[operands[k]]);
  }
  numbers[count++] = value;
  const bool copies = x->op == PG_LOOKUP || x->op == PG_SCATTER || x->op == PG_ROW || x->op == PG_CONSTANT;
  const bool makes = !copies && (isnan(value) ? !nan : finite);
  return makes && !isfinite(value) ? count : 0;
}

int pg_find_not_finite(const pg_program *p, const double *inputs, bool gradient, const char **symbol,
                       double numbers[3]) {
  bool *batched = pg_zeros(p->inputs, sizeof *batched);
  pg_program plain = *p;
  plain.disabled = ~0U; /* each op as the user wrote it */
  pg_program *q = batched ? pg_specialize(&plain, batched, gradient ? PG_GRADIENT : PG_VALUES, false) : NULL;
  double *values = q ? pg_room(q->count, sizeof *values) : NULL;
  int found = values ? 0 : PG_NO_MEMORY;
  for (pg_ref i = 0; values && i < q->count && found == 0; i++) {
    values[i] = value_of(q, p->parameters, inputs, values, i);
    found = culprit(&q->instructions[i], values, values[i], numbers);
    *symbol = pg_symbol(q->instructions[i].op);
  }
  free(values);
  free(batched);
  pg_program_free(q);
  return found;
}
