# Read by the image's entry point when the data directory is new, which has docker_process_sql and the root account. Passwords
# have no quotes and no backslashes.
docker_process_sql <<SQL
SET SESSION sql_log_bin = 0;
CREATE USER hedgerow_source@'%' IDENTIFIED BY '$(cat ${HEDGEROW_PASSWORDS:-/run/secrets/hedgerow}/source)';
GRANT REPLICATION SLAVE, BINLOG MONITOR, SELECT ON *.* TO hedgerow_source@'%';
CREATE USER hedgerow_sink@'%' IDENTIFIED BY '$(cat ${HEDGEROW_PASSWORDS:-/run/secrets/hedgerow}/sink)';
GRANT BINLOG REPLAY, SET USER, PROCESS, REPLICATION SLAVE, BINLOG MONITOR ON *.* TO hedgerow_sink@'%';
GRANT ALL ON hedgerow.* TO hedgerow_sink@'%';
GRANT ALL ON shop.* TO hedgerow_sink@'%';
SQL
