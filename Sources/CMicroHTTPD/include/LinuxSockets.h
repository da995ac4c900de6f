// Linux calls that Swift's Glibc module leaves out because they need _GNU_SOURCE or a header it doesn't list.
#pragma once

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

// accept4 with a non-blocking socket that child processes don't inherit.
int CLinuxAccept(int listener, struct sockaddr *address, socklen_t *length);

// mkostemp with O_CLOEXEC.
int CLinuxMakeTemporaryFile(char *path_template);

void CLinuxNameThisThread(const char *name);
