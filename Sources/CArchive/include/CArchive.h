#pragma once

#include <archive.h>
#include <archive_entry.h>
#include <locale.h>

// The functions that reading an archive takes.
#define ARCHIVE_FUNCTIONS(FUNCTION) \
    FUNCTION(archive_read_new) \
    FUNCTION(archive_read_free) \
    FUNCTION(archive_read_support_format_zip_seekable) \
    FUNCTION(archive_read_support_format_tar) \
    FUNCTION(archive_read_support_filter_gzip) \
    FUNCTION(archive_read_support_filter_bzip2) \
    FUNCTION(archive_read_support_filter_xz) \
    FUNCTION(archive_read_support_filter_zstd) \
    FUNCTION(archive_read_open_fd) \
    FUNCTION(archive_read_next_header) \
    FUNCTION(archive_read_data_block) \
    FUNCTION(archive_read_data_skip) \
    FUNCTION(archive_entry_pathname) \
    FUNCTION(archive_entry_hardlink) \
    FUNCTION(archive_entry_filetype) \
    FUNCTION(archive_entry_sparse_count) \
    FUNCTION(archive_entry_is_encrypted) \
    FUNCTION(archive_entry_size) \
    FUNCTION(archive_file_count) \
    FUNCTION(archive_filter_bytes) \
    FUNCTION(archive_filter_count) \
    FUNCTION(archive_format_name) \
    FUNCTION(archive_error_string) \
    FUNCTION(archive_errno)

#define ARCHIVE_MEMBER(name) __typeof__(&name) _Nonnull name;
/// The functions of libarchive, under their names.
struct archive_library {
    ARCHIVE_FUNCTIONS(ARCHIVE_MEMBER)
};
#undef ARCHIVE_MEMBER

/// The functions of libarchive, which the first call loads.
///
/// The binary doesn't link with libarchive, because it brings seven more libraries, for XML and Unicode among them. A service,
/// which reads no archives, would map them all: a megabyte of memory, and code that it doesn't need.
///
/// - Returns: null if the system has no libarchive.
const struct archive_library *_Nullable archive_load(void);

/// Makes UTF-8 the calling thread's character set, to which libarchive converts names that an archive states in Unicode.
///
/// - Returns: the thread's locale before, for `uselocale`; null if the system has no such locale.
locale_t _Nullable archive_use_utf8_names(void);
