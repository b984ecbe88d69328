#!/bin/sh
# Creates each changefeed of which CHANGEFEEDS has a file NAME.toml and the cluster has none. Ends with 1 when one of them
# is neither there nor could be created, and says why; run it again then.
set -u
folder=${CHANGEFEEDS:-/changefeeds}
failed=
for file in "$folder"/*.toml; do
  if [ ! -e "$file" ]; then
    echo "changefeeds: no file NAME.toml in $folder" >&2
    exit 1
  fi
  name=$(basename "$file" .toml)
  said=$(hedgerow changefeed get "$name" 2>&1 >/dev/null)
  case $? in
    0)
      echo "changefeeds: $name is there"
      continue
      ;;
    3) ;;
    *)
      echo "$said" >&2
      failed=yes
      continue
      ;;
  esac
  if hedgerow changefeed create "$name" --config "$file" >/dev/null; then
    echo "changefeeds: created $name"
  elif hedgerow changefeed get "$name" >/dev/null 2>&1; then
    echo "changefeeds: $name was created meanwhile"
  else
    echo "changefeeds: $name is not created" >&2
    failed=yes
  fi
done
[ -z "$failed" ]
