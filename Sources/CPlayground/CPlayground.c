#include "CPlayground.h"
#include <string.h>

// Embedded for the same reason as openapi.yaml: a resource bundle would have to be next to the binary.
static const unsigned char page[] = {
#embed "page/playground.html"
};
static const unsigned char style[] = {
#embed "page/playground.css"
};
static const unsigned char requests[] = {
#embed "page/requests.js"
};
static const unsigned char pictures[] = {
#embed "page/pictures.js"
};
static const unsigned char gif[] = {
#embed "page/gif.js"
};
static const unsigned char images[] = {
#embed "page/images.js"
};
static const unsigned char flow[] = {
#embed "page/flow.js"
};
static const unsigned char embeddings[] = {
#embed "page/embeddings.js"
};
static const unsigned char creation[] = {
#embed "page/creation.js"
};
static const unsigned char camera[] = {
#embed "page/camera.js"
};
static const unsigned char terminal[] = {
#embed "page/terminal.js"
};
static const unsigned char playground[] = {
#embed "page/playground.js"
};
static const unsigned char cat[] = {
#embed "page/photographs/cat.jpg"
};
static const unsigned char moose[] = {
#embed "page/photographs/moose.jpg"
};
static const unsigned char goldfish[] = {
#embed "page/photographs/goldfish.jpg"
};
static const unsigned char windmill[] = {
#embed "page/photographs/windmill.jpg"
};
static const unsigned char rocket[] = {
#embed "page/photographs/rocket.jpg"
};
static const unsigned char coffee[] = {
#embed "page/photographs/coffee.jpg"
};

static const struct {
    const char *name;
    const unsigned char *bytes;
    size_t length;
} files[] = {
    {"playground.html", page, sizeof page},
    {"playground.css", style, sizeof style},
    {"requests.js", requests, sizeof requests},
    {"pictures.js", pictures, sizeof pictures},
    {"gif.js", gif, sizeof gif},
    {"images.js", images, sizeof images},
    {"flow.js", flow, sizeof flow},
    {"embeddings.js", embeddings, sizeof embeddings},
    {"creation.js", creation, sizeof creation},
    {"camera.js", camera, sizeof camera},
    {"terminal.js", terminal, sizeof terminal},
    {"playground.js", playground, sizeof playground},
    {"photographs/cat.jpg", cat, sizeof cat},
    {"photographs/moose.jpg", moose, sizeof moose},
    {"photographs/goldfish.jpg", goldfish, sizeof goldfish},
    {"photographs/windmill.jpg", windmill, sizeof windmill},
    {"photographs/rocket.jpg", rocket, sizeof rocket},
    {"photographs/coffee.jpg", coffee, sizeof coffee},
};

const unsigned char *playground_file(const char *name, size_t *length) {
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        if (strcmp(files[i].name, name) == 0) {
            *length = files[i].length;
            return files[i].bytes;
        }
    }
    *length = 0;
    return NULL;
}
