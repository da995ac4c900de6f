// A certificate chain and its private key, by GnuTLS, which is what libmicrohttpd speaks TLS with.
#pragma once

#include <stddef.h>
#include <stdint.h>

enum CTLSFault {
    CTLSSound,
    // There is no certificate in the PEM text, or it can't be read.
    CTLSCertificateUnreadable,
    // There is no private key in the PEM text, or it can't be read.
    CTLSKeyUnreadable,
    // The key is encrypted.
    CTLSKeyEncrypted,
    // The key belongs to another certificate than the chain's first.
    CTLSKeyOfAnother,
};

struct CTLSIdentity;

// Reads both. NULL on failure: `fault` says with which of them, and `reason` why, a text that lasts.
struct CTLSIdentity *CTLSIdentityCreate(
    const char *certificate, size_t certificate_length, const char *key, size_t key_length, enum CTLSFault *fault,
    const char **reason);

void CTLSIdentityDestroy(struct CTLSIdentity *identity);

// When the first certificate of the chain expires, in seconds since 1970.
int64_t CTLSIdentityExpiry(const struct CTLSIdentity *identity);

// Sends a request over TLS and reads the beginning of its answer. Returns the number of bytes read, or -1 with `reason`.
// The socket is connected and blocking, with timeouts. `name` is what the certificate must be for, and what the server is
// told. `trusted` is PEM of the certificates to trust; NULL takes any certificate.
ptrdiff_t CTLSAsk(
    int socket, const char *name, const char *trusted, const char *request, void *answer, size_t answer_capacity,
    char *reason, size_t reason_capacity);
