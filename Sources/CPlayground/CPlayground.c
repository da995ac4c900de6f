#include "CPlayground.h"

// Embedded for the same reason as openapi.yaml: a resource bundle would have to be next to the binary.
static const unsigned char page[] = {
#embed "playground.html"
};

const unsigned char *playground_page(size_t *length) {
    *length = sizeof page;
    return page;
}
