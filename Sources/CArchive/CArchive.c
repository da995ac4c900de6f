#define _GNU_SOURCE

#include "CArchive.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stddef.h>

static struct archive_library library;
static const struct archive_library *loaded;

static void load_library(void) {
    // The interface of all versions from 3.0 on.
    void *const handle = dlopen("libarchive.so.13", RTLD_NOW | RTLD_LOCAL);
    if (!handle) return;
#define LOAD(name) \
    if (!((*(void **)&library.name) = dlsym(handle, #name))) return;
    ARCHIVE_FUNCTIONS(LOAD)
#undef LOAD
    loaded = &library;
}

const struct archive_library *archive_load(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load_library);
    return loaded;
}

static locale_t _Nullable utf8_locale;

static void make_locale(void) { utf8_locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0); }

locale_t _Nullable archive_use_utf8_names(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_locale);
    return utf8_locale ? uselocale(utf8_locale) : (locale_t)0;
}
