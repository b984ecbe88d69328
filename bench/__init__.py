"""How fast Hedgerow applies a binlog, next to the server's own replication. Run it with `make bench`."""
