#define _GNU_SOURCE
#include "TLSPresentation.h"

#include <gnutls/x509.h>
#include <stdlib.h>
#include <string.h>

struct CTLSIdentity {
    gnutls_x509_crt_t *certificates;
    unsigned int count;
    gnutls_x509_privkey_t key;
};

static int read_certificates(struct CTLSIdentity *identity, const gnutls_datum_t *text) {
    return gnutls_x509_crt_list_import2(
        &identity->certificates, &identity->count, text, GNUTLS_X509_FMT_PEM, GNUTLS_X509_CRT_LIST_SORT);
}

static int read_key(struct CTLSIdentity *identity, const gnutls_datum_t *text) {
    int status = gnutls_x509_privkey_init(&identity->key);
    if (status < 0) return status;
    return gnutls_x509_privkey_import2(identity->key, text, GNUTLS_X509_FMT_PEM, NULL, 0);
}

static int belong_together(const struct CTLSIdentity *identity) {
    unsigned char of_certificate[64], of_key[64];
    size_t certificate_size = sizeof of_certificate, key_size = sizeof of_key;
    return gnutls_x509_crt_get_key_id(
               identity->certificates[0], GNUTLS_KEYID_USE_SHA256, of_certificate, &certificate_size) == 0 &&
           gnutls_x509_privkey_get_key_id(identity->key, GNUTLS_KEYID_USE_SHA256, of_key, &key_size) == 0 &&
           certificate_size == key_size && memcmp(of_certificate, of_key, key_size) == 0;
}

static enum CTLSFault read_both(
    struct CTLSIdentity *identity, const gnutls_datum_t *certificate, const gnutls_datum_t *key, int *status) {
    *status = read_certificates(identity, certificate);
    if (*status < 0) return CTLSCertificateUnreadable;
    *status = read_key(identity, key);
    if (*status < 0) {
        int is_encrypted = memmem(key->data, key->size, "ENCRYPTED", strlen("ENCRYPTED")) != NULL;
        return is_encrypted ? CTLSKeyEncrypted : CTLSKeyUnreadable;
    }
    return belong_together(identity) ? CTLSSound : CTLSKeyOfAnother;
}

struct CTLSIdentity *CTLSIdentityCreate(
    const char *certificate, size_t certificate_length, const char *key, size_t key_length, enum CTLSFault *fault,
    const char **reason) {
    struct CTLSIdentity *identity = calloc(1, sizeof *identity);
    int status = GNUTLS_E_MEMORY_ERROR;
    *fault = CTLSCertificateUnreadable;
    if (identity != NULL) {
        // The lengths are those of files of at most a mebibyte.
        gnutls_datum_t texts[] = {
            {(unsigned char *)certificate, (unsigned int)certificate_length},
            {(unsigned char *)key, (unsigned int)key_length}};
        *fault = read_both(identity, &texts[0], &texts[1], &status);
    }
    *reason = gnutls_strerror(status);
    if (*fault == CTLSSound) return identity;
    CTLSIdentityDestroy(identity);
    return NULL;
}

void CTLSIdentityDestroy(struct CTLSIdentity *identity) {
    if (identity == NULL) return;
    for (unsigned int index = 0; index < identity->count; ++index)
        gnutls_x509_crt_deinit(identity->certificates[index]);
    gnutls_free(identity->certificates);
    if (identity->key != NULL) gnutls_x509_privkey_deinit(identity->key);
    free(identity);
}

int64_t CTLSIdentityExpiry(const struct CTLSIdentity *identity) {
    int64_t first = INT64_MAX;
    for (unsigned int index = 0; index < identity->count; ++index) {
        int64_t expiry = gnutls_x509_crt_get_expiration_time(identity->certificates[index]);
        if (expiry < first) first = expiry;
    }
    return first;
}

int CTLSIdentityCopy(
    const struct CTLSIdentity *identity, gnutls_pcert_st **certificates, unsigned int *count, gnutls_privkey_t *key) {
    gnutls_pcert_st *copies = gnutls_calloc(identity->count, sizeof *copies);
    if (copies == NULL) return -1;
    unsigned int copied = 0;
    while (copied < identity->count &&
           gnutls_pcert_import_x509(&copies[copied], identity->certificates[copied], 0) == 0)
        ++copied;
    gnutls_privkey_t key_copy = NULL;
    if (copied == identity->count && gnutls_privkey_init(&key_copy) == 0 &&
        gnutls_privkey_import_x509(key_copy, identity->key, GNUTLS_PRIVKEY_IMPORT_COPY) == 0) {
        *certificates = copies;
        *count = copied;
        *key = key_copy;
        return 0;
    }
    if (key_copy != NULL) gnutls_privkey_deinit(key_copy);
    while (copied > 0) gnutls_pcert_deinit(&copies[--copied]);
    gnutls_free(copies);
    return -1;
}
