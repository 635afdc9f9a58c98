/* text.h: text that grows as it is printed, for listings. Private to the core. */
#ifndef PYGRAD_TEXT_H
#define PYGRAD_TEXT_H

#include <stdbool.h>
#include <stddef.h>

typedef struct {
  char *at;
  size_t length, room;
  bool failed; /* memory has run out */
} pg_text;

/* As printf does. */
__attribute__((format(printf, 2, 3))) void pg_print(pg_text *out, const char *format, ...);

/* What was printed, to be freed with pg_text_free; NULL if there was no memory for all of it. */
char *pg_text_of(pg_text *out);

#endif
