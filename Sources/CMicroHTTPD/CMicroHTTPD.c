#include "CMicroHTTPD.h"
#include "TLSPresentation.h"

#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// The caller checks the Host header, the target and the framing, because the library's refusals have their own page. Up to 0.9.76,
// strictness adds two such checks. Later versions omit them only at the laxest level, where they repair other faulty requests.
#if MHD_VERSION < 0x00097701
#define LAX MHD_OPTION_STRICT_FOR_CLIENT, 0
#else
#define MENDS_HEADS
#if MHD_VERSION < 0x01000201
#define LAX MHD_OPTION_CLIENT_DISCIPLINE_LVL, -3
#else
#define LAX MHD_OPTION_CLIENT_DISCIPLINE_LVL, -3, MHD_OPTION_ALLOW_BIN_ZERO_IN_URI_PATH, 2
#endif
#endif

struct CMHDServer {
    struct MHD_Daemon *daemon;
    struct CMHDCallbacks callbacks;
    pthread_mutex_t identity_lock;
    struct CTLSIdentity *identity;
};

// The context of a connection.
struct Connection {
    struct CMHDServer *server;
    void *context;
    // Where the head of the request at hand begins, and where its request line ends.
    const char *head, *fields;
};

static struct Connection *of(struct MHD_Connection *connection) {
    return MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

static void log_message(void *context, const char *format, va_list arguments) {
    struct CMHDServer *server = context;
    char message[1024];
    vsnprintf(message, sizeof message, format, arguments);
    message[strcspn(message, "\n")] = '\0';
    if (message[0] != '\0') server->callbacks.log(server->callbacks.context, message);
}

static void *request_line(void *context, const char *target, struct MHD_Connection *connection) {
    struct CMHDServer *server = context;
    return server->callbacks.request_line(server->callbacks.context, connection, target);
}

static enum MHD_Result access_handler(
    void *context, struct MHD_Connection *connection, const char *url, const char *method, const char *version,
    const char *upload, size_t *upload_size, void **request) {
    (void)url;
    struct CMHDServer *server = context;
    struct Connection *own = of(connection);
    if (own != NULL) {
        own->head = method;
        own->fields = version + strlen(version);
    }
    int continues = server->callbacks.access(
        server->callbacks.context, connection, *request, method, version, upload, upload_size);
    return continues ? MHD_YES : MHD_NO;
}

static enum CMHDTermination simplified(enum MHD_RequestTerminationCode termination) {
    switch (termination) {
    case MHD_REQUEST_TERMINATED_COMPLETED_OK: return CMHDSent;
    case MHD_REQUEST_TERMINATED_DAEMON_SHUTDOWN: return CMHDStopped;
    case MHD_REQUEST_TERMINATED_WITH_ERROR: return CMHDClosedWithError;
    default: return CMHDClientLeft;
    }
}

static void completed(
    void *context, struct MHD_Connection *connection, void **request, enum MHD_RequestTerminationCode termination) {
    struct CMHDServer *server = context;
    if (*request == NULL) return;
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_HTTP_STATUS);
    unsigned int status = info == NULL ? 0 : info->http_status;
    server->callbacks.completed(server->callbacks.context, *request, simplified(termination), status);
    *request = NULL;
}

static void notify_connection(
    void *context, struct MHD_Connection *connection, void **socket_context,
    enum MHD_ConnectionNotificationCode code) {
    struct CMHDServer *server = context;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        struct Connection *own = malloc(sizeof *own);
        *socket_context = own;
        // Without memory the connection has no context, and its first request closes it.
        if (own == NULL) return;
        own->server = server;
        own->context = server->callbacks.connected(server->callbacks.context, connection);
    } else if (*socket_context != NULL) {
        struct Connection *own = *socket_context;
        server->callbacks.disconnected(server->callbacks.context, own->context);
        free(own);
        *socket_context = NULL;
    }
}

// Gives each handshake its own copy of the identity, because the server's may be replaced at any moment. GnuTLS frees the copy.
static int present_identity(
    gnutls_session_t session, const struct gnutls_cert_retr_st *info, gnutls_pcert_st **certificates,
    unsigned int *count, gnutls_ocsp_data_st **ocsp, unsigned int *ocsp_count, gnutls_privkey_t *key,
    unsigned int *flags) {
    (void)info;
    // libmicrohttpd leaves the connection there.
    struct Connection *own = of(gnutls_session_get_ptr(session));
    if (own == NULL) return -1;
    pthread_mutex_lock(&own->server->identity_lock);
    int status = CTLSIdentityCopy(own->server->identity, certificates, count, key);
    pthread_mutex_unlock(&own->server->identity_lock);
    *ocsp = NULL;
    *ocsp_count = 0;
    *flags = GNUTLS_CERT_RETR_DEINIT_ALL;
    return status;
}

static void destroy(struct CMHDServer *server) {
    CTLSIdentityDestroy(server->identity);
    pthread_mutex_destroy(&server->identity_lock);
    free(server);
}

struct CMHDServer *CMHDStart(const struct CMHDOptions *options, const struct CMHDCallbacks *callbacks) {
    struct CMHDServer *server = malloc(sizeof *server);
    if (server == NULL) {
        CTLSIdentityDestroy(options->identity);
        return NULL;
    }
    *server = (struct CMHDServer){.callbacks = *callbacks, .identity = options->identity};
    pthread_mutex_init(&server->identity_lock, NULL);

    unsigned int flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ERROR_LOG | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC |
                         MHD_USE_NO_LISTEN_SOCKET;
    struct MHD_OptionItem items[4] = {{MHD_OPTION_END, 0, NULL}};
    int count = 0;
    if (options->threads > 1)
        items[count++] = (struct MHD_OptionItem){MHD_OPTION_THREAD_POOL_SIZE, options->threads, NULL};
    if (options->identity != NULL) {
        flags |= MHD_USE_TLS;
        items[count++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_CERT_CALLBACK2, 0, (void *)present_identity};
        // GnuTLS' own choice still takes TLS 1.0 and 1.1 (RFC 8996 deprecates them).
        items[count++] = (struct MHD_OptionItem){
            MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)"NORMAL:-VERS-TLS1.0:-VERS-TLS1.1"};
    }
    items[count] = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};

    // The logger comes first: errors of later options would otherwise be printed on stderr.
    server->daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, access_handler, server,
        MHD_OPTION_EXTERNAL_LOGGER, log_message, server,
        // No limit here: the caller has its own, and 0.9.75 keeps a mutex locked for ever once its limit is reached.
        MHD_OPTION_CONNECTION_LIMIT, UINT_MAX,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, options->connection_memory,
        LAX,
        MHD_OPTION_URI_LOG_CALLBACK, request_line, server,
        MHD_OPTION_NOTIFY_COMPLETED, completed, server,
        MHD_OPTION_NOTIFY_CONNECTION, notify_connection, server,
        MHD_OPTION_ARRAY, items, MHD_OPTION_END);
    if (server->daemon == NULL) {
        destroy(server);
        return NULL;
    }
    return server;
}

void CMHDReplaceIdentity(struct CMHDServer *server, struct CTLSIdentity *identity) {
    pthread_mutex_lock(&server->identity_lock);
    struct CTLSIdentity *former = server->identity;
    server->identity = identity;
    pthread_mutex_unlock(&server->identity_lock);
    CTLSIdentityDestroy(former);
}

void CMHDStop(struct CMHDServer *server) {
    MHD_stop_daemon(server->daemon);
    destroy(server);
}

int CMHDAdd(struct CMHDServer *server, int socket, const struct sockaddr *address, socklen_t length) {
    return MHD_add_connection(server->daemon, socket, address, length) == MHD_YES;
}

int CMHDSocket(struct MHD_Connection *connection) {
    return MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
}

const struct sockaddr *CMHDClientAddress(struct MHD_Connection *connection) {
    return MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr;
}

void *CMHDConnectionContext(struct MHD_Connection *connection) {
    struct Connection *own = of(connection);
    return own == NULL ? NULL : own->context;
}

size_t CMHDHeaderSize(struct MHD_Connection *connection) {
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    return info == NULL ? 0 : info->header_size;
}

struct HeaderVisit {
    CMHDHeaderVisitor visit;
    void *context;
    // Up to where the head is understood; NULL after something that isn't.
    const char *position;
};

// Goes on to the next part of the head that the library understood. It leaves the head in place, with NUL where a part ends.
static void go_on(struct HeaderVisit *visit, const char *next, const char *end) {
#ifdef MENDS_HEADS
    while (visit->position != NULL && visit->position < next)
        visit->position = memchr(" \t\r\n", *visit->position, 5) == NULL ? NULL : visit->position + 1;
    if (visit->position != next) visit->position = NULL;
    if (visit->position != NULL) visit->position = end;
#else
    (void)visit, (void)next, (void)end;
#endif
}

static enum MHD_Result visit_header(
    void *context, enum MHD_ValueKind kind, const char *name, size_t name_length, const char *value,
    size_t value_length) {
    (void)kind;
    struct HeaderVisit *visit = context;
    go_on(visit, name, name + name_length);
    if (value != NULL) go_on(visit, value, value + value_length);
    visit->visit(visit->context, name, name_length, value == NULL ? "" : value, value == NULL ? 0 : value_length);
    return MHD_YES;
}

void CMHDVisitHeaders(struct MHD_Connection *connection, CMHDHeaderVisitor visit, void *context) {
    struct Connection *own = of(connection);
    struct HeaderVisit header_visit = {visit, context, own->fields};
    MHD_get_connection_values_n(connection, MHD_HEADER_KIND, visit_header, &header_visit);
#ifdef MENDS_HEADS
    // The library drops lines without a colon, and white space before a colon, which must be refused (RFC 9112, 5 and 5.1). What it
    // dropped is a field without a name.
    const char *end = own->head + CMHDHeaderSize(connection);
    go_on(&header_visit, end, end);
    if (header_visit.position == NULL) visit(context, "", 0, "", 0);
#endif
}

struct MHD_Response *CMHDCreateResponse(const void *body, size_t length) {
    // Copied, since a Swift array's bytes have no address after a closure ends.
    return MHD_create_response_from_buffer(length, (void *)body, MHD_RESPMEM_MUST_COPY);
}

int CMHDAddHeader(struct MHD_Response *response, const char *name, const char *value) {
    return MHD_add_response_header(response, name, value) == MHD_YES;
}

int CMHDQueueResponse(struct MHD_Connection *connection, unsigned int status, struct MHD_Response *response) {
    return MHD_queue_response(connection, status, response) == MHD_YES;
}

int CMHDSupportsTLS(void) { return MHD_is_feature_supported(MHD_FEATURE_HTTPS_CERT_CALLBACK2) == MHD_YES; }
