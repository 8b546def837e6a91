"""DuckDB with its extensions from PyPI, for a test asks nobody's server, and the bucket that
AWS_ENDPOINT_URL names, if any."""

import glob
import os

import duckdb
import duckdb_extension_avro
import duckdb_extension_httpfs
import duckdb_extension_iceberg


def connect():
    connection = duckdb.connect(config={"autoinstall_known_extensions": False})
    connection.execute("set TimeZone = 'UTC'")
    for module in (duckdb_extension_avro, duckdb_extension_httpfs, duckdb_extension_iceberg):
        found = glob.glob(os.path.join(os.path.dirname(module.__file__), "extensions", "*", "*.duckdb_extension"))
        connection.execute("load '%s'" % found[0])
    endpoint = os.environ.get("AWS_ENDPOINT_URL")
    if endpoint:
        connection.execute(
            "create secret (type s3, key_id '%s', secret '%s', region '%s', endpoint '%s', url_style 'path', use_ssl false)"
            % (os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"], os.environ["AWS_REGION"],
               endpoint.removeprefix("http://")))
    return connection
