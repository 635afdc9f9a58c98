/* diagnose.c: finds the op that makes an infinity or a nan: pg_find_not_finite() runs a program instruction by
 * instruction, for one sample, and follows an output that is not finite back to where that began. So what does
 * not matter, such as the branch of a maximum that is not taken, is not found. Derivatives are masked. */
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
  case PG_PRIMAL:
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

static bool is_alike(double x, double z) { return isnan(z) ? isnan(x) : isinf(x); }

/* The operand that an instruction has its infinity or nan from; PG_NO_REF if there is none. */
static pg_ref origin_of(const pg_program *p, const double *values, pg_ref i) {
  const pg_instruction x = p->instructions[i];
  switch (x.op) {
  case PG_INPUT:
  case PG_PARAMETER:
  case PG_CONSTANT:
    return PG_NO_REF;
  case PG_LOOKUP: {
    const pg_span table = p->tables[x.b];
    const bool within = values[x.a] >= 0 && values[x.a] < table.count;
    return within ? p->refs[table.first + (uint32_t)values[x.a]] : PG_NO_REF;
  }
  case PG_ROW:
  case PG_PRIMAL:
    return x.a;
  case PG_SCATTER: {
    const pg_span pairs = p->scatters[x.a];
    for (uint32_t k = 0; k < pairs.count; k += 2) {
      const pg_ref number = p->refs[pairs.first + k + 1];
      if (values[p->refs[pairs.first + k]] == x.b && !isfinite(values[number])) {
        return number;
      }
    }
    return PG_NO_REF;
  }
  case PG_GATE:
    return x.b;
  case PG_MAXIMUM:
  case PG_MINIMUM:
    return values[x.a] == values[i] || isnan(values[x.a]) ? x.a : x.b;
  default:
    return is_alike(values[x.a], values[i])                       ? x.a
           : x.b != PG_NO_REF && is_alike(values[x.b], values[i]) ? x.b
                                                                  : PG_NO_REF;
  }
}

/* Writes the operands and the value of an instruction to `numbers`, and returns how many these are; 0 for a
 * constant, which is the caller's, a lookup of no element, and a sum of those that looked up one. */
static int describe(const pg_program *p, const double *values, pg_ref i, double numbers[3]) {
  const pg_instruction x = p->instructions[i];
  if (x.op == PG_CONSTANT || x.op == PG_LOOKUP || x.op == PG_SCATTER) {
    return 0;
  }
  int count = 0;
  const pg_ref operands[2] = {x.a, x.b};
  for (int k = 0; k < (x.op < PG_KERNELS ? 2 : 0) && operands[k] != PG_NO_REF; k++) {
    numbers[count++] = values[operands[k]];
  }
  numbers[count++] = values[i];
  return count;
}

/* Computes all values of a program, and follows the first output that is not finite back to where that began.
 * Returns that instruction, or PG_NO_REF. */
static pg_ref culprit(const pg_program *p, const pg_id *parameters, const double *inputs, double *values) {
  for (pg_ref i = 0; i < p->count; i++) {
    values[i] = value_of(p, parameters, inputs, values, i);
  }
  uint32_t k = 0;
  while (k < p->output_count && isfinite(values[p->outputs[k]])) {
    k++;
  }
  pg_ref found = PG_NO_REF;
  for (pg_ref i = k < p->output_count ? p->outputs[k] : PG_NO_REF; i != PG_NO_REF;
       i = origin_of(p, values, i)) {
    found = i;
  }
  return found;
}

int pg_find_not_finite(const pg_program *p, const double *inputs, bool gradient, const char **symbol,
                       double numbers[3]) {
  bool *batched = pg_zeros(p->inputs + 1, sizeof *batched);
  pg_program plain = *p;
  plain.disabled = ~0U; /* each op as the user wrote it */
  pg_program *q = batched ? pg_specialize(&plain, batched, gradient ? PG_GRADIENT : PG_VALUES, true) : NULL;
  double *values = q ? pg_room(q->count, sizeof *values) : NULL;
  int found = values ? 0 : PG_NO_MEMORY;
  const pg_ref i = values ? culprit(q, p->parameters, inputs, values) : PG_NO_REF;
  if (i != PG_NO_REF) {
    found = describe(q, values, i, numbers);
    *symbol = pg_symbol(q->instructions[i].op);
  }
  free(values);
  free(batched);
  pg_program_free(q);
  return found;
}
