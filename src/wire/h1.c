#include "wire/h1.h"

#include <stdio.h>
#include <strings.h>

#include "base/error.h"
#include "base/hex.h"
#include "wire/http_head.h"

static bool is_blank(uint8_t b)
{
    return b == ' ' || b == '\t';
}

static bool is_target_byte(uint8_t b)
{
    return b > 0x20 && b < 0x7f && b != '#';
}

static bool all_target_bytes(struct gh_span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!is_target_byte(s.data[i]))
            return false;
    return s.len > 0;
}

/* uri-host [":" port] of RFC 9110, section 7.2, by its alphabet; user information is not part of it. */
static bool is_authority(struct gh_span s)
{
    for (size_t i = 0; i < s.len; i++) {
        uint8_t b = s.data[i];

        if ((b >= '0' && b <= '9') || (b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z'))
            continue;
        if (b == 0 || !strchr("-._~%!$&'()*+,;=:[]", b))
            return false;
    }
    return true;
}

static struct gh_span sub(struct gh_span s, size_t from, size_t len)
{
    return gh_span_of(s.data + from, len);
}

static struct gh_span trim(struct gh_span s)
{
    while (s.len > 0 && is_blank(s.data[0]))
        s = sub(s, 1, s.len - 1);
    while (s.len > 0 && is_blank(s.data[s.len - 1]))
        s.len--;
    return s;
}

static bool equals_nocase(struct gh_span s, const char *text)
{
    return s.len == strlen(text) && strncasecmp((const char *)s.data, text, s.len) == 0;
}

/* Index of the first <b>, or s.len. */
static size_t index_of(struct gh_span s, uint8_t b)
{
    const uint8_t *p = s.len ? memchr(s.data, b, s.len) : NULL;

    return p ? (size_t)(p - s.data) : s.len;
}

void gh_h1_reader_reset(struct gh_h1_reader *r, enum gh_h1_kind kind)
{
    r->kind = kind;
    r->error = 0;
    r->line = 0;
    r->cr = false;
    r->skipped = false;
    r->len = 0;
}

bool gh_h1_reader_started(const struct gh_h1_reader *r)
{
    return r->len > 0 || r->cr || r->skipped;
}

struct gh_span gh_h1_field_find(const struct gh_h1_head *head, const char *name)
{
    struct gh_span want = gh_span_str(name);

    for (size_t i = 0; i < head->field_count; i++)
        if (gh_span_equals(head->fields[i].name, want))
            return head->fields[i].value;
    return gh_span_of(NULL, 0);
}

bool gh_h1_list_has(struct gh_span value, const char *token)
{
    while (value.len > 0) {
        size_t end = index_of(value, ',');

        if (equals_nocase(trim(sub(value, 0, end)), token))
            return true;
        if (end == value.len)
            break;
        value = sub(value, end + 1, value.len - end - 1);
    }
    return false;
}

static int parse_version(struct gh_span s, unsigned *ret_minor)
{
    if (s.len != 8 || memcmp(s.data, "HTTP/", 5) != 0 || s.data[6] != '.')
        return GH_ERR_MALFORMED;
    if (s.data[5] < '0' || s.data[5] > '9' || s.data[7] < '0' || s.data[7] > '9')
        return GH_ERR_MALFORMED;
    if (s.data[5] != '1')
        return GH_ERR_RANGE;
    *ret_minor = s.data[7] == '0' ? 0 : 1;
    return 0;
}

/* "http" "://" authority [path] (RFC 9112, section 3.2.2) */
static int parse_absolute(struct gh_span target, struct gh_h1_head *head)
{
    size_t colon = index_of(target, ':');
    struct gh_span rest;
    size_t end = 0;

    if (target.len < colon + 3 || memcmp(target.data + colon, "://", 3) != 0)
        return GH_ERR_MALFORMED;
    head->scheme = sub(target, 0, colon);
    if (!equals_nocase(head->scheme, "http") && !equals_nocase(head->scheme, "https"))
        return GH_ERR_MALFORMED;
    rest = sub(target, colon + 3, target.len - colon - 3);
    while (end < rest.len && rest.data[end] != '/' && rest.data[end] != '?')
        end++;
    head->authority = sub(rest, 0, end);
    if (end == 0 || !is_authority(head->authority))
        return GH_ERR_MALFORMED;
    head->path = end == rest.len ? gh_span_str("/") : sub(rest, end, rest.len - end);
    /* "http://host?query" has an empty path, which a borrowed span cannot spell as "/?query" */
    return head->path.data[0] == '/' ? 0 : GH_ERR_MALFORMED;
}

static int parse_target(struct gh_span target, struct gh_h1_head *head)
{
    size_t colon;

    if (!all_target_bytes(target))
        return GH_ERR_MALFORMED;
    if (gh_span_equals(head->method, gh_span_str("CONNECT"))) {
        /* RFC 9112, section 3.2.3: host and port, nothing else */
        for (colon = target.len; colon > 0 && target.data[colon - 1] >= '0' && target.data[colon - 1] <= '9'; colon--)
            ;
        if (colon < 2 || colon == target.len || target.data[colon - 1] != ':' || !is_authority(target))
            return GH_ERR_MALFORMED;
        head->authority = target;
        return 0;
    }
    if (target.data[0] == '/' ||
        (target.len == 1 && target.data[0] == '*' && gh_span_equals(head->method, gh_span_str("OPTIONS")))) {
        head->path = target;
        return 0;
    }
    return parse_absolute(target, head);
}

static int parse_request_line(struct gh_span line, struct gh_h1_head *head)
{
    size_t first = index_of(line, ' '), second;
    struct gh_span rest;
    int rc;

    if (first == line.len)
        return GH_ERR_MALFORMED;
    head->method = sub(line, 0, first);
    if (!gh_http_is_token(head->method))
        return GH_ERR_MALFORMED;
    rest = sub(line, first + 1, line.len - first - 1);
    second = index_of(rest, ' ');
    if (second == rest.len)
        return GH_ERR_MALFORMED;
    rc = parse_version(sub(rest, second + 1, rest.len - second - 1), &head->minor);
    if (rc < 0)
        return rc;
    return parse_target(sub(rest, 0, second), head);
}

static int parse_status_line(struct gh_span line, struct gh_h1_head *head)
{
    int rc;

    /* "HTTP/1.1 200 " with its last space is the shortest (RFC 9112, section 4) */
    if (line.len < 13 || line.data[8] != ' ' || line.data[12] != ' ')
        return GH_ERR_MALFORMED;
    rc = parse_version(sub(line, 0, 8), &head->minor);
    if (rc < 0)
        return rc;
    for (size_t i = 9; i < 12; i++) {
        if (line.data[i] < '0' || line.data[i] > '9')
            return GH_ERR_MALFORMED;
        head->status = head->status * 10 + (line.data[i] - '0');
    }
    if (head->status < 100 || head->status > 599)
        return GH_ERR_MALFORMED;
    head->reason = sub(line, 13, line.len - 13);
    return 0;
}

static int parse_field(uint8_t *data, size_t len, struct gh_h1_field *ret)
{
    struct gh_span line = gh_span_of(data, len);
    size_t colon = index_of(line, ':');

    if (colon == len || !gh_http_is_token(sub(line, 0, colon)))
        return GH_ERR_MALFORMED;
    for (size_t i = 0; i < colon; i++)
        if (data[i] >= 'A' && data[i] <= 'Z')
            data[i] = (uint8_t)(data[i] | 0x20);
    ret->name = sub(line, 0, colon);
    ret->value = trim(sub(line, colon + 1, len - colon - 1));
    return 0;
}

static int parse_length(struct gh_span value, uint64_t *ret)
{
    uint64_t n = 0;

    if (value.len == 0)
        return GH_ERR_MALFORMED;
    for (size_t i = 0; i < value.len; i++) {
        if (value.data[i] < '0' || value.data[i] > '9')
            return GH_ERR_MALFORMED;
        if (__builtin_mul_overflow(n, (uint64_t)10, &n) || __builtin_add_overflow(n, (uint64_t)(value.data[i] - '0'), &n))
            return GH_ERR_MALFORMED;
    }
    *ret = n;
    return 0;
}

struct seen {
    unsigned hosts, lengths, codings;
    struct gh_span host, length, coding, upgrade;
    bool close, keep_alive, connection_upgrade;
};

static void note_field(const struct gh_h1_field *f, struct seen *seen, struct gh_h1_head *head)
{
    if (gh_span_equals(f->name, gh_span_str("host"))) {
        seen->hosts++;
        seen->host = f->value;
    } else if (gh_span_equals(f->name, gh_span_str("content-length"))) {
        seen->lengths++;
        seen->length = f->value;
    } else if (gh_span_equals(f->name, gh_span_str("transfer-encoding"))) {
        seen->codings++;
        seen->coding = f->value;
    } else if (gh_span_equals(f->name, gh_span_str("connection"))) {
        seen->close |= gh_h1_list_has(f->value, "close");
        seen->keep_alive |= gh_h1_list_has(f->value, "keep-alive");
        seen->connection_upgrade |= gh_h1_list_has(f->value, "upgrade");
    } else if (gh_span_equals(f->name, gh_span_str("upgrade"))) {
        seen->upgrade = f->value;
    } else if (gh_span_equals(f->name, gh_span_str("expect")) && head->minor > 0) {
        if (!equals_nocase(f->value, "100-continue"))
            head->expect = GH_H1_EXPECT_UNKNOWN;
        else if (head->expect == GH_H1_EXPECT_NONE)
            head->expect = GH_H1_EXPECT_CONTINUE;
    }
}

/* RFC 9112, section 6.3, with every doubtful case refused. */
static int find_framing(enum gh_h1_kind kind, const struct seen *seen, struct gh_h1_head *head)
{
    bool bodiless = kind == GH_H1_ANSWER_TO_HEAD ||
                    (kind == GH_H1_ANSWER && (head->status < 200 || head->status == 204 || head->status == 304));

    if (seen->codings + seen->lengths > 1)
        return GH_ERR_MALFORMED;
    if (seen->codings == 1) {
        /* section 6.1: a coding in HTTP/1.0, or in 1xx and 204, is a fault in framing */
        if (head->minor == 0 || (kind != GH_H1_REQUEST && (head->status < 200 || head->status == 204)))
            return GH_ERR_MALFORMED;
        if (!equals_nocase(seen->coding, "chunked"))
            return GH_ERR_UNSUPPORTED;
        head->framing = bodiless ? GH_H1_BODY_NONE : GH_H1_BODY_CHUNKED;
        return 0;
    }
    if (seen->lengths == 1) {
        int rc = parse_length(seen->length, &head->content_length);

        if (rc < 0)
            return rc;
        head->framing = bodiless || head->content_length == 0 ? GH_H1_BODY_NONE : GH_H1_BODY_LENGTH;
        return 0;
    }
    head->framing = kind == GH_H1_REQUEST || bodiless ? GH_H1_BODY_NONE : GH_H1_BODY_UNTIL_CLOSE;
    return 0;
}

static int finish_head(enum gh_h1_kind kind, const struct seen *seen, struct gh_h1_head *head)
{
    int rc;

    if (kind == GH_H1_REQUEST) {
        /* RFC 9112, section 3.2: exactly one Host in HTTP/1.1 */
        if (seen->hosts > 1 || (seen->hosts == 0 && head->minor > 0) || !is_authority(seen->host))
            return GH_ERR_MALFORMED;
        if (head->authority.len == 0)
            head->authority = seen->host;
    }
    rc = find_framing(kind, seen, head);
    if (rc < 0)
        return rc;
    head->keep_alive = !seen->close && (head->minor > 0 || seen->keep_alive) && head->framing != GH_H1_BODY_UNTIL_CLOSE;
    if (seen->connection_upgrade && head->minor > 0)
        head->upgrade = seen->upgrade;
    return 0;
}

/* <r> holds whole lines, each with its CRLF; no byte of them is CR, LF or another control. */
static int parse_head(struct gh_h1_reader *r, struct gh_h1_head *head)
{
    struct seen seen = { 0 };
    size_t at = 0;

    memset(head, 0, offsetof(struct gh_h1_head, fields));
    head->field_count = 0;
    while (at < r->len) {
        uint8_t *line = r->buf + at;
        size_t len = index_of(gh_span_of(line, r->len - at), '\r');
        int rc;

        if (at == 0) {
            rc = r->kind == GH_H1_REQUEST ? parse_request_line(gh_span_of(line, len), head)
                                          : parse_status_line(gh_span_of(line, len), head);
        } else if (head->field_count == GH_H1_FIELDS_MAX) {
            return GH_ERR_TOO_LONG;
        } else {
            rc = parse_field(line, len, &head->fields[head->field_count]);
            if (rc == 0)
                note_field(&head->fields[head->field_count++], &seen, head);
        }
        if (rc < 0)
            return rc;
        at += len + 2;
    }
    return finish_head(r->kind, &seen, head);
}

/* One byte of a head. Progress: 1 when the head has ended. */
static int scan(struct gh_h1_reader *r, uint8_t b)
{
    if (r->cr) {
        if (b != '\n')
            return GH_ERR_MALFORMED;
        r->cr = false;
        if (r->line == 0) {
            if (r->len > 0)
                return 1;
            if (r->kind != GH_H1_REQUEST || r->skipped)
                return GH_ERR_MALFORMED;
            r->skipped = true;
            return 0;
        }
        if (r->len + 2 > sizeof r->buf)
            return GH_ERR_TOO_LONG;
        memcpy(r->buf + r->len, "\r\n", 2);
        r->len += 2;
        r->line = 0;
        return 0;
    }
    if (b == '\r') {
        r->cr = true;
        return 0;
    }
    /* a blank at the start of a line is line folding (RFC 9112, section 5.2), or a blank before the start line */
    if (!gh_http_is_value_byte(b) || (r->line == 0 && is_blank(b)))
        return GH_ERR_MALFORMED;
    if (r->len == sizeof r->buf)
        return GH_ERR_TOO_LONG;
    r->buf[r->len++] = b;
    r->line++;
    return 0;
}

int gh_h1_head_feed(struct gh_h1_reader *r, struct gh_span *in, struct gh_h1_head *ret)
{
    int rc = r->error;

    while (rc == 0 && in->len > 0) {
        rc = scan(r, in->data[0]);
        in->data++;
        in->len--;
    }
    if (rc == 1) {
        rc = parse_head(r, ret);
        if (rc == 0)
            return 1;
    }
    if (rc < 0)
        r->error = rc;
    return rc;
}

unsigned gh_h1_refusal(int rc)
{
    switch (rc) {
    case GH_ERR_TOO_LONG:
        return 431;
    case GH_ERR_UNSUPPORTED:
        return 501;
    case GH_ERR_RANGE:
        return 505;
    default:
        return 400;
    }
}

enum chunked_state {
    CHUNK_SIZE_FIRST, /* a digit must come */
    CHUNK_SIZE,
    CHUNK_BLANK,      /* after the size: only more blanks or ';' */
    CHUNK_EXTENSION,
    CHUNK_SIZE_LF,
    CHUNK_DATA,
    CHUNK_DATA_CR,
    CHUNK_DATA_LF,
    CHUNK_TRAILER_NAME,
    CHUNK_TRAILER_VALUE,
    CHUNK_TRAILER_LF,
    CHUNK_DONE,
    CHUNK_FAILED,
};

static int size_line(struct gh_h1_chunked *c, uint8_t b)
{
    int digit = gh_hex_digit(b, GH_HEX_ANY);

    if (++c->line > GH_H1_CHUNK_LINE_MAX)
        return GH_ERR_TOO_LONG;
    if ((c->state == CHUNK_SIZE_FIRST || c->state == CHUNK_SIZE) && digit >= 0) {
        if (c->left > (UINT64_MAX >> 8))
            return GH_ERR_TOO_LONG;
        c->left = c->left << 4 | (unsigned)digit;
        c->state = CHUNK_SIZE;
    } else if (c->state == CHUNK_SIZE_FIRST) {
        return GH_ERR_MALFORMED;
    } else if (c->state == CHUNK_SIZE_LF) {
        if (b != '\n')
            return GH_ERR_MALFORMED;
        c->state = c->left > 0 ? CHUNK_DATA : CHUNK_TRAILER_NAME;
        c->line = c->column = 0;
    } else if (b == '\r' && c->state != CHUNK_BLANK) {
        c->state = CHUNK_SIZE_LF;
    } else if (c->state == CHUNK_EXTENSION) {
        return gh_http_is_value_byte(b) ? 0 : GH_ERR_MALFORMED;
    } else if (b == ';') {
        c->state = CHUNK_EXTENSION;
    } else if (is_blank(b)) {
        c->state = CHUNK_BLANK;
    } else {
        return GH_ERR_MALFORMED;
    }
    return 0;
}

static int trailer(struct gh_h1_chunked *c, uint8_t b)
{
    if (++c->line > GH_H1_TRAILER_MAX)
        return GH_ERR_TOO_LONG;
    if (c->state == CHUNK_TRAILER_LF) {
        if (b != '\n')
            return GH_ERR_MALFORMED;
        c->state = c->column == 0 ? CHUNK_DONE : CHUNK_TRAILER_NAME;
        c->column = 0;
        return 0;
    }
    if (b == '\r' && (c->column == 0 || c->state == CHUNK_TRAILER_VALUE)) {
        c->state = CHUNK_TRAILER_LF;
        return 0;
    }
    if (c->state == CHUNK_TRAILER_NAME && b == ':' && c->column > 0)
        c->state = CHUNK_TRAILER_VALUE;
    else if (c->state == CHUNK_TRAILER_NAME ? !gh_http_is_token(gh_span_of(&b, 1)) : !gh_http_is_value_byte(b))
        return GH_ERR_MALFORMED;
    c->column++;
    return 0;
}

static int chunked_byte(struct gh_h1_chunked *c, uint8_t b)
{
    switch (c->state) {
    case CHUNK_DATA_CR:
        c->state = CHUNK_DATA_LF;
        return b == '\r' ? 0 : GH_ERR_MALFORMED;
    case CHUNK_DATA_LF:
        c->state = CHUNK_SIZE_FIRST;
        c->line = 0;
        return b == '\n' ? 0 : GH_ERR_MALFORMED;
    case CHUNK_TRAILER_NAME:
    case CHUNK_TRAILER_VALUE:
    case CHUNK_TRAILER_LF:
        return trailer(c, b);
    case CHUNK_FAILED:
        return GH_ERR_MALFORMED;
    default:
        return size_line(c, b);
    }
}

int gh_h1_chunked_next(struct gh_h1_chunked *c, struct gh_span *in, struct gh_span *ret)
{
    while (c->state != CHUNK_DONE && in->len > 0) {
        int rc;

        if (c->state == CHUNK_DATA) {
            size_t take = c->left < in->len ? (size_t)c->left : in->len;

            *ret = gh_span_of(in->data, take);
            in->data += take;
            in->len -= take;
            c->left -= take;
            if (c->left == 0)
                c->state = CHUNK_DATA_CR;
            return 1;
        }
        rc = chunked_byte(c, in->data[0]);
        in->data++;
        in->len--;
        if (rc < 0) {
            c->state = CHUNK_FAILED;
            return rc;
        }
    }
    if (c->state != CHUNK_DONE)
        return 0;
    *ret = gh_span_of(NULL, 0);
    return 1;
}

static void write_text(struct gh_writer *w, const char *text)
{
    gh_write_span(w, gh_span_str(text));
}

void gh_h1_emit_request_line(struct gh_writer *w, const char *method, struct gh_span target)
{
    if (!gh_http_is_token(gh_span_str(method)) || !all_target_bytes(target)) {
        w->failed = true;
        return;
    }
    write_text(w, method);
    gh_write_u8(w, ' ');
    gh_write_span(w, target);
    write_text(w, " HTTP/1.1\r\n");
}

void gh_h1_emit_status_line(struct gh_writer *w, unsigned status)
{
    char line[64];

    snprintf(line, sizeof line, "HTTP/1.1 %u %s\r\n", status, gh_h1_reason(status));
    write_text(w, line);
}

void gh_h1_emit_field(struct gh_writer *w, struct gh_span name, struct gh_span value)
{
    bool good = gh_http_is_token(name);

    for (size_t i = 0; good && i < value.len; i++)
        good = gh_http_is_value_byte(value.data[i]);
    if (!good) {
        w->failed = true;
        return;
    }
    gh_write_span(w, name);
    write_text(w, ": ");
    gh_write_span(w, value);
    write_text(w, "\r\n");
}

void gh_h1_emit_end(struct gh_writer *w)
{
    write_text(w, "\r\n");
}

void gh_h1_emit_chunk_size(struct gh_writer *w, size_t len)
{
    char line[24];

    snprintf(line, sizeof line, "%zx\r\n", len);
    write_text(w, line);
}

void gh_h1_emit_last_chunk(struct gh_writer *w)
{
    write_text(w, "0\r\n\r\n");
}

const char *gh_h1_reason(unsigned status)
{
    static const struct {
        unsigned status;
        const char *reason;
    } reasons[] = {
        { 100, "Continue" }, { 101, "Switching Protocols" }, { 200, "OK" }, { 201, "Created" }, { 202, "Accepted" },
        { 203, "Non-Authoritative Information" }, { 204, "No Content" }, { 205, "Reset Content" }, { 206, "Partial Content" },
        { 207, "Multi-Status" }, { 226, "IM Used" }, { 300, "Multiple Choices" }, { 301, "Moved Permanently" }, { 302, "Found" },
        { 303, "See Other" }, { 304, "Not Modified" }, { 307, "Temporary Redirect" }, { 308, "Permanent Redirect" },
        { 400, "Bad Request" }, { 401, "Unauthorized" }, { 402, "Payment Required" }, { 403, "Forbidden" }, { 404, "Not Found" },
        { 405, "Method Not Allowed" }, { 406, "Not Acceptable" }, { 407, "Proxy Authentication Required" }, { 408, "Request Timeout" }, { 409, "Conflict" },
        { 410, "Gone" }, { 411, "Length Required" }, { 412, "Precondition Failed" }, { 413, "Content Too Large" }, { 414, "URI Too Long" },
        { 415, "Unsupported Media Type" }, { 416, "Range Not Satisfiable" }, { 417, "Expectation Failed" }, { 421, "Misdirected Request" },
        { 422, "Unprocessable Content" }, { 423, "Locked" }, { 424, "Failed Dependency" }, { 425, "Too Early" },
        { 426, "Upgrade Required" }, { 428, "Precondition Required" }, { 429, "Too Many Requests" },
        { 431, "Request Header Fields Too Large" }, { 451, "Unavailable For Legal Reasons" }, { 500, "Internal Server Error" }, { 501, "Not Implemented" },
        { 502, "Bad Gateway" }, { 503, "Service Unavailable" }, { 504, "Gateway Timeout" },
        { 505, "HTTP Version Not Supported" }, { 507, "Insufficient Storage" }, { 511, "Network Authentication Required" },
    };

    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        if (reasons[i].status == status)
            return reasons[i].reason;
    return "Unknown";
}
