/* store/migrations.h - the steps that bring a database to the schema of this version
 *
 * tools/gen-migrations makes the table from migrations/NNNN_name.sql. A file that was released is never changed: the next step is
 * a new file.
 */
#ifndef GH_STORE_MIGRATIONS_H
#define GH_STORE_MIGRATIONS_H

struct gh_migration {
    int version;      /* NNNN: 1, 2, 3 ... without a gap */
    const char *name; /* of the file, without ".sql" */
    const char *sql;
};

/* Ends with a row of version 0. */
extern const struct gh_migration gh_migrations[];

#endif
