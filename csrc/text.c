/* text.c: text that grows as it is printed. Not open_memstream(), whose allocations tests cannot make fail. */
#include "text.h"

#include <assert.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "memory.h"

/* Makes room for so many more characters and the final 0. False, for good, if there is no memory. */
static bool grow(pg_text *out, size_t more) {
  if (out->length + more < out->room) {
    return true;
  }
  const size_t room = 2 * (out->length + more) + 64;
  char *at = out->failed ? NULL : pg_resize(out->at, room);
  if (!at) {
    out->failed = true;
    return false;
  }
  out->at = at;
  out->room = room;
  return true;
}

void pg_print(pg_text *out, const char *format, ...) {
  va_list arguments, again;
  va_start(arguments, format);
  va_copy(again, arguments);
  const int length = vsnprintf(NULL, 0, format, arguments);
  assert(length >= 0);
  if (grow(out, (size_t)length)) {
    vsnprintf(out->at + out->length, out->room - out->length, format, again);
    out->length += (size_t)length;
  }
  va_end(again);
  va_end(arguments);
}

static bool is_of_number(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || c == '+' || c == '-';
}

/* In some locales printf() writes the point as another character, of one byte or more. */
void pg_print_number(pg_text *out, double x) {
  char number[64];
  size_t length = 0;
  snprintf(number, sizeof number, "%.17g", x);
  for (const char *at = number; *at; at++) {
    if (is_of_number(*at)) {
      number[length++] = *at;
    } else if (length == 0 || number[length - 1] != '.') {
      number[length++] = '.';
    }
  }
  pg_print(out, "%.*s", (int)length, number);
}

void pg_print_literal(pg_text *out, double x) {
  if (isnan(x)) {
    pg_print(out, "NAN");
  } else if (isinf(x)) {
    pg_print(out, x < 0 ? "-INFINITY" : "INFINITY");
  } else {
    pg_print_number(out, x);
    pg_print(out, x == rint(x) && fabs(x) < 1e17 ? ".0" : ""); /* else it would be an int */
  }
}

char *pg_text_of(pg_text *out) {
  if (out->failed) {
    free(out->at);
    return NULL;
  }
  return out->at;
}

void pg_text_free(char *text) { free(text); }
