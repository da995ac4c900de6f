#define _GNU_SOURCE
#include "LinuxSockets.h"

#include <pthread.h>
#include <string.h>

int CLinuxAccept(int listener, struct sockaddr *address, socklen_t *length) {
    return accept4(listener, address, length, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

ptrdiff_t CLinuxFind(const void *bytes, size_t count, const void *pattern, size_t pattern_count) {
    // No bytes may have no address, which memmem doesn't take.
    if (count < pattern_count) return -1;
    const char *found = memmem(bytes, count, pattern, pattern_count);
    return found == NULL ? -1 : found - (const char *)bytes;
}

void CLinuxNameThisThread(const char *name) { pthread_setname_np(pthread_self(), name); }
