#include "url.h"

#include <kolk/error.h>

#include <arpa/inet.h>
#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <uriparser/Uri.h>

static size_t range_length(const UriTextRangeA *range) { return (size_t)(range->afterLast - range->first); }

static bool range_is(const UriTextRangeA *range, const char *text) {
    return range->first && range_length(range) == strlen(text) && strncasecmp(range->first, text, range_length(range)) == 0;
}

/* The port of a URL: 80 when it has none, 0 when what stands there is not a port. */
static uint16_t port_of(const UriUriA *uri) {
    uint32_t port = 0;
    if (!uri->portText.first || uri->portText.first == uri->portText.afterLast)
        return 80;
    for (const char *digit = uri->portText.first; digit < uri->portText.afterLast; digit++) {
        port = port * 10 + (uint32_t)(*digit - '0');
        if (port > UINT16_MAX)
            return 0;
    }
    return (uint16_t)port;
}

static int host_of(const UriUriA *uri, struct origin *origin) {
    size_t length = uri->hostText.first ? range_length(&uri->hostText) : 0;
    if (length == 0 || length >= sizeof origin->host)
        return KOLK_EINVAL;
    for (size_t i = 0; i < length; i++)
        origin->host[i] = (char)tolower((unsigned char)uri->hostText.first[i]);
    origin->host[length] = '\0';
    const char *format = uri->hostData.ip6 ? "[%s]" : "%s";
    int written = snprintf(origin->authority, sizeof origin->authority, format, origin->host);
    if (origin->port != 80)
        snprintf(origin->authority + written, sizeof origin->authority - (size_t)written, ":%u", (unsigned)origin->port);
    return 0;
}

/* What of a URL is asked of the server: everything between authority and fragment, and at least "/". */
static char *target_of(const char *url) {
    const char *path = strstr(url, "://");
    path = path ? path + 3 : url;
    path += strcspn(path, "/?#");
    size_t length = strcspn(path, "#");
    bool needs_slash = *path != '/';
    char *target = malloc(length + needs_slash + 1);
    if (!target)
        return NULL;
    target[0] = '/';
    memcpy(target + needs_slash, path, length);
    target[length + needs_slash] = '\0';
    return target;
}

/* Where path and query begin. Up to there brackets have a meaning: they stand around an IPv6 address. */
static size_t path_offset(const char *link) {
    size_t scheme = strcspn(link, ":/?#");
    size_t offset = link[scheme] == ':' ? scheme + 1 : 0;
    return strncmp(link + offset, "//", 2) == 0 ? offset + 2 + strcspn(link + offset + 2, "/?#") : 0;
}

/* Pages contain links that are no URLs by the letter, with spaces, umlauts or stray percent signs. Browsers repair them, and so
 * does this: white space around goes, line breaks inside too, everything else that may not stand in a URL becomes %XX. */
static char *escaped(const char *link) {
    static const char allowed[] = "-._~!$&'()*+,;=:@/?#";
    static const char space[] = " \t\r\n\f";
    link += strspn(link, space);
    size_t length = strlen(link), path = path_offset(link), used = 0;
    while (length > 0 && strchr(space, link[length - 1]))
        length--;
    char *text = malloc(length * 3 + 1);
    if (!text)
        return NULL;
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)link[i];
        bool is_escape = byte == '%' && isxdigit((unsigned char)link[i + 1]) && isxdigit((unsigned char)link[i + 2]);
        if (byte == '\t' || byte == '\r' || byte == '\n')
            continue;
        if ((byte < 0x80 && isalnum(byte)) || strchr(allowed, byte) || is_escape || (i < path && strchr("[]", byte)))
            text[used++] = (char)byte;
        else
            used += (size_t)sprintf(text + used, "%%%02X", byte);
    }
    text[used] = '\0';
    return text;
}

/* The text of a URL, with "." and ".." taken out of its path and escapes written one way, so that equal URLs look equal. */
static int normal_text(UriUriA *uri, char **ret_text) {
    int length = 0;
    if (uriNormalizeSyntaxExA(uri, URI_NORMALIZE_SCHEME | URI_NORMALIZE_HOST | URI_NORMALIZE_PATH | URI_NORMALIZE_QUERY) ||
        uriToStringCharsRequiredA(uri, &length))
        return KOLK_ENOMEM;
    char *text = malloc((size_t)length + 1);
    if (!text)
        return KOLK_ENOMEM;
    if (uriToStringA(text, uri, length + 1, NULL)) {
        free(text);
        return KOLK_ENOMEM;
    }
    *ret_text = text;
    return 0;
}

static int parse(const char *text, UriUriA *ret_uri) {
    int result = uriParseSingleUriA(ret_uri, text, NULL);
    if (result == URI_SUCCESS)
        return 1;
    return result == URI_ERROR_MALLOC ? KOLK_ENOMEM : 0;
}

static const char *reason_against(const UriUriA *uri, struct origin *origin) {
    if (range_is(&uri->scheme, "https"))
        return "https is not supported, only http";
    if (!range_is(&uri->scheme, "http") || !uri->hostText.first)
        return "a URL looks like http://host:port/path";
    if (uri->userInfo.first)
        return "user names in URLs are not supported";
    origin->port = port_of(uri);
    if (origin->port == 0)
        return "ports go from 1 to 65535";
    return host_of(uri, origin) < 0 ? "the host name is empty or too long" : NULL;
}

int origin_parse(const char *url, struct origin *ret_origin, char **ret_target, const char **ret_reason) {
    UriUriA uri;
    char *text = escaped(url), *normal = NULL;
    int status = text ? parse(text, &uri) : KOLK_ENOMEM;
    if (status == 1) {
        *ret_reason = reason_against(&uri, ret_origin);
        status = *ret_reason ? KOLK_EINVAL : normal_text(&uri, &normal);
        uriFreeUriMembersA(&uri);
    } else if (status == 0) {
        *ret_reason = "a URL looks like http://host:port/path";
        status = KOLK_EINVAL;
    }
    free(text);
    if (status == 0) {
        *ret_target = target_of(normal);
        status = *ret_target ? 0 : KOLK_ENOMEM;
    }
    free(normal);
    return status;
}

static int join(const UriUriA *base, const UriUriA *link, char **ret_url) {
    UriUriA absolute;
    int result = uriAddBaseUriExA(&absolute, link, base, URI_RESOLVE_STRICTLY);
    int status = result == URI_SUCCESS ? 1 : result == URI_ERROR_MALLOC ? KOLK_ENOMEM : 0;
    if (status == 1 && (!range_is(&absolute.scheme, "http") || !absolute.hostText.first))
        status = 0;
    if (status == 1 && normal_text(&absolute, ret_url) < 0)
        status = KOLK_ENOMEM;
    uriFreeUriMembersA(&absolute);
    return status;
}

int url_join(const char *base, const char *link, char **ret_url) {
    UriUriA base_uri, link_uri;
    char *text = escaped(link);
    int status = text ? parse(base, &base_uri) : KOLK_ENOMEM;
    if (status == 1) {
        status = parse(text, &link_uri);
        if (status == 1) {
            status = join(&base_uri, &link_uri, ret_url);
            uriFreeUriMembersA(&link_uri);
        }
        uriFreeUriMembersA(&base_uri);
    }
    free(text);
    return status;
}

/* Addresses are compared as such, because IPv6 can be written in many ways. */
static bool same_host(const UriUriA *uri, const struct origin *origin) {
    struct in6_addr address;
    if (uri->hostData.ip6 && inet_pton(AF_INET6, origin->host, &address) == 1)
        return memcmp(uri->hostData.ip6->data, address.s6_addr, sizeof address.s6_addr) == 0;
    return range_is(&uri->hostText, origin->host);
}

int origin_target(const struct origin *self, const char *url, char **ret_target) {
    UriUriA uri;
    int status = parse(url, &uri);
    if (status != 1)
        return status;
    bool here = same_host(&uri, self) && port_of(&uri) == self->port;
    uriFreeUriMembersA(&uri);
    if (!here)
        return 0;
    *ret_target = target_of(url);
    return *ret_target ? 1 : KOLK_ENOMEM;
}
