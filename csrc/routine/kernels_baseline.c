/* kernels_baseline.c: the kernels for instructions that every machine of its kind has: SSE2 on x86-64, NEON on
 * AArch64. */
#include "routine/kernels.h"

#define PG_LANES 2
#ifdef __aarch64__
#define PG_FMA
#endif
#include "routine/kernels.inc"

static bool is_supported(void) { return true; }

const pg_kernels pg_kernels_baseline = {"baseline", is_supported, run_phase, load_tile, store_tile, sum};
