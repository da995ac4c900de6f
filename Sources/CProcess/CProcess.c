#define _GNU_SOURCE
#include "CProcess.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

// The first file or pipe that is opened would otherwise take the place of a standard descriptor that the caller has closed, and pass
// for standard input. They are opened for reading alone, so that what is written to them is an error, as before.
__attribute__((constructor)) static void occupy_standard_descriptors(void) {
    for (int descriptor = STDIN_FILENO; descriptor <= STDERR_FILENO; descriptor++) {
        if (fcntl(descriptor, F_GETFD) < 0 && open("/dev/null", O_RDONLY) < 0) return;
    }
}

static int ends[2] = {-1, -1};

static void report(int number) {
    int saved = errno;
    unsigned char byte = (unsigned char)number;
    // A full pipe holds tens of thousands of unread signals, so one more adds no information.
    ssize_t count = write(ends[1], &byte, 1);
    (void)count;
    errno = saved;
}

int CProcessOpenSignals(void) {
    if (ends[0] < 0 && pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return -1;
    return ends[0];
}

int CProcessCatchSignal(int number) {
    struct sigaction action = {.sa_handler = report, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    return sigaction(number, &action, NULL);
}

int CProcessFlushOutput(void) {
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout)) return 0;
    return errno != 0 ? errno : EIO;
}

void CProcessNameThisThread(const char *name) { pthread_setname_np(pthread_self(), name); }
