// asprintf.
#define _GNU_SOURCE

#include "CFuzzing.h"

#include <CMicroHTTPD.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct Visit {
    void (*body)(void *context, struct MHD_Connection *connection);
    void *context;
    bool done;
};

// Called by one thread alone, the fuzzer's.
static struct Visit *current;

static enum MHD_Result access_handler(
    void *context, struct MHD_Connection *connection, const char *url, const char *method, const char *version,
    const char *upload, size_t *upload_size, void **request) {
    (void)context, (void)url, (void)method, (void)version, (void)upload, (void)upload_size, (void)request;
    if (!current->done) current->body(current->context, connection);
    current->done = true;
    // Closes the connection.
    return MHD_NO;
}

static void ignore_message(void *context, const char *format, va_list arguments) {
    (void)context, (void)format, (void)arguments;
}

// A daemon without threads, which works when MHD_run is called.
static struct MHD_Daemon *daemon_of_fuzzer(void) {
    static struct MHD_Daemon *daemon;
    if (daemon == NULL) {
        daemon = MHD_start_daemon(
            MHD_USE_NO_LISTEN_SOCKET | MHD_USE_ERROR_LOG, 0, NULL, NULL, access_handler, NULL,
            MHD_OPTION_EXTERNAL_LOGGER, ignore_message, NULL, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)65536,
            MHD_OPTION_END);
    }
    return daemon;
}

int with_connection(
    const char *content_type, void (*body)(void *context, struct MHD_Connection *connection), void *context) {
    struct MHD_Daemon *daemon = daemon_of_fuzzer();
    int sockets[2];
    if (daemon == NULL || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, sockets) != 0) abort();
    char *head = NULL;
    const int length = asprintf(
        &head, "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: %s\r\nContent-Length: 0\r\n\r\n", content_type);
    if (length < 0 || write(sockets[0], head, (size_t)length) != length) abort();
    free(head);

    struct Visit visit = {body, context, false};
    current = &visit;
    struct sockaddr address = {.sa_family = AF_UNIX};
    if (MHD_add_connection(daemon, sockets[1], &address, sizeof address) == MHD_YES) {
        for (int turn = 0; turn < 8 && !visit.done; turn++) MHD_run(daemon);
    }
    // The library notices that its peer has gone and cleans up.
    close(sockets[0]);
    MHD_run(daemon);
    MHD_run(daemon);
    current = NULL;
    return visit.done;
}
