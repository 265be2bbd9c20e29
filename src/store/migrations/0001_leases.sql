-- Addresses are text as people read them (RFC 5952 for IPv6), times are seconds since 1970.
CREATE TABLE lease (
    tenant     INTEGER NOT NULL,
    identity   TEXT    NOT NULL,
    family     INTEGER NOT NULL CHECK (family IN (4, 6)),
    addr       TEXT    NOT NULL,
    pool       TEXT    NOT NULL,
    first_seen INTEGER NOT NULL,
    last_seen  INTEGER NOT NULL,
    PRIMARY KEY (tenant, identity, family),
    UNIQUE (addr)
) STRICT, WITHOUT ROWID;

CREATE TABLE meta (
    key   TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
