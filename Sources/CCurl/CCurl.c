#include "CCurl.h"

#include <curl/curl.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define CURL_FUNCTIONS(FUNCTION) \
    FUNCTION(curl_global_init) \
    FUNCTION(curl_easy_init) \
    FUNCTION(curl_easy_setopt) \
    FUNCTION(curl_easy_perform) \
    FUNCTION(curl_easy_getinfo) \
    FUNCTION(curl_easy_strerror) \
    FUNCTION(curl_easy_cleanup) \
    FUNCTION(curl_slist_append) \
    FUNCTION(curl_slist_free_all)

// Macros of the header that check the types of arguments where the functions are called by name.
#undef curl_easy_setopt
#undef curl_easy_getinfo

#define CURL_MEMBER(name) __typeof__(&name) name;
static struct {
    CURL_FUNCTIONS(CURL_MEMBER)
} library;
#undef CURL_MEMBER
static int is_loaded;

static void load_library(void) {
    // The flavour that uses GnuTLS, as the listeners do.
    void *const handle = dlopen("libcurl-gnutls.so.4", RTLD_NOW | RTLD_LOCAL);
    if (!handle) return;
#define LOAD(name) \
    if (!((*(void **)&library.name) = dlsym(handle, #name))) return;
    CURL_FUNCTIONS(LOAD)
#undef LOAD
    is_loaded = library.curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
}

struct client {
    CURL *handle;
    struct curl_slist *headers;
    char failure[CURL_ERROR_SIZE];
};

static size_t take(char *bytes, size_t size, size_t count, void *context) {
    struct curl_answer *const answer = context;
    const size_t length = size * count, room = sizeof answer->body - answer->body_length;
    const size_t taken = length < room ? length : room;
    memcpy(answer->body + answer->body_length, bytes, taken);
    answer->body_length += taken;
    // The rest is read and dropped, so that the connection can be used again.
    return length;
}

void *curl_client_make(const char *url, const char *user_agent) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load_library);
    struct client *const client = is_loaded ? calloc(1, sizeof *client) : NULL;
    if (!client) return NULL;
    client->handle = library.curl_easy_init();
    client->headers = library.curl_slist_append(NULL, "Content-Type: application/json");
    // Without this, libcurl waits up to a second for 100 Continue before it sends a large body.
    struct curl_slist *const headers = library.curl_slist_append(client->headers, "Expect:");
    if (!client->handle || !headers) {
        curl_client_free(client);
        return NULL;
    }
    client->headers = headers;
    CURL *const handle = client->handle;
    library.curl_easy_setopt(handle, CURLOPT_URL, url);
    library.curl_easy_setopt(handle, CURLOPT_USERAGENT, user_agent);
    library.curl_easy_setopt(handle, CURLOPT_HTTPHEADER, client->headers);
    library.curl_easy_setopt(handle, CURLOPT_ERRORBUFFER, client->failure);
    library.curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, take);
    // Spans go to the configured address only: without this, http_proxy and its kin would redirect them.
    library.curl_easy_setopt(handle, CURLOPT_PROXY, "");
    library.curl_easy_setopt(handle, CURLOPT_POST, 1L);
    // Other threads' signals aren't libcurl's to change.
    library.curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
#if LIBCURL_VERSION_NUM >= 0x075500
    library.curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
#else
    library.curl_easy_setopt(handle, CURLOPT_PROTOCOLS, CURLPROTO_HTTP | CURLPROTO_HTTPS);
#endif
    return client;
}

void curl_client_post(
    void *context, const void *body, size_t length, long timeout_milliseconds, struct curl_answer *answer) {
    struct client *const client = context;
    memset(answer, 0, sizeof *answer);
    client->failure[0] = 0;
    library.curl_easy_setopt(client->handle, CURLOPT_POSTFIELDS, body);
    library.curl_easy_setopt(client->handle, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)length);
    library.curl_easy_setopt(client->handle, CURLOPT_TIMEOUT_MS, timeout_milliseconds);
    library.curl_easy_setopt(client->handle, CURLOPT_WRITEDATA, answer);
    const CURLcode code = library.curl_easy_perform(client->handle);
    if (code != CURLE_OK) {
        const char *const failure = client->failure[0] ? client->failure : library.curl_easy_strerror(code);
        strncpy(answer->failure, failure, sizeof answer->failure - 1);
        return;
    }
    library.curl_easy_getinfo(client->handle, CURLINFO_RESPONSE_CODE, &answer->status);
    curl_off_t seconds = 0;
    if (library.curl_easy_getinfo(client->handle, CURLINFO_RETRY_AFTER, &seconds) == CURLE_OK) {
        answer->retry_after = (long)seconds;
    }
}

void curl_client_free(void *context) {
    struct client *const client = context;
    if (client->handle) library.curl_easy_cleanup(client->handle);
    library.curl_slist_free_all(client->headers);
    free(client);
}
