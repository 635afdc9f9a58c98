/* processor.h: the vector instructions of an x86-64 processor. Private to the kernels.
 *
 * It asks the processor itself (Intel's manual, volume 1, sections 14.3 and 15.2), since not every compiler has
 * __builtin_cpu_supports(), or the library behind it. */
#ifndef PYGRAD_PROCESSOR_H
#define PYGRAD_PROCESSOR_H

#include <cpuid.h>
#include <stdbool.h>
#include <stdint.h>

/* Bits of cpuid, and the registers that the system saves: those of AVX2, and those of AVX-512. */
enum {
  PG_HAS_FMA = 1 << 12,
  PG_HAS_XGETBV = 1 << 27,
  PG_HAS_AVX2 = 1 << 5,
  PG_HAS_AVX512F = 1 << 16,
  PG_HAS_AVX512DQ = 1 << 17,
  PG_SAVES_AVX2 = 0x6,
  PG_SAVES_AVX512 = 0xe6,
};

/* Whether the processor has FMA and these instructions (bits of EBX of leaf 7), and the system saves their
 * registers. */
static inline bool pg_processor_has(uint32_t instructions, uint32_t registers) {
  uint32_t a, b, c, d;
  const uint32_t basic = PG_HAS_FMA | PG_HAS_XGETBV;
  if (!__get_cpuid(1, &a, &b, &c, &d) || (c & basic) != basic) {
    return false;
  }
  uint32_t saved, high;
  __asm__("xgetbv" : "=a"(saved), "=d"(high) : "c"(0));
  return (saved & registers) == registers && __get_cpuid_count(7, 0, &a, &b, &c, &d) &&
         (b & instructions) == instructions;
}

#endif
