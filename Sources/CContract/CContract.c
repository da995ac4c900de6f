#include "CContract.h"

// Embedded rather than a SwiftPM resource: a resource bundle is a folder that would have to lie beside the binary.
static const unsigned char document[] = {
#embed "../../openapi.yaml"
};

const unsigned char *openapi_document(size_t *length) {
    *length = sizeof document;
    return document;
}
