/* ieee.h: the functions of pymath.h where nobody asks for Python's exceptions: as IEEE and C99 have them. For
 * the op tables' rows, whose calls these macros catch. */
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
