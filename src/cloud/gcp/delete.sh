#!/bin/sh
# Asks Google Cloud to delete this instance, with its service account: the disk of one that is only off costs something. Without the
# right to, it powers off.
set -u
metadata=http://metadata.google.internal/computeMetadata/v1
ask() { curl -sS -f --noproxy '*' --max-time 10 -H 'Metadata-Flavor: Google' "$metadata/$1"; }
attempt=0
while [ "$attempt" -lt 3 ]; do
  attempt=$((attempt + 1))
  [ "$attempt" -eq 1 ] || sleep 5
  token=$(ask instance/service-accounts/default/token | sed -n 's/.*"access_token" *: *"\([^"]*\)".*/\1/p')
  name=$(ask instance/name) project=$(ask project/project-id) zone=$(ask instance/zone)
  if [ -z "$token" ] || [ -z "$name" ] || [ -z "$project" ] || [ -z "$zone" ]; then continue; fi
  status=$(printf 'Authorization: Bearer %s\n' "$token" | curl -sS --max-time 10 -o /dev/null -w '%{http_code}' -H @- \
    -X DELETE "@COMPUTE@projects/$project/zones/${zone##*/}/instances/$name")
  case $status in
    2*|404) exit 0 ;;
    *) echo "cml: Google Cloud does not delete this instance (status $status)" ;;
  esac
  [ "$status" != 403 ] || exit 1
done
exit 1
