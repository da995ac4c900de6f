#include "Codecs.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <jpeglib.h>

typedef struct {
    struct jpeg_compress_struct info;
    struct jpeg_error_mgr errors;
    jmp_buf escape;
    ImageCodecFailure *failure;
} Compression;

[[noreturn]] static void on_error(j_common_ptr info) {
    Compression *compression = info->client_data;
    char message[JMSG_LENGTH_MAX];
    info->err->format_message(info, message);
    codec_fail(compression->failure, ImageCodecStatusTooLarge, 0, message);
    longjmp(compression->escape, 1);
}

static void discard_output(j_common_ptr) {}

size_t image_codec_jpeg_bound(uint32_t width, uint32_t height) {
    // Blocks of 8x8 samples take less than twice their samples, and there are at most as many of chroma as of luma. Headers fit
    // in 2 KiB.
    const size_t padded_width = ((size_t)width + 15) & ~(size_t)15, padded_height = ((size_t)height + 15) & ~(size_t)15;
    return padded_width * padded_height * 6 + 2048;
}

static void encode(
    Compression *compression, const uint8_t *pixels, uint32_t width, uint32_t height, int quality, uint8_t **bytes,
    unsigned long *count) {
    struct jpeg_compress_struct *info = &compression->info;
    jpeg_create_compress(info);
    jpeg_mem_dest(info, bytes, count);
    info->image_width = width;
    info->image_height = height;
    info->input_components = 3;
    info->in_color_space = JCS_RGB;
    jpeg_set_defaults(info);
    jpeg_set_quality(info, quality, TRUE);
    jpeg_start_compress(info, TRUE);
    while (info->next_scanline < height) {
        JSAMPROW row = (JSAMPROW)(uintptr_t)(pixels + (size_t)info->next_scanline * width * 3);
        jpeg_write_scanlines(info, &row, 1);
    }
    jpeg_finish_compress(info);
}

ImageCodecStatus image_codec_encode_jpeg(
    const uint8_t *pixels, uint32_t width, uint32_t height, uint32_t quality, uint8_t *bytes, size_t *count,
    ImageCodecFailure *failure) {
    // Volatile, because they are read after a jump that may have followed a change.
    uint8_t *volatile destination = bytes;
    volatile unsigned long size = *count;
    Compression compression = {.failure = failure};
    compression.info.err = jpeg_std_error(&compression.errors);
    compression.info.client_data = &compression;
    compression.errors.error_exit = on_error;
    compression.errors.output_message = discard_output;
    ImageCodecStatus status = ImageCodecStatusTooLarge;
    if (setjmp(compression.escape) == 0) {
        encode(
            &compression, pixels, width, height, (int)quality, (uint8_t **)&destination, (unsigned long *)&size);
        status = ImageCodecStatusOK;
    }
    jpeg_destroy_compress(&compression.info);
    // The library allocates other memory if the caller's is too small.
    if (destination != bytes) {
        free(destination);
        return codec_fail(failure, ImageCodecStatusTooLarge, 0, "the file is longer than its bound");
    }
    *count = size;
    return status;
}
