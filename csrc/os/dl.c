/* dl.c: the part of os.h that loads libraries, for systems that have dlopen(). */
#include "os/os.h"

#ifndef _WIN32
#include <dlfcn.h>

void *pg_os_load(const char *path, const char *function, void **found) {
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  *found = library ? dlsym(library, function) : NULL;
  if (library && !*found) {
    dlclose(library);
    return NULL;
  }
  return library;
}

void pg_os_unload(void *library) { dlclose(library); }
#endif
