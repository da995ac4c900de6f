#include "CBundledModel.h"

static const unsigned char model[] __attribute__((aligned(64))) = {
#embed "headwater-cifar10.safetensors"
};

const unsigned char *bundled_model_bytes(void) { return model; }

size_t bundled_model_length(void) { return sizeof model; }
