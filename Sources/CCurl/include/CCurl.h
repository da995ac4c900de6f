#pragma once

#include <stddef.h>

/// What came of a POST.
struct curl_answer {
    /// The status; 0 if there was no answer.
    long status;
    /// The seconds of `Retry-After`, or until the time that it names; 0 if it is absent.
    long retry_after;
    /// The beginning of the answer's body.
    char body[4096];
    size_t body_length;
    /// Why there was no answer, ended by a zero.
    char failure[256];
};

/// Makes a client that posts JSON to one URL, by http or https, and keeps its connection. One thread at a time may use it.
///
/// The first call loads libcurl. The binary doesn't link with it, because it brings seventeen more libraries, for LDAP and
/// SSH among them. A service that exports no traces would map them all.
///
/// - Returns: null if the system has no libcurl, or no memory for the client.
void *_Nullable curl_client_make(const char *_Nonnull url, const char *_Nonnull user_agent);

/// Posts, without following redirections.
void curl_client_post(
    void *_Nonnull client, const void *_Nonnull body, size_t length, long timeout_milliseconds,
    struct curl_answer *_Nonnull answer);

void curl_client_free(void *_Nonnull client);
