#define _GNU_SOURCE
#include "LinuxSockets.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>

int CLinuxAccept(int listener, struct sockaddr *address, socklen_t *length) {
    return accept4(listener, address, length, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

int CLinuxMakeTemporaryFile(char *path_template) { return mkostemp(path_template, O_CLOEXEC); }

void CLinuxNameThisThread(const char *name) { pthread_setname_np(pthread_self(), name); }
