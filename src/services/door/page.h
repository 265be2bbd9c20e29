/* services/door/page.h - answers of the camouflage that are its own: their fields, and the pages of a server that has nothing better to say */
#ifndef GH_SERVICES_DOOR_PAGE_H
#define GH_SERVICES_DOOR_PAGE_H

#include "net/http.h"
#include "wire/http_date.h"

#define DOOR_ANSWER_FIELDS 10u

/* The fields of an answer in the order in which servers write them. */
struct door_answer {
    struct gh_http_field fields[DOOR_ANSWER_FIELDS];
    size_t count;
    struct gh_http_field late; /* behind those of the page */
    char date[GH_HTTP_DATE_TEXT], length[24];
};

/* <server>: the value of the field of that name; "" for none. <wall>: seconds. Texts are borrowed until the answer is sent. */
void door_answer_begin(struct door_answer *a, const char *server, int64_t wall);
void door_answer_add(struct door_answer *a, const char *name, const char *value);
/* One, of an answer that is a page. */
void door_answer_add_late(struct door_answer *a, const char *name, const char *value);
void door_answer_add_body(struct door_answer *a, const char *type, uint64_t length);

/* Answers with <status> and its page behind what <a> has, and ends; a stream that does not take it is reset. <head>: to a HEAD. */
void door_page_respond(struct gh_http_stream *s, const struct door_answer *a, unsigned status, bool head);

/* What there is where nothing is configured. */
struct gh_span door_page_welcome(void);

#endif
