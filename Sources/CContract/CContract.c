#include "CContract.h"

// Embedded rather than a SwiftPM resource: a resource bundle is a folder that would have to be next to the binary.
static const unsigned char document[] = {
#embed "../../openapi.yaml"
};
static const unsigned char guide[] = {
#embed "../../docs/api.md"
};

const unsigned char *openapi_document(size_t *length) {
    *length = sizeof document;
    return document;
}

const unsigned char *api_guide(size_t *length) {
    *length = sizeof guide;
    return guide;
}
