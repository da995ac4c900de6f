// libmicrohttpd for Swift: what Swift cannot call (variadic functions, va_list) or what the library's versions spell
// differently. Everything else is used directly from <microhttpd.h>. Works with 0.9.75 and 1.0.
#pragma once

#include "LinuxSockets.h"
#include "TLSIdentity.h"

#include <microhttpd.h>
#include <stddef.h>

enum CMHDTermination { CMHDSent, CMHDStopped, CMHDClosedWithError, CMHDClientLeft };

// What the daemon calls, all of it on its own threads. `context` comes back as every function's first argument.
struct CMHDCallbacks {
    void *context;
    // A connection was accepted; the pointer returned belongs to it until `disconnected`.
    void *(*connected)(void *context, struct MHD_Connection *connection);
    // A connection's socket is about to be closed.
    void (*disconnected)(void *context, void *connection_context);
    // A request line has arrived: `target` as sent. The pointer returned belongs to the request until `completed`.
    void *(*request_line)(void *context, struct MHD_Connection *connection, const char *target);
    // The head, a piece of the body, or the end of the request. Returning 0 closes the connection.
    int (*access)(
        void *context, struct MHD_Connection *connection, void *request, const char *method, const char *version,
        const char *upload, size_t *upload_size);
    // A request ended, `status` being that of the response queued, the library's own error pages included; 0 if there
    // was none.
    void (*completed)(void *context, void *request, enum CMHDTermination termination, unsigned int status);
    // A message without its line end.
    void (*log)(void *context, const char *message);
};

struct CMHDOptions {
    unsigned int threads;
    size_t connection_memory;
    // The TLS identity; NULL for plain HTTP. The daemon owns it from the call on, even if the start fails.
    struct CTLSIdentity *identity;
};

struct CMHDServer;

// Starts a daemon that listens nowhere and serves what CMHDAdd gives it, on epoll threads of its own.
// NULL on failure, which `log` has explained.
struct CMHDServer *CMHDStart(const struct CMHDOptions *options, const struct CMHDCallbacks *callbacks);

// Stops the threads and closes every connection. If a connection is suspended, the library aborts the process.
void CMHDStop(struct CMHDServer *server);

// New handshakes present this identity, which the daemon then owns. Open connections keep the old one.
// Only for a daemon that was started with one.
void CMHDReplaceIdentity(struct CMHDServer *server, struct CTLSIdentity *identity);

// Hands over a connected socket, which is the daemon's from then on, also when this fails (0).
int CMHDAdd(struct CMHDServer *server, int socket, const struct sockaddr *address, socklen_t length);

int CMHDSocket(struct MHD_Connection *connection);
const struct sockaddr *CMHDClientAddress(struct MHD_Connection *connection);
void *CMHDConnectionContext(struct MHD_Connection *connection);
size_t CMHDHeaderSize(struct MHD_Connection *connection);

typedef void (*CMHDHeaderVisitor)(
    void *context, const char *name, size_t name_length, const char *value, size_t value_length);
// For the access callback, and only until the body comes. What the library dropped from a head is visited as a field without a name.
void CMHDVisitHeaders(struct MHD_Connection *connection, CMHDHeaderVisitor visit, void *context);

// A response holding a copy of the bytes; NULL without memory.
struct MHD_Response *CMHDCreateResponse(const void *body, size_t length);
int CMHDAddHeader(struct MHD_Response *response, const char *name, const char *value);
int CMHDQueueResponse(struct MHD_Connection *connection, unsigned int status, struct MHD_Response *response);

int CMHDSupportsTLS(void);
