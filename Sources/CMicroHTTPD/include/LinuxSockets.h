// Linux calls that Swift's Glibc module leaves out because they need _GNU_SOURCE or a header it doesn't list.
#pragma once

#include <stddef.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

// accept4 with a non-blocking socket that child processes don't inherit.
int CLinuxAccept(int listener, struct sockaddr *address, socklen_t *length);

// memmem: where the pattern, which is not empty, first is in the bytes; -1 if nowhere.
ptrdiff_t CLinuxFind(const void *bytes, size_t count, const void *pattern, size_t pattern_count);

void CLinuxNameThisThread(const char *name);
