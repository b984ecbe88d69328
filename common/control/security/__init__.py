"""Who may call what on a node, how it is known who calls, and what is written down about it: docs/security.md."""
