/* text.h: text that grows as it is printed, for listings and C source. Private to the core. The caller owns a
 * pg_text and begins with {0}; it needs no lock. */
#ifndef PYGRAD_TEXT_H
#define PYGRAD_TEXT_H

#include <stdbool.h>
#include <stddef.h>

typedef struct {
  char *at;
  size_t length, room;
  bool failed; /* memory has run out */
} pg_text;

/* Appends, as printf() formats. After memory has run out it does nothing. */
__attribute__((format(printf, 2, 3))) void pg_print(pg_text *out, const char *format, ...);

/* Appends a number so that it is read back to the same bits, with a point, whatever the locale. */
void pg_print_number(pg_text *out, double x);

/* Appends a number as a literal of C, which is read back to the same bits, whatever the locale. */
void pg_print_literal(pg_text *out, double x);

/* What was printed, owned by the caller and freed with pg_text_free(); NULL if there was no memory for all of
 * it. */
char *pg_text_of(pg_text *out);

#endif
