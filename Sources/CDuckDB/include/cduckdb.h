// The part of DuckDB's C interface that Weir uses, bound when it runs: there is nothing to link or to download
// for a build. Every function `duckdb_x` of the library is `cduckdb_x` here; before cduckdb_load none may be called.
//
// Source: DuckDB's documented C interface (https://duckdb.org/docs/api/c/overview), whose types and numbers have
// not changed since 1.0. A type that the library only hands out is incomplete here.
#ifndef CDUCKDB_H
#define CDUCKDB_H

#include <stdbool.h>
#include <stdint.h>

typedef struct _duckdb_database *duckdb_database;
typedef struct _duckdb_connection *duckdb_connection;
typedef struct _duckdb_config *duckdb_config;
typedef struct _duckdb_prepared_statement *duckdb_prepared_statement;
typedef struct _duckdb_logical_type *duckdb_logical_type;
typedef struct _duckdb_data_chunk *duckdb_data_chunk;
typedef struct _duckdb_vector *duckdb_vector;
typedef struct _duckdb_appender *duckdb_appender;

/// 0 for success, 1 for an error.
typedef int32_t duckdb_state;
/// A number of DuckDB's type list.
typedef int32_t duckdb_type;

typedef struct {
  uint64_t deprecated_column_count;
  uint64_t deprecated_row_count;
  uint64_t deprecated_rows_changed;
  void *deprecated_columns;
  char *deprecated_error_message;
  void *internal_data;
} duckdb_result;

/// `upper` * 2^64 + `lower`
typedef struct {
  uint64_t lower;
  int64_t upper;
} duckdb_hugeint;

/// Up to 12 bytes lie inside, longer ones behind the pointer.
typedef struct {
  uint32_t length;
  char prefix[4];
  union {
    char rest[8];
    const char *pointer;
  } value;
} duckdb_string_t;

#define CDUCKDB_FUNCTIONS(F, P) \
  F(const char *, library_version, (void), ()) \
  F(duckdb_state, create_config, (duckdb_config * config), (config)) \
  F(duckdb_state, set_config, (duckdb_config config, const char *name, const char *value), \
    (config, name, value)) \
  P(destroy_config, (duckdb_config * config), (config)) \
  F(duckdb_state, open_ext, \
    (const char *path, duckdb_database *database, duckdb_config config, char **error), \
    (path, database, config, error)) \
  P(close, (duckdb_database * database), (database)) \
  F(duckdb_state, connect, (duckdb_database database, duckdb_connection *connection), (database, connection)) \
  P(disconnect, (duckdb_connection * connection), (connection)) \
  P(interrupt, (duckdb_connection connection), (connection)) \
  P(free, (void *pointer), (pointer)) \
  F(duckdb_state, prepare, \
    (duckdb_connection connection, const char *sql, duckdb_prepared_statement *statement), \
    (connection, sql, statement)) \
  F(const char *, prepare_error, (duckdb_prepared_statement statement), (statement)) \
  P(destroy_prepare, (duckdb_prepared_statement * statement), (statement)) \
  F(uint64_t, prepared_statement_column_count, (duckdb_prepared_statement statement), (statement)) \
  F(duckdb_type, prepared_statement_column_type, (duckdb_prepared_statement statement, uint64_t column), \
    (statement, column)) \
  F(const char *, prepared_statement_column_name, (duckdb_prepared_statement statement, uint64_t column), \
    (statement, column)) \
  F(duckdb_state, execute_prepared_streaming, (duckdb_prepared_statement statement, duckdb_result *result), \
    (statement, result)) \
  F(const char *, result_error, (duckdb_result * result), (result)) \
  P(destroy_result, (duckdb_result * result), (result)) \
  F(uint64_t, column_count, (duckdb_result * result), (result)) \
  F(const char *, column_name, (duckdb_result * result, uint64_t column), (result, column)) \
  F(duckdb_logical_type, column_logical_type, (duckdb_result * result, uint64_t column), (result, column)) \
  F(duckdb_data_chunk, fetch_chunk, (duckdb_result result), (result)) \
  F(duckdb_type, get_type_id, (duckdb_logical_type type), (type)) \
  F(uint8_t, decimal_width, (duckdb_logical_type type), (type)) \
  F(uint8_t, decimal_scale, (duckdb_logical_type type), (type)) \
  F(duckdb_type, decimal_internal_type, (duckdb_logical_type type), (type)) \
  F(duckdb_logical_type, create_logical_type, (duckdb_type type), (type)) \
  F(duckdb_logical_type, create_decimal_type, (uint8_t width, uint8_t scale), (width, scale)) \
  P(destroy_logical_type, (duckdb_logical_type * type), (type)) \
  F(duckdb_data_chunk, create_data_chunk, (duckdb_logical_type * types, uint64_t count), (types, count)) \
  P(destroy_data_chunk, (duckdb_data_chunk * chunk), (chunk)) \
  P(data_chunk_reset, (duckdb_data_chunk chunk), (chunk)) \
  P(data_chunk_set_size, (duckdb_data_chunk chunk, uint64_t size), (chunk, size)) \
  F(uint64_t, data_chunk_get_size, (duckdb_data_chunk chunk), (chunk)) \
  F(duckdb_vector, data_chunk_get_vector, (duckdb_data_chunk chunk, uint64_t column), (chunk, column)) \
  F(uint64_t, vector_size, (void), ()) \
  F(void *, vector_get_data, (duckdb_vector vector), (vector)) \
  F(uint64_t *, vector_get_validity, (duckdb_vector vector), (vector)) \
  P(vector_ensure_validity_writable, (duckdb_vector vector), (vector)) \
  P(vector_assign_string_element_len, (duckdb_vector vector, uint64_t row, const char *text, uint64_t length), \
    (vector, row, text, length)) \
  F(duckdb_state, appender_create, \
    (duckdb_connection connection, const char *schema, const char *table, duckdb_appender *appender), \
    (connection, schema, table, appender)) \
  F(const char *, appender_error, (duckdb_appender appender), (appender)) \
  F(duckdb_state, append_data_chunk, (duckdb_appender appender, duckdb_data_chunk chunk), (appender, chunk)) \
  F(duckdb_state, appender_close, (duckdb_appender appender), (appender)) \
  F(duckdb_state, appender_destroy, (duckdb_appender * appender), (appender))

#define CDUCKDB_DECLARE(result, name, parameters, arguments) result cduckdb_##name parameters;
#define CDUCKDB_DECLARE_VOID(name, parameters, arguments) void cduckdb_##name parameters;
CDUCKDB_FUNCTIONS(CDUCKDB_DECLARE, CDUCKDB_DECLARE_VOID)
#undef CDUCKDB_DECLARE
#undef CDUCKDB_DECLARE_VOID

/// Loads the library and finds every function.
///
/// `python_names` is a library that defines what a DuckDB out of a Python wheel wants of an interpreter, or NULL.
/// Returns NULL, or what is wrong in one line; the text is of static storage. Not for use by two threads at once.
const char *cduckdb_load(const char *library, const char *python_names);

/// From now on SIGINT interrupts the connection's query instead of ending the process; NULL: as it was before.
void cduckdb_interrupt_by_sigint(duckdb_connection connection);

#endif
