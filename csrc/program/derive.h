/* derive.h: what the files share that derive the gradient and the tangents of a program. Private to these:
 * adjoint.c, gradient.c, tangents.c, and specialize.c, which calls them.
 */
#ifndef PYGRAD_DERIVE_H
#define PYGRAD_DERIVE_H

#include "program/program.h"

/* A sum of contributions, which grows. Those that are one number for all samples are added up apart from the
 * batched ones: so that each is added up once, not for each sample. PG_NO_REF where there is none. */
typedef struct {
  pg_ref batched, shared;
} pg_sum;

static inline bool pg_is_empty(const pg_sum *sum) {
  return sum->batched == PG_NO_REF && sum->shared == PG_NO_REF;
}

/* Adds a contribution, unless it is the constant 0. */
void pg_contribute(pg_program *p, pg_sum *sum, pg_ref contribution);

/* The sum, as one instruction; PG_NO_REF if it is empty. If what it belongs to is not `batched`, the batched
 * contributions are added up over the batch. */
pg_ref pg_finish_sum(pg_program *p, const pg_sum *sum, bool batched);

/* How many operands an instruction has that a derivative goes through. */
int pg_adjoint_count(const pg_instruction *i);

/* Emits the adjoint of an operand of instruction z, given g, the gradient of z. For g the tangent of the
 * operand it is the operand's contribution to the tangent of z: adjoints are linear in g. */
pg_ref pg_emit_adjoint(pg_program *p, pg_ref z, int operand, pg_ref g);

/* Paths. A derivative is a sum over the paths from the output to an input, of the product of the slopes along
 * each. A gate that is off ends a path, as a seed of 0 does, the cotangent or the input's tangent. Where no
 * path arrives, a derivative is 0; but a slope that is infinite makes it 0 * inf, which is nan. So a program
 * that is `masked` also counts the paths, in the same way, and gates each contribution by their number. */

/* The same for the number of paths, g: it stays, or is 0 where the adjoint has a gate that is off. */
pg_ref pg_emit_paths(pg_program *p, pg_ref z, int operand, pg_ref g);

/* One of the two. */
typedef pg_ref pg_rule(pg_program *p, pg_ref z, int operand, pg_ref g);

/* The number of paths that begin at a seed: 1, or 0 where the seed is 0. */
pg_ref pg_emit_seed(pg_program *p, pg_ref seed);

/* Emits x where there are paths, else 0; PG_NO_REF is none at all. */
pg_ref pg_emit_masked(pg_program *p, pg_ref paths, pg_ref x);

/* Emits how many elements of row z equal its maximum or minimum: at least 1, also where that is nan. */
pg_ref pg_emit_ties(pg_program *p, pg_ref z);

/* Emits x where an element of row z equals its maximum or minimum, else 0. */
pg_ref pg_emit_for_tie(pg_program *p, pg_ref z, pg_ref element, pg_ref x);

/* Copies of the backward of functions that have one of their own, with gradients in place of cotangents. */
typedef struct {
  pg_ref *of;       /* an instruction: its copy, itself where it does not depend on cotangents; or PG_NO_REF */
  uint32_t *tables; /* a table: that of the copies of its elements; or PG_NO_REF */
  uint8_t *known;   /* a table: what is known of its elements */
  bool *depends;    /* an instruction: on cotangents */
  pg_ref *stack;    /* those to be copied, before which their operands are copied */
  uint32_t depth, room;
  bool counts; /* the paths: a copy is their number */
  bool failed;
} pg_backwards;

/* Finds out what depends on cotangents. False if there is no memory; pg_free_backwards() frees it in any case.
 */
bool pg_begin_backwards(pg_backwards *d, const pg_program *p, bool counts);
void pg_free_backwards(pg_backwards *d);
/* Emits the gradient that a pullback's operand b stands for, given the sums of gradients by instruction, where
 * those of the primals are complete. */
pg_ref pg_emit_backward(pg_program *p, pg_backwards *d, const pg_sum *sums, pg_ref b);
/* Makes the constants of pullbacks and cotangents that they are, once there is nothing more to derive. Nothing
 * may be emitted afterwards. */
void pg_drop_backwards(pg_program *p);

/* Appends to the outputs, which have room for them: the gradients of an output by the inputs and by the
 * parameters, times the cotangent. With `adds`, unless the program is masked, the gradients of lookups in
 * tables of these are added to the outputs by PG_SCATTER_ADD, else each element has an instruction. */
void pg_add_gradients(pg_program *p, pg_ref output, pg_ref cotangent, bool adds);

/* Appends to the outputs, which have room for them: the tangents of outputs `first` to `last` - 1, given those
 * of the inputs, which are inputs, too, behind all others. `batched` is pg_specialize()'s. These outputs must
 * not depend on totals. */
void pg_add_tangents(pg_program *p, const bool *batched, uint32_t first, uint32_t last);

/* Appends an output; the constant 0 for PG_NO_REF. */
void pg_add_output(pg_program *p, pg_ref i);

#endif
