/* ieee.h: arithmetic without Python's exceptions: overflow and domain errors give the inf and nan of IEEE 754
 * and C99. Private to the core.
 *
 * These macros replace the functions of pymath.h in the rows of the op tables. Include this file before the
 * rows are expanded, and only in files that do not want statuses.
 */
#ifndef PYGRAD_IEEE_H
#define PYGRAD_IEEE_H

#include "pymath.h"

#define pg_div(x, y, status) ((x) / (y))
#define pg_pow(x, y, status) pow(x, y)
#define pg_exp(x, status) exp(x)
#define pg_log(x, status) log(x)
#define pg_sqrt(x, status) sqrt(x)
#define pg_sin(x, status) sin(x)
#define pg_cos(x, status) cos(x)
#define pg_abs(x) fabs(x)
#define pg_tanh(x) tanh(x)
#define pg_pow_slope(x, z, status) ((x) == 0 ? 0 : (z) * log(x))

#endif
