#include "CImageCodecs.h"

#include <stdbool.h>

void image_orient(
    const uint8_t *source, size_t width, size_t height, uint32_t orientation, uint8_t *destination) {
    const bool transposed = orientation >= 5;
    const bool from_right = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
    const bool from_bottom = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
    const ptrdiff_t column = from_right ? -3 : 3, row = (ptrdiff_t)(width * 3) * (from_bottom ? -1 : 1);
    const ptrdiff_t across = transposed ? row : column, down = transposed ? column : row;
    const size_t shown_width = transposed ? height : width, shown_height = transposed ? width : height;
    const uint8_t *origin = source + (from_right ? (width - 1) * 3 : 0) + (from_bottom ? (height - 1) * width * 3 : 0);

    // Square tiles, since a transposition reads one cache line for every pixel of a row.
    enum { tile = 32 };
    for (size_t top = 0; top < shown_height; top += tile) {
        for (size_t left = 0; left < shown_width; left += tile) {
            const size_t bottom = top + tile < shown_height ? top + tile : shown_height;
            const size_t right = left + tile < shown_width ? left + tile : shown_width;
            for (size_t y = top; y < bottom; y++) {
                const uint8_t *from = origin + (ptrdiff_t)y * down + (ptrdiff_t)left * across;
                uint8_t *to = destination + (y * shown_width + left) * 3;
                for (size_t x = left; x < right; x++, from += across, to += 3) {
                    to[0] = from[0];
                    to[1] = from[1];
                    to[2] = from[2];
                }
            }
        }
    }
}
