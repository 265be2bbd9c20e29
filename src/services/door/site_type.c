#include "services/door/site_type.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

/* Sorted by frequency in what sites serve, which is as good as any order for a list that is this short. */
static const struct {
    const char *ending, *type;
} types[] = {
    { "html", "text/html" }, { "htm", "text/html" }, { "css", "text/css" }, { "js", "application/javascript" }, { "mjs", "application/javascript" },
    { "png", "image/png" }, { "jpg", "image/jpeg" }, { "jpeg", "image/jpeg" }, { "svg", "image/svg+xml" }, { "svgz", "image/svg+xml" },
    { "webp", "image/webp" }, { "gif", "image/gif" }, { "ico", "image/x-icon" }, { "avif", "image/avif" }, { "woff2", "font/woff2" },
    { "woff", "font/woff" }, { "ttf", "font/ttf" }, { "otf", "font/otf" }, { "eot", "application/vnd.ms-fontobject" }, { "json", "application/json" },
    { "map", "application/json" }, { "txt", "text/plain" }, { "xml", "text/xml" }, { "rss", "application/rss+xml" }, { "atom", "application/atom+xml" },
    { "pdf", "application/pdf" }, { "mp4", "video/mp4" }, { "webm", "video/webm" }, { "mov", "video/quicktime" }, { "mpeg", "video/mpeg" },
    { "mpg", "video/mpeg" }, { "avi", "video/x-msvideo" }, { "mp3", "audio/mpeg" }, { "m4a", "audio/x-m4a" }, { "ogg", "audio/ogg" },
    { "wasm", "application/wasm" }, { "zip", "application/zip" }, { "7z", "application/x-7z-compressed" }, { "rar", "application/x-rar-compressed" },
    { "bmp", "image/x-ms-bmp" }, { "tif", "image/tiff" }, { "tiff", "image/tiff" }, { "webmanifest", "application/manifest+json" }, { "xhtml", "application/xhtml+xml" },
    { "doc", "application/msword" }, { "docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document" },
    { "xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet" }, { "rtf", "application/rtf" }, { "ps", "application/postscript" },
    { "m3u8", "application/vnd.apple.mpegurl" }, { "ts", "video/mp2t" }, { "csv", "text/csv" }, { "md", "text/markdown" },
};

const char *door_site_type(const char *name)
{
    const char *slash = strrchr(name, '/'), *dot = strrchr(slash ? slash : name, '.');

    for (size_t i = 0; dot && i < sizeof types / sizeof *types; i++)
        if (strcasecmp(dot + 1, types[i].ending) == 0)
            return types[i].type;
    return "application/octet-stream";
}
