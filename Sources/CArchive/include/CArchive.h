#pragma once

#include <archive.h>
#include <archive_entry.h>
#include <locale.h>

/// Makes UTF-8 the calling thread's character set, to which libarchive converts names that an archive states in Unicode.
///
/// - Returns: the thread's locale before, for `uselocale`; null if the system has no such locale.
locale_t archive_use_utf8_names(void);
