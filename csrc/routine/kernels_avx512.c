/* kernels_avx512.c: the kernels for x86-64 machines with AVX-512 (F and DQ) and FMA. */
#include "routine/kernels.h"

#ifdef __x86_64__
#include <math.h> /* before the pragma: only what is below may need the instructions */
#include <string.h>

#include "routine/processor.h"

static bool is_supported(void) { return pg_processor_has(PG_HAS_AVX512F | PG_HAS_AVX512DQ, PG_SAVES_AVX512); }

#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx512f,avx512dq,fma"))), apply_to = function)
#else
#pragma GCC target("avx512f,avx512dq,fma")
#endif

#define PG_LANES 8
#define PG_FMA
#include "routine/kernels.inc"

#ifdef __clang__
#pragma clang attribute pop
#endif

const pg_kernels pg_kernels_avx512 = {"avx512", is_supported, run_phase, load_tile, store_tile, sum};
#endif
