// What CMicroHTTPD.c needs of an identity, in GnuTLS' terms.
#pragma once

#include "TLSIdentity.h"

#include <gnutls/abstract.h>

// Copies the identity for one handshake; the receiver frees both. 0, or -1 without memory.
int CTLSIdentityCopy(
    const struct CTLSIdentity *identity, gnutls_pcert_st **certificates, unsigned int *count, gnutls_privkey_t *key);
