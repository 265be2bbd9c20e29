#include "services/door/page.h"

#include <inttypes.h>
#include <stdio.h>

void door_answer_add(struct door_answer *a, const char *name, const char *value)
{
    if (a->count < DOOR_ANSWER_FIELDS)
        a->fields[a->count++] = (struct gh_http_field){ gh_span_str(name), gh_span_str(value) };
}

void door_answer_add_late(struct door_answer *a, const char *name, const char *value)
{
    a->late = (struct gh_http_field){ gh_span_str(name), gh_span_str(value) };
}

void door_answer_begin(struct door_answer *a, const char *server, int64_t wall)
{
    a->count = 0;
    a->late.name.len = 0;
    if (*server)
        door_answer_add(a, "server", server);
    door_answer_add(a, "date", gh_http_date_emit(wall, a->date));
}

void door_answer_add_body(struct door_answer *a, const char *type, uint64_t length)
{
    snprintf(a->length, sizeof a->length, "%" PRIu64, length);
    door_answer_add(a, "content-type", type);
    door_answer_add(a, "content-length", a->length);
}

/* RFC 9110, section 15; the line of HTTP/1 has the same */
static const char *words(unsigned status)
{
    switch (status) {
    case 301:
        return "301 Moved Permanently";
    case 400:
        return "400 Bad Request";
    case 403:
        return "403 Forbidden";
    case 404:
        return "404 Not Found";
    case 405:
        return "405 Method Not Allowed";
    case 408:
        return "408 Request Timeout";
    case 412:
        return "412 Precondition Failed";
    case 413:
        return "413 Content Too Large";
    case 414:
        return "414 URI Too Long";
    case 416:
        return "416 Range Not Satisfiable";
    case 417:
        return "417 Expectation Failed";
    case 431:
        return "431 Request Header Fields Too Large";
    case 501:
        return "501 Not Implemented";
    case 502:
        return "502 Bad Gateway";
    case 503:
        return "503 Service Unavailable";
    case 504:
        return "504 Gateway Timeout";
    case 505:
        return "505 HTTP Version Not Supported";
    default:
        return "500 Internal Server Error";
    }
}

void door_page_respond(struct gh_http_stream *s, const struct door_answer *a, unsigned status, bool head)
{
    struct door_answer all = *a;
    char page[320];
    int len = snprintf(page, sizeof page, "<!DOCTYPE html>\n<html>\n<head><title>%s</title></head>\n<body>\n<h1>%s</h1>\n</body>\n</html>\n", words(status), words(status));
    int rc;

    door_answer_add_body(&all, "text/html", (uint64_t)len);
    if (a->late.name.len > 0 && all.count < DOOR_ANSWER_FIELDS)
        all.fields[all.count++] = a->late;
    rc = gh_http_respond(s, status, all.fields, all.count, head);
    if (rc == 0 && !head)
        rc = gh_http_send(s, gh_span_of(page, (size_t)len), true);
    if (rc < 0)
        gh_http_reset(s, GH_HTTP_INTERNAL_ERROR);
}

struct gh_span door_page_welcome(void)
{
    static const char page[] = "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>It works</title>\n</head>\n<body>\n<h1>It works</h1>\n"
                               "<p>This server is up. Nothing has been published here yet.</p>\n</body>\n</html>\n";

    return gh_span_of(page, sizeof page - 1);
}
