/* listing.h: what the listing of a routine (listing.c) and its C code (emit_c.c) have in common. Private to
 * these. */
#ifndef PYGRAD_LISTING_H
#define PYGRAD_LISTING_H

#include "routine/routine.h"
#include "text.h"

/* Prints how far an operand moves with i, j and t, as a sum: "i + 16t", with `times` between a number and its
 * index. `before` comes before the first, which then has a sign only if it is negative; without `before` (NULL)
 * each has one, with spaces around it. Returns how many it printed. */
int pg_print_steps(pg_text *out, const pg_strided *x, const char *before, const char *times);

/* The results of a loop, as an operand. */
static inline pg_strided pg_results_of(const pg_loop *l) {
  return (pg_strided){.slot = l->dst, .i_step = l->n > 1, .j_step = l->rows > 1 ? (int32_t)l->n : 0};
}

#endif
