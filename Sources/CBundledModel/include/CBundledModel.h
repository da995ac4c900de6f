#pragma once

#include <stddef.h>

/// The model built into the program: the bytes of headwater-cifar10.safetensors.
const unsigned char *bundled_model_bytes(void);

/// How many bytes there are.
size_t bundled_model_length(void);
