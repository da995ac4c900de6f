#include "TLSIdentity.h"

#include <arpa/inet.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <string.h>

static int is_address(const char *name) {
    unsigned char bytes[16];
    return inet_pton(AF_INET, name, bytes) == 1 || inet_pton(AF_INET6, name, bytes) == 1;
}

static int prepare(
    gnutls_session_t session, gnutls_certificate_credentials_t credentials, int socket, const char *name,
    int is_checked) {
    int status = gnutls_set_default_priority(session);
    if (status == 0) status = gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, credentials);
    // A name only: addresses may not be sent (RFC 6066, 3).
    if (status == 0 && !is_address(name))
        status = gnutls_server_name_set(session, GNUTLS_NAME_DNS, name, strlen(name));
    if (status == 0 && is_checked) gnutls_session_set_verify_cert(session, name, 0);
    gnutls_transport_set_int(session, socket);
    return status;
}

// The reason of a failed handshake: what is wrong with the certificate, if that is it.
static void explain(gnutls_session_t session, int status, char *reason, size_t capacity) {
    if (status == GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR) {
        gnutls_datum_t text = {NULL, 0};
        unsigned int verdict = gnutls_session_get_verify_cert_status(session);
        if (gnutls_certificate_verification_status_print(verdict, GNUTLS_CRT_X509, &text, 0) == 0) {
            snprintf(reason, capacity, "%s", (const char *)text.data);
            gnutls_free(text.data);
            return;
        }
    }
    snprintf(reason, capacity, "%s", status == GNUTLS_E_AGAIN ? "no answer in time" : gnutls_strerror(status));
}

static ptrdiff_t converse(
    gnutls_session_t session, const char *request, void *answer, size_t answer_capacity, char *reason, size_t capacity) {
    int status;
    do status = gnutls_handshake(session);
    while (status == GNUTLS_E_INTERRUPTED || status == GNUTLS_E_WARNING_ALERT_RECEIVED);
    if (status < 0) {
        explain(session, status, reason, capacity);
        return -1;
    }
    ssize_t count = gnutls_record_send(session, request, strlen(request));
    if (count >= 0) {
        // TLS 1.3 servers may send session tickets before the answer.
        do count = gnutls_record_recv(session, answer, answer_capacity);
        while (count == GNUTLS_E_INTERRUPTED);
    }
    if (count < 0) explain(session, (int)count, reason, capacity);
    return count < 0 ? -1 : count;
}

ptrdiff_t CTLSAsk(
    int socket, const char *name, const char *trusted, const char *request, void *answer, size_t answer_capacity,
    char *reason, size_t reason_capacity) {
    gnutls_certificate_credentials_t credentials = NULL;
    gnutls_session_t session = NULL;
    ptrdiff_t count = -1;
    int status = gnutls_certificate_allocate_credentials(&credentials);
    if (status == 0 && trusted != NULL) {
        gnutls_datum_t text = {(unsigned char *)trusted, (unsigned int)strlen(trusted)};
        int found = gnutls_certificate_set_x509_trust_mem(credentials, &text, GNUTLS_X509_FMT_PEM);
        status = found > 0 ? 0 : found < 0 ? found : GNUTLS_E_NO_CERTIFICATE_FOUND;
    }
    if (status == 0) status = gnutls_init(&session, GNUTLS_CLIENT | GNUTLS_NO_SIGNAL);
    if (status == 0) status = prepare(session, credentials, socket, name, trusted != NULL);
    if (status == 0) {
        count = converse(session, request, answer, answer_capacity, reason, reason_capacity);
    } else {
        snprintf(reason, reason_capacity, "%s", gnutls_strerror(status));
    }
    if (session != NULL) gnutls_deinit(session);
    if (credentials != NULL) gnutls_certificate_free_credentials(credentials);
    return count;
}
