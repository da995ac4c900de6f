#pragma once
#include <stddef.h>

/// The bytes of the repository's openapi.yaml, compiled into the binary, and their number in `*length`.
const unsigned char *openapi_document(size_t *length);

/// The same of docs/api.md.
const unsigned char *api_guide(size_t *length);
